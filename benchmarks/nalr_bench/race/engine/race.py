"""Making the runs of a race that nobody has made before."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nalr_bench.parallel import Workers
from nalr_bench.race.engine.result import Key, Result
from nalr_bench.race.engine.run import Start, run
from nalr_bench.race.engine.store import Store
from nalr_bench.race.engine.training import train
from nalr_bench.race.tasks.task import Task


class RunFailed(RuntimeError):
    """A run raised what is no result; the message names the run."""


def race(
    starts: Sequence[Start],
    store: Store,
    workers: Workers,
    progress: Callable[[int], object] | None = None,
) -> dict[Key, Result]:
    """Return the result of every start, making those that the store does not hold.

    Parameters
    ----------
    starts : sequence of Start
        The runs.
    store : Store
        Where results are kept, each as soon as it is there.
    workers : Workers
        Where the runs are made.
    progress : callable, optional
        Called with the number of results that have come since it was last called.

    Raises
    ------
    RunFailed
        If a run raises. All results that came before are in the store.
    """
    report = progress or (lambda count: None)
    results: dict[Key, Result] = {}
    to_run = []
    for start in starts:
        known = store.get(start)
        if known is None:
            to_run.append(start)
        else:
            results[start.key] = known
    report(len(results))
    for index, result in workers.stream(named_run, to_run):
        store.put(to_run[index], result)
        results[to_run[index].key] = result
        report(1)
    return results


def named_run(start: Start) -> Result:
    """Make the run; an exception of it says which run it was."""
    try:
        return train(start) if isinstance(start.entry, Task) else run(start)
    except Exception as error:
        rate = "" if start.factor != start.factor else f", b = {start.factor:g}"
        where = f"{start.method.name} on {start.entry.name}{rate}, seed {start.seed}"
        raise RunFailed(f"{where}: {error!r}") from error
