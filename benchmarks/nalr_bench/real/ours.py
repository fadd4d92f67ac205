"""`nalr.torch.NoiseAdaptiveLR` in its scheduler form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from nalr_bench.real.method import Stepping, Training, make_optimizer

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass(frozen=True)
class Nalr:
    """The scheduler with its defaults.

    Parameters
    ----------
    optimizer : str
        "adamw" or "momentum".
    horizon : bool
        Whether it is told the number of steps.
    microbatches : int
        Backward passes a step: from two on, noise is measured between them, else from step to step.
    """

    optimizer: str
    horizon: bool = True
    microbatches: int = 1

    takes_rate: ClassVar[bool] = True
    tuning_free: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("torch",)

    @property
    def name(self) -> str:
        """Return the name, as in "nalr adamw anytime"."""
        told = "" if self.horizon else "anytime"
        parts = "" if self.microbatches == 1 else "microbatches"
        return " ".join(part for part in ("nalr", self.optimizer, told, parts) if part)

    def begin(self, model: Module, base_lr: float, num_steps: int) -> Training:
        """Begin a run."""
        from nalr.torch import NoiseAdaptiveLR

        optimizer = make_optimizer(self.optimizer, model, base_lr)
        scheduler = NoiseAdaptiveLR(optimizer, total_steps=num_steps if self.horizon else None)
        return _Adaptive(model, optimizer, scheduler)


class _Adaptive(Stepping):
    """The loss goes to the scheduler."""

    def step(self, loss: Tensor) -> float:
        self.optimizer.step()
        scheduler: Any = self.scheduler
        scheduler.step(loss)
        return float(scheduler.lr)
