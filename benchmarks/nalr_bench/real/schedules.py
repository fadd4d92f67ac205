"""Learning rates fixed before the run: what users tune."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nalr_bench.race.methods.schedules import factors, usual_warm_up
from nalr_bench.real.method import Stepping, Training, make_optimizer, scheduler_of

if TYPE_CHECKING:
    from torch.nn import Module


@dataclass(frozen=True)
class Scheduled:
    """A schedule: "linear" and "cosine" rise over 5 % of the steps and fall to 0, "constant" does neither."""

    optimizer: str
    shape: str

    takes_rate: ClassVar[bool] = True
    tuning_free: ClassVar[bool] = False
    microbatches: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("torch",)

    @property
    def name(self) -> str:
        """Return both names."""
        return f"{self.optimizer} {self.shape}"

    def begin(self, model: Module, base_lr: float, num_steps: int) -> Training:
        """Begin a run."""
        optimizer = make_optimizer(self.optimizer, model, base_lr)
        multipliers = factors(self.shape, num_steps, usual_warm_up(self.optimizer, self.shape))
        return Stepping(model, optimizer, scheduler_of(optimizer, multipliers))
