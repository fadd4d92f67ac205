"""What both forms tell of a run: the scheduler and the wrapper share it."""

from __future__ import annotations

from nalr.noise.reading import NoiseReading
from nalr.policies.base import Decision
from nalr.reporting.history import History
from nalr.torch.engine import Engine


class Watched:
    """Whoever has an `engine`."""

    engine: Engine

    @property
    def lr(self) -> float:
        """The effective rate of the first group that has one."""
        return self.engine.rates.effective(self.engine.factor)[self.engine.rates.reference]

    @property
    def last_decision(self) -> Decision | None:
        """The last rate with its reason and the numbers behind it; None before the first."""
        return self.engine.last_decision

    @property
    def history(self) -> History:
        """Columns of the run: see `nalr.reporting.history.History`."""
        return self.engine.adaptive.history

    @property
    def measured_before_clipping(self) -> bool:
        """Whether noise is measured on gradients as the backward made them."""
        return self.engine.measurement.backwards is not None

    def reading(self) -> NoiseReading:
        """Return what the gradients so far say of their noise; `source` names where it was seen."""
        return self.engine.reading()

    def summary(self) -> str:
        """Return a short text: what it did, when, why."""
        return self.engine.adaptive.summary()
