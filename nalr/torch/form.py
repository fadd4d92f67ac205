"""What both forms share, the scheduler and the wrapper: their options, and the report of a run."""

from __future__ import annotations

from typing import Any

from torch.nn import Module

from nalr import _checks
from nalr.controller import NoiseAdaptiveLR
from nalr.noise.reading import NoiseReading
from nalr.policies.base import Decision
from nalr.reporting.history import History
from nalr.torch.checks import checked_optimizer, parameters_of
from nalr.torch.engine import Engine
from nalr.torch.rates import Rates
from nalr.torch.sums.backwards import Backwards
from nalr.torch.sums.measurement import Measurement
from nalr.torch.sums.path import TensorPath
from nalr.torch.sums.ranks import ranks_of
from nalr.torch.sums.samples import SampleSource
from nalr.torch.undo.rollback import Rollback
from nalr.torch.undo.snapshot import Snapshot

NOISE = ("auto", "samples", "microbatches", "steps")


class Form:
    """A learning rate from measurements around an optimizer; see `nalr.torch.NoiseAdaptiveLR`."""

    def __init__(
        self,
        optimizer: Any,
        *,
        noise: str = "auto",
        model: Module | None = None,
        total_steps: int | None = None,
        every: int = 1,
        microbatch_size: int | None = None,
        coordinates: int | None = None,
        scaler: Any = None,
        process_group: Any = "auto",
        rollback: bool = False,
        rollback_device: Any = None,
        on_device: bool | None = None,
        **settings: Any,
    ) -> None:
        seen = checked_optimizer(optimizer)
        parameters = parameters_of(seen)
        if noise not in NOISE:
            raise ValueError(f"`noise` must be one of {', '.join(NOISE)}, got {noise!r}.")
        if noise == "samples" and model is None:
            raise ValueError('`model` must be given for noise="samples": its layers give the norms.')
        every = _checks.count("every", every, 1)
        sized = microbatch_size is not None
        microbatch_size = _checks.count("microbatch_size", microbatch_size, 1) if sized else 1
        if total_steps is not None:
            total_steps = -(-_checks.count("total_steps", total_steps, 1) // every)
        if coordinates is not None:
            coordinates = _checks.count("coordinates", coordinates, 1)
        rates = Rates(seen, settings.get("min_lr"), settings.get("max_lr"))
        adaptive = NoiseAdaptiveLR(rates.base_lr, total_steps=total_steps, **settings)
        path = TensorPath(parameters, coordinates, on_device)
        ranks = ranks_of(process_group, parameters)
        backwards = samples = None
        if noise != "steps":
            backwards = Backwards(parameters, path.windows, on_device, reduced=ranks is not None)
        if noise in ("auto", "samples") and model is not None:
            samples = SampleSource(model, optional=noise == "auto")
        measurement = Measurement(path, backwards, samples, microbatch_size, scaler, ranks)
        keeper = Rollback(Snapshot(seen, model, rollback_device)) if rollback else None
        self.engine = Engine(seen, adaptive, measurement, rates, every, keeper, sized)
        self._begin(optimizer)

    def _begin(self, optimizer: Any) -> None:
        """Set what torch's own constructor would set: that one writes into the optimizer's groups."""
        raise NotImplementedError

    @property
    def controller(self) -> NoiseAdaptiveLR:
        """The controller that decides; its steps are those that were measured."""
        return self.engine.adaptive

    @property
    def lr(self) -> float:
        """The effective rate of the first group whose rate is not zero, in the last step."""
        made = self.engine.rates.made(self.engine.factor)
        return next((lr for lr in made if lr and lr == lr), 0.0)

    @property
    def last_decision(self) -> Decision | None:
        """The last rate with its reason and the numbers behind it; None before the first."""
        return self.controller.last_decision

    @property
    def history(self) -> History:
        """Columns of the run: see `nalr.reporting.history.History`."""
        return self.engine.history

    @property
    def measured_before_clipping(self) -> bool:
        """Whether noise is measured on gradients as the backward made them."""
        return self.engine.measurement.backwards is not None

    def reading(self) -> NoiseReading:
        """Return what the gradients so far say of their noise; `source` names where it was seen."""
        return self.engine.reading()

    def summary(self) -> str:
        """Return a short text: what it did, when, why."""
        _ = self.history  # takes in the last loss
        return self.controller.summary()
