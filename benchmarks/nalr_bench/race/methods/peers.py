"""Optimizers of other packages that find their own rate, or say that they need little tuning.

Their defaults, but for what their authors advise; no weight decay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from nalr_bench.race.methods.method import PROBLEM, TASK, Diverged, Kind, Stepper, Training
from nalr_bench.race.methods.schedules import WARM_UP, factors
from nalr_bench.race.methods.tensors import OnArray, Shared, require
from nalr_bench.race.methods.training import PlannedTraining
from nalr_bench.race.problems.entry import MOMENTUM

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

Array = NDArray[np.float64]

REFUSALS = (ArithmeticError, AssertionError, ValueError)
"""What peers raise on values that are not finite, or that divide by a norm of zero."""


@dataclass(frozen=True)
class Source:
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
    source : Source
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
    source: Source
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
        return ("torch", self.source.package)

    def begin(self, params: Array, base_lr: float, num_steps: int) -> Stepper:
        """Begin a run on a problem."""
        require(self.name, self.needs)
        shared = Shared(params)
        return OnArray(self.begin_training(shared.module(), base_lr, num_steps), shared)

    def begin_training(self, model: Module, base_lr: float, num_steps: int) -> Training:
        """Begin a run on a task."""
        require(self.name, self.needs)
        peak = base_lr if self.lr is None else self.lr
        optimizer = self.source.make(model.parameters(), peak, num_steps)
        rates = [peak * factor for factor in factors(self.shape, num_steps, self.warm_up)]
        return RUNS[self.source.judged](self.source, model, optimizer, rates)


class _PeerTraining(PlannedTraining):
    """What an optimizer raises on values that are not finite is the end of the run."""

    def __init__(self, source: Source, model: Module, optimizer: Any, rates: Iterable[float]) -> None:
        super().__init__(model, optimizer, rates)
        self._takes_loss = source.takes_loss

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

    def __init__(self, source: Source, model: Module, optimizer: Any, rates: Iterable[float]) -> None:
        super().__init__(source, model, optimizer, rates)
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

    def __init__(self, source: Source, model: Module, optimizer: Any, rates: Iterable[float]) -> None:
        super().__init__(source, model, optimizer, rates)
        self._averager = import_module(source.package).PolynomialDecayAverager(model)

    def _advance(self, loss: Tensor) -> None:
        super()._advance(loss)
        self._averager.step()

    @contextmanager
    def judged(self) -> Iterator[Module]:
        yield self._averager.averaged_model


RUNS = {"parameters": _PeerTraining, "eval": _EvalMode, "average": _Averaging}
"""By `Source.judged`."""

HEAVY_BALL = ("momentum", MOMENTUM)
LOOP = ("foreach", False)  # a surface is one tensor
SCHEDULE_FREE_SGD = Source("schedulefree", "SGDScheduleFree", (LOOP,), WARM_UP, judged="eval")
SCHEDULE_FREE_ADAMW = Source("schedulefree", "AdamWScheduleFree", (LOOP,), WARM_UP, judged="eval")
D_ADAPT_SGD = Source("dadaptation", "DAdaptSGD")
D_ADAPT_MOMENTUM = Source("dadaptation", "DAdaptSGD", (HEAVY_BALL,))
D_ADAPT_ADAM = Source("dadaptation", "DAdaptAdam")
PRODIGY = Source("prodigyopt", "Prodigy")
DOG = Source("dog", "DoG", judged="average")
MECHANIC_SGD = Source("mechanic_pytorch", "SGD", (LOOP,))
MECHANIC_MOMENTUM = Source("mechanic_pytorch", "SGD", (LOOP, HEAVY_BALL))
MECHANIC_ADAMW = Source("mechanic_pytorch", "AdamW", (LOOP, ("weight_decay", 0.0)))
MOMO = Source("momo", "Momo", takes_loss=True)
MOMO_ADAM = Source("momo", "MomoAdam", takes_loss=True)

BOTH: tuple[Kind, ...] = (PROBLEM, TASK)
SURFACE: tuple[Kind, ...] = (PROBLEM,)
NETWORK: tuple[Kind, ...] = (TASK,)

PEERS = (
    # Schedule-free (Defazio et al. 2024) advises a warm-up and a tuned rate; 1 and .0025 are the defaults.
    Peer("schedule-free sgd", "sgd", SCHEDULE_FREE_SGD, 1.0, "constant", 0.0, SURFACE),
    Peer("schedule-free momentum given lr", "momentum", SCHEDULE_FREE_SGD, None, "constant", 0.0, NETWORK),
    Peer("schedule-free adamw", "adamw", SCHEDULE_FREE_ADAMW, 0.0025, "constant", 0.0, SURFACE),
    Peer("schedule-free adamw given lr", "adamw", SCHEDULE_FREE_ADAMW, None, "constant", 0.0, NETWORK),
    # D-Adaptation (Defazio and Mishchenko 2023) advises lr 1 and the schedule that one would use anyway.
    Peer("d-adapt sgd", "sgd", D_ADAPT_SGD, 1.0, "constant", 0.0, SURFACE),
    Peer("d-adapt sgd linear", "sgd", D_ADAPT_SGD, 1.0, "linear", 0.0, SURFACE),
    Peer("d-adapt momentum linear", "momentum", D_ADAPT_MOMENTUM, 1.0, "linear", WARM_UP, BOTH),
    Peer("d-adapt adam linear", "adamw", D_ADAPT_ADAM, 1.0, "linear", WARM_UP, BOTH),
    # Prodigy (Mishchenko and Defazio 2024) advises lr 1, no schedule or a cosine, and no warm-up.
    Peer("prodigy", "adamw", PRODIGY, 1.0, "constant", 0.0, SURFACE),
    Peer("prodigy cosine", "adamw", PRODIGY, 1.0, "cosine", 0.0, BOTH),
    # DoG (Ivgi et al. 2023) takes no rate, and is to be judged by its average.
    Peer("dog", "sgd", DOG, 1.0, "constant", 0.0, SURFACE),
    Peer("dog momentum", "momentum", DOG, 1.0, "constant", 0.0, NETWORK),
    # Mechanic (Cutkosky et al. 2023) advises any schedule with any rate, 1 for instance.
    Peer("mechanic sgd linear", "sgd", MECHANIC_SGD, 1.0, "linear", 0.0, SURFACE),
    Peer("mechanic momentum linear", "momentum", MECHANIC_MOMENTUM, 1.0, "linear", WARM_UP, BOTH),
    Peer("mechanic adamw linear", "adamw", MECHANIC_ADAMW, 1.0, "linear", WARM_UP, BOTH),
    # MoMo (Schaipp et al. 2023), with a momentum of .9 by itself, takes the loss to be bounded by 0: the only
    # method that is told how far there is to go. 1 and .01 are the advised rates.
    Peer("momo", "sgd", MOMO, 1.0, "constant", 0.0, SURFACE),
    Peer("momo given lr", "momentum", MOMO, None, "constant", 0.0, NETWORK),
    Peer("momo-adam", "adamw", MOMO_ADAM, 0.01, "constant", 0.0, SURFACE),
    Peer("momo-adam given lr", "adamw", MOMO_ADAM, None, "constant", 0.0, NETWORK),
)
"""Rows of: name, family, source, lr, schedule, its warm-up, what it races on."""
