"""A torch optimizer of another package as a method, on problems and on tasks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from nalr_bench.race.methods.method import Diverged, Kind, Stepper, Training
from nalr_bench.race.methods.schedules import factors
from nalr_bench.race.methods.tensors import OnArray, Shared, require
from nalr_bench.race.methods.training import PlannedTraining

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

Array = NDArray[np.float64]

REFUSALS = (ArithmeticError, AssertionError, ValueError)
"""What peers raise on values that are not finite, or that divide by a norm of zero."""


@dataclass(frozen=True)
class OptimizerSpec:
    """How the torch optimizer of a peer is built and stepped.

    Parameters
    ----------
    package, maker : str
        The package, as imported, and its class; for Mechanic the class of torch that it wraps.
    settings : tuple of (str, object)
        Arguments that differ from the defaults.
    warm_up : float
        Share of the steps that it is given as `warmup_steps`.
    takes_loss : bool
        Whether its step is given the loss.
    judged : str
        By the "parameters", by those of its "eval" mode, or by its package's "average".
    """

    package: str
    maker: str
    settings: tuple[tuple[str, Any], ...] = ()
    warm_up: float = 0.0
    takes_loss: bool = False
    judged: Literal["parameters", "eval", "average"] = "parameters"

    def make(self, parameters: Iterable[Any], lr: float, num_steps: int) -> Any:
        """Return the optimizer of these parameters."""
        import torch

        package, settings = import_module(self.package), dict(self.settings)
        if self.warm_up:
            settings["warmup_steps"] = round(self.warm_up * num_steps)
        if self.package == "mechanic_pytorch":
            return package.mechanize(getattr(torch.optim, self.maker))(parameters, lr=lr, **settings)
        return getattr(package, self.maker)(parameters, lr=lr, **settings)


@dataclass(frozen=True)
class Peer:
    """A method of another package.

    Parameters
    ----------
    name : str
        Short and unique.
    optimizer : str
        The family that it is compared in.
    spec : OptimizerSpec
        Its optimizer.
    lr : float or None
        The rate, or the multiplier of its own rate, that its authors advise; None for a base rate.
    shape, warm_up : str, float
        The schedule of `lr`: see `nalr_bench.race.methods.schedules.factors`.
    kinds : tuple of str
        What it races on.
    """

    name: str
    optimizer: str
    spec: OptimizerSpec
    lr: float | None
    shape: str
    warm_up: float
    kinds: tuple[Kind, ...]

    tuning_free: ClassVar[bool] = True
    microbatches: ClassVar[int] = 1

    @property
    def takes_rate(self) -> bool:
        """Return whether it starts from a base rate."""
        return self.lr is None

    @property
    def needs(self) -> tuple[str, ...]:
        """Return the packages that must be installed."""
        return ("torch", self.spec.package)

    def begin(self, params: Array, base_lr: float, num_steps: int) -> Stepper:
        """Begin a run on a problem."""
        require(self.name, self.needs)
        shared = Shared(params)
        return OnArray(self.begin_training(shared.module(), base_lr, num_steps), shared)

    def begin_training(self, model: Module, base_lr: float, num_steps: int) -> Training:
        """Begin a run on a task."""
        require(self.name, self.needs)
        peak = base_lr if self.lr is None else self.lr
        optimizer = self.spec.make(model.parameters(), peak, num_steps)
        rates = [peak * factor for factor in factors(self.shape, num_steps, self.warm_up)]
        return RUNS[self.spec.judged](self.spec, model, optimizer, rates)


class _PeerTraining(PlannedTraining):
    """What an optimizer raises on values that are not finite is the end of the run."""

    def __init__(self, spec: OptimizerSpec, model: Module, optimizer: Any, rates: Iterable[float]) -> None:
        super().__init__(model, optimizer, rates)
        self._takes_loss = spec.takes_loss

    def _advance(self, loss: Tensor) -> None:
        try:
            if self._takes_loss:
                self._optimizer.step(loss=loss)
            else:
                self._optimizer.step()
        except REFUSALS as error:
            raise Diverged(f"{type(self._optimizer).__name__} gave up: {error!r}.") from error


class _EvalMode(_PeerTraining):
    """Gradients are taken at one point, and the run is judged at another: schedule-free's average."""

    def __init__(self, spec: OptimizerSpec, model: Module, optimizer: Any, rates: Iterable[float]) -> None:
        super().__init__(spec, model, optimizer, rates)
        optimizer.train()

    @contextmanager
    def judged(self) -> Iterator[Module]:
        trained = [parameter.data.clone() for parameter in self._model.parameters()]
        self._optimizer.eval()
        yield self._model
        self._optimizer.train()
        # `train` restores them but for rounding; to be judged must change nothing.
        for parameter, values in zip(self._model.parameters(), trained, strict=True):
            parameter.data.copy_(values)


class _Averaging(_PeerTraining):
    """The package's averager, which wants a module, follows the run and is judged."""

    def __init__(self, spec: OptimizerSpec, model: Module, optimizer: Any, rates: Iterable[float]) -> None:
        super().__init__(spec, model, optimizer, rates)
        self._averager = import_module(spec.package).PolynomialDecayAverager(model)

    def _advance(self, loss: Tensor) -> None:
        super()._advance(loss)
        self._averager.step()

    @contextmanager
    def judged(self) -> Iterator[Module]:
        yield self._averager.averaged_model


RUNS = {"parameters": _PeerTraining, "eval": _EvalMode, "average": _Averaging}
"""By `OptimizerSpec.judged`."""
