"""``nalr race`` from its options to the exit status."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from nalr.bench.parallel import Workers
from nalr.bench.race.catalog import ENTRIES
from nalr.bench.race.contender import Contender
from nalr.bench.race.contenders.roster import CONTENDERS, missing
from nalr.bench.race.entry import Entry
from nalr.bench.race.plan import plan
from nalr.bench.race.result import Key, Result
from nalr.bench.race.runs import Start
from nalr.bench.race.runs import run as run_one
from nalr.bench.race.store import Store, default_path


def race(
    starts: Sequence[Start], store: Store, workers: Workers, progress: Any = None
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
        Called with the number of results that are there, as they come.
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
    for index, result in workers.stream(run_one, to_run):
        store.put(to_run[index], result)
        results[to_run[index].key] = result
        report(1)
    return results
