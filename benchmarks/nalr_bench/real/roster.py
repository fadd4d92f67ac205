"""Which tasks, methods and base rates there are."""

from __future__ import annotations

from importlib.util import find_spec

from nalr_bench.race.methods.roster import DISTRIBUTIONS
from nalr_bench.real.convolutions import ConvNet
from nalr_bench.real.method import Method
from nalr_bench.real.ours import Nalr
from nalr_bench.real.peers import DAdaptation, DoG, Mechanic, MoMo, Prodigy, ScheduleFree
from nalr_bench.real.schedules import Scheduled
from nalr_bench.real.task import Task
from nalr_bench.real.transformer import CharTransformer

OPTIMIZERS = ("adamw", "momentum")
SHAPES = ("linear", "cosine", "constant")
BASE_RATES = {"adamw": (1e-5, 1e-4, 1e-3, 1e-2, 1e-1), "momentum": (1e-4, 1e-3, 1e-2, 1e-1, 1.0)}
"""Four decades around what one would begin with."""
BETWEEN = (1.0, 2.15, 4.64)
"""Schedules are tuned over three rates to a decade, thirteen from the second base rate to ten times the last,
and the first: among base rates alone the largest was the best for some."""

TASKS: dict[str, Task] = {task.name: task for task in (CharTransformer(), ConvNet())}

SCHEDULES: tuple[Method, ...] = tuple(Scheduled(o, shape) for o in OPTIMIZERS for shape in SHAPES)
PEERS: tuple[Method, ...] = (
    Prodigy("adamw"),
    ScheduleFree("adamw"),
    DAdaptation("adamw"),
    Mechanic("adamw"),
    MoMo("adamw"),
    ScheduleFree("momentum"),
    DAdaptation("momentum"),
    DoG("momentum"),
    Mechanic("momentum"),
    MoMo("momentum"),
)
OURS: tuple[Method, ...] = tuple(
    Nalr(optimizer, horizon, microbatches)
    for optimizer in OPTIMIZERS
    for horizon, microbatches in ((True, 1), (True, 2), (False, 1))
)
METHODS = {method.name: method for method in (*SCHEDULES, *PEERS, *OURS)}
SETS = {"schedules": SCHEDULES, "peers": PEERS, "ours": OURS, "nalr": OURS}


def rates(method: Method) -> tuple[float | None, ...]:
    """Return the base rates that a method runs from, growing; None alone if it takes none.

    Examples
    --------
    >>> rates(Scheduled("adamw", "linear"))[:5]
    (1e-05, 0.0001, 0.000215, 0.000464, 0.001)
    """
    if not method.takes_rate:
        return (None,)
    bases = BASE_RATES[method.optimizer]
    if method.tuning_free:
        return bases
    tuned = (float(f"{base * factor:.3g}") for base in bases[1:] for factor in BETWEEN)
    return (bases[0], *tuned, 10.0 * bases[-1])


def missing(method: Method) -> str | None:
    """Return the package to install before `method` can run; None if all are there."""
    absent = (package for package in method.needs if find_spec(package) is None)
    return next((DISTRIBUTIONS.get(package, package) for package in absent), None)
