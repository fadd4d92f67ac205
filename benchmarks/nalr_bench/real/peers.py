"""Optimizers of other packages that find their own rate, or say that they need little tuning.

Their defaults, but for what their authors advise; no weight decay. Those whose rate is a number of its own
kind run at the recommended 1; those that are given one like any other run from the base rates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from nalr_bench.race.methods.contender import Diverged
from nalr_bench.race.methods.peer import REFUSALS
from nalr_bench.race.methods.schedules import WARM_UP, factors
from nalr_bench.real.method import MOMENTUM, Stepping, Training, scheduler_of

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass(frozen=True)
class Peer(ABC):
    """A method of another package in the family of `optimizer`."""

    optimizer: str

    takes_rate: ClassVar[bool] = False
    tuning_free: ClassVar[bool] = True
    microbatches: ClassVar[int] = 1
    package: ClassVar[str]
    title: ClassVar[str]

    @property
    def name(self) -> str:
        """Return title and optimizer."""
        return f"{self.title} {self.optimizer}"

    @property
    def needs(self) -> tuple[str, ...]:
        """Return torch and the package."""
        return ("torch", self.package)

    def multipliers(self, num_steps: int) -> list[float]:
        """Return the schedule of its rate; the linear one with 5 % of warm-up if nothing else is said."""
        return factors("linear", num_steps, WARM_UP)

    def begin(self, model: Module, base_lr: float, num_steps: int) -> Training:
        """Begin a run."""
        optimizer = self.make(model, base_lr, num_steps)
        return _Peer(model, optimizer, scheduler_of(optimizer, self.multipliers(num_steps)))

    @abstractmethod
    def make(self, model: Module, lr: float, num_steps: int) -> Any:
        """Return the optimizer."""


class _Peer(Stepping):
    """What peers raise on values that are not finite is the end of the run."""

    def step(self, loss: Tensor) -> float:
        try:
            return self.advance(loss)
        except REFUSALS as error:
            raise Diverged(f"{type(self.optimizer).__name__} gave up: {error!r}.") from error

    def advance(self, loss: Tensor) -> float:
        return super().step(loss)


class Prodigy(Peer):
    """Prodigy (Mishchenko and Defazio 2024), lr 1, with a cosine and no warm-up, as advised."""

    package: ClassVar[str] = "prodigyopt"
    title: ClassVar[str] = "prodigy cosine"

    def multipliers(self, num_steps: int) -> list[float]:
        """Return the cosine."""
        return factors("cosine", num_steps)

    def make(self, model: Module, lr: float, num_steps: int) -> Any:
        """Return the optimizer."""
        import prodigyopt

        return prodigyopt.Prodigy(model.parameters(), lr=lr)


class DAdaptation(Peer):
    """DAdaptAdam or DAdaptSGD (Defazio and Mishchenko 2023), lr 1, with the linear decay."""

    package: ClassVar[str] = "dadaptation"
    title: ClassVar[str] = "d-adapt"

    @property
    def name(self) -> str:
        """Return the name, of Adam where the optimizer is AdamW: without weight decay they are one."""
        return super().name.replace("adamw", "adam")

    def make(self, model: Module, lr: float, num_steps: int) -> Any:
        """Return the optimizer."""
        import dadaptation

        if self.optimizer == "adamw":
            return dadaptation.DAdaptAdam(model.parameters(), lr=lr)
        return dadaptation.DAdaptSGD(model.parameters(), lr=lr, momentum=MOMENTUM)


class Mechanic(Peer):
    """`mechanize` (Cutkosky et al. 2023) around torch's optimizers, lr 1, with the linear decay."""

    package: ClassVar[str] = "mechanic_pytorch"
    title: ClassVar[str] = "mechanic"

    def make(self, model: Module, lr: float, num_steps: int) -> Any:
        """Return the optimizer."""
        import torch
        from mechanic_pytorch import mechanize

        if self.optimizer == "adamw":
            return mechanize(torch.optim.AdamW)(model.parameters(), lr=lr, weight_decay=0.0)
        return mechanize(torch.optim.SGD)(model.parameters(), lr=lr, momentum=MOMENTUM)


class ScheduleFree(Peer):
    """AdamWScheduleFree or SGDScheduleFree (Defazio et al. 2024) from a base rate, 5 % of warm-up."""

    takes_rate: ClassVar[bool] = True
    package: ClassVar[str] = "schedulefree"
    title: ClassVar[str] = "schedule-free"

    def begin(self, model: Module, base_lr: float, num_steps: int) -> Training:
        """Begin a run."""
        optimizer = self.make(model, base_lr, num_steps)
        optimizer.train()
        return _TwoPoints(model, optimizer)

    def make(self, model: Module, lr: float, num_steps: int) -> Any:
        """Return the optimizer."""
        import schedulefree

        kinds = {"adamw": schedulefree.AdamWScheduleFree, "momentum": schedulefree.SGDScheduleFree}
        return kinds[self.optimizer](model.parameters(), lr=lr, warmup_steps=round(WARM_UP * num_steps))


class _TwoPoints(_Peer):
    """Gradients are taken at one point, and the model is judged at another."""

    @contextmanager
    def judged(self) -> Iterator[Module]:
        trained = [p.data.clone() for p in self.model.parameters()]
        self.optimizer.eval()
        yield self.model
        self.optimizer.train()
        # `train` brings them back but for rounding; a look must change nothing.
        for parameter, values in zip(self.model.parameters(), trained, strict=True):
            parameter.data.copy_(values)


class DoG(Peer):
    """DoG with its PolynomialDecayAverager (Ivgi et al. 2023), as its authors insist; no rate at all."""

    package: ClassVar[str] = "dog"
    title: ClassVar[str] = "dog"

    @property
    def name(self) -> str:
        """Return the title: there is only one."""
        return self.title

    def begin(self, model: Module, base_lr: float, num_steps: int) -> Training:
        """Begin a run."""
        return _Averaged(model, self.make(model, base_lr, num_steps))

    def make(self, model: Module, lr: float, num_steps: int) -> Any:
        """Return the optimizer."""
        import dog

        return dog.DoG(model.parameters())


class _Averaged(_Peer):
    """The average is judged."""

    def __init__(self, model: Module, optimizer: Any) -> None:
        import dog

        super().__init__(model, optimizer)
        self._averager: Any = dog.PolynomialDecayAverager(model)

    def advance(self, loss: Tensor) -> float:
        rate = super().advance(loss)
        self._averager.step()
        return rate

    @contextmanager
    def judged(self) -> Iterator[Module]:
        yield self._averager.averaged_model


class MoMo(Peer):
    """Momo or MomoAdam (Schaipp et al. 2023) from a base rate; both take the loss to be bounded by 0."""

    takes_rate: ClassVar[bool] = True
    package: ClassVar[str] = "momo"
    title: ClassVar[str] = "momo"

    @property
    def name(self) -> str:
        """Return the names that the authors use."""
        return "momo-adam" if self.optimizer == "adamw" else "momo"

    def begin(self, model: Module, base_lr: float, num_steps: int) -> Training:
        """Begin a run."""
        return _WithLoss(model, self.make(model, base_lr, num_steps))

    def make(self, model: Module, lr: float, num_steps: int) -> Any:
        """Return the optimizer."""
        import momo

        return (momo.MomoAdam if self.optimizer == "adamw" else momo.Momo)(model.parameters(), lr=lr)


class _WithLoss(_Peer):
    """The loss goes to the optimizer."""

    def advance(self, loss: Tensor) -> float:
        self.optimizer.step(loss=loss)
        return float(self.optimizer.param_groups[0]["lr"])
