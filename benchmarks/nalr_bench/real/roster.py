"""Which tasks, methods and base rates there are."""

from __future__ import annotations

from nalr_bench.race.methods import roster
from nalr_bench.race.methods.method import TASK, Method
from nalr_bench.real.convolutions import ConvNet
from nalr_bench.real.task import Task
from nalr_bench.real.transformer import CharTransformer

OPTIMIZERS = ("adamw", "momentum")
BASE_RATES = {"adamw": (1e-5, 1e-4, 1e-3, 1e-2, 1e-1), "momentum": (1e-4, 1e-3, 1e-2, 1e-1, 1.0)}
"""Four decades around what one would begin with."""
BETWEEN = (1.0, 2.15, 4.64)
"""Schedules are tuned over three rates to a decade, thirteen from the second base rate to ten times the last,
and the first: among base rates alone the largest was the best for some."""

TASKS: dict[str, Task] = {task.name: task for task in (CharTransformer(), ConvNet())}

METHODS = {name: method for name, method in roster.METHODS.items() if TASK in method.kinds}
SETS = {
    name: tuple(method for method in methods if TASK in method.kinds) for name, methods in roster.SETS.items()
}


def rates(method: Method) -> tuple[float | None, ...]:
    """Return the base rates that a method runs from, growing; None alone if it takes none.

    Examples
    --------
    >>> rates(METHODS["adamw linear"])[:5]
    (1e-05, 0.0001, 0.000215, 0.000464, 0.001)
    """
    if not method.takes_rate:
        return (None,)
    bases = BASE_RATES[method.optimizer]
    if method.tuning_free:
        return bases
    tuned = (float(f"{base * factor:.3g}") for base in bases[1:] for factor in BETWEEN)
    return (bases[0], *tuned, 10.0 * bases[-1])
