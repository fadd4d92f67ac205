"""Making the runs that nobody has made before."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nalr_bench.parallel import Workers
from nalr_bench.race.engine.race import RunFailed
from nalr_bench.real.runs import Key, Result, Start, run
from nalr_bench.real.store import Store


def race(
    starts: Sequence[Start],
    store: Store,
    workers: Workers,
    progress: Callable[[int], object] | None = None,
) -> dict[Key, Result]:
    """Return the result of every start, making and keeping those that the store does not hold.

    Parameters
    ----------
    starts, store, workers
        The runs, where results are kept, each as soon as it is there, and where runs are made.
    progress : callable, optional
        Called with the number of results that have come since it was last called.

    Raises
    ------
    RunFailed
        If a run raises. All results that came before are in the store.
    """
    report = progress or (lambda count: None)
    known = {start: store.get(start) for start in starts}
    results = {start.key: result for start, result in known.items() if result is not None}
    to_run = [start for start, result in known.items() if result is None]
    report(len(results))
    for index, result in workers.stream(named_run, to_run):
        store.put(to_run[index], result)
        results[to_run[index].key] = result
        report(1)
    return results


def named_run(start: Start) -> Result:
    """Make the run; an exception of it says which run it was."""
    try:
        return run(start)
    except Exception as error:
        rate = "" if start.lr is None else f" from {start.lr:g}"
        where = f"{start.method.name} on the {start.task.name}{rate}, seed {start.seed}"
        raise RunFailed(f"{where}: {error!r}") from error
