"""``python -m nalr_bench.situations``: every situation with three optimizers, with a horizon and without."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Sequence

from nalr_bench import tables
from nalr_bench.console import bar
from nalr_bench.parallel import Workers
from nalr_bench.situations.play import OPTIMIZERS, SITUATIONS, Play, play

AIM = 1.2
"""Distance to the goal over that of the constant rate, averaged over the seeds, that no run may exceed."""


def ratios(
    situations: Sequence[str],
    optimizers: Sequence[str],
    seeds: int,
    steps: int,
    base: float,
    jobs: int | None,
) -> dict[tuple[str, str, bool], tuple[float, float]]:
    """Return the mean distance with nalr and at the constant rate, by situation, optimizer and horizon."""
    cells = list(itertools.product(situations, optimizers, (True, False)))
    runs = [
        Play(situation, optimizer, seed, steps, adaptive, adaptive and horizon, base)
        for situation, optimizer, horizon in cells
        for seed in range(seeds)
        for adaptive in (True, False)
    ]
    unique = list(dict.fromkeys(runs))
    with Workers(jobs) as workers, bar(len(unique)) as advance:
        found = dict(zip(unique, workers.map(play, unique, lambda: advance(1)), strict=True))
    result = {}
    for situation, optimizer, horizon in cells:
        means = [
            sum(found[Play(situation, optimizer, s, steps, own, own and horizon, base)] for s in range(seeds))
            / seeds
            for own in (True, False)
        ]
        result[situation, optimizer, horizon] = (means[0], means[1])
    return result


def main() -> int:
    """Print the table; return 1 if a run ends further off than the aim allows."""
    parser = argparse.ArgumentParser(prog="python -m nalr_bench.situations", description=__doc__)
    parser.add_argument(
        "--situation", action="append", choices=SITUATIONS, help="only this one; may be given again"
    )
    parser.add_argument(
        "--optimizer", action="append", choices=OPTIMIZERS, help="only this one; may be given again"
    )
    parser.add_argument("--seeds", type=int, default=5, help="runs of each kind (default 5)")
    parser.add_argument("--steps", type=int, default=1000, help="length of a run (default 1000)")
    parser.add_argument(
        "--base", type=float, default=1.0, help="nalr's base rate over the constant one (default 1)"
    )
    parser.add_argument("--jobs", type=int, help="processes (default: one for each CPU)")
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    options = parser.parse_args()
    situations, optimizers = options.situation or list(SITUATIONS), options.optimizer or list(OPTIMIZERS)
    found = ratios(situations, optimizers, options.seeds, options.steps, options.base, options.jobs)
    if options.json:
        print(json.dumps({"/".join(map(str, key)): value for key, value in found.items()}, indent=1))
    else:
        heads = [f"{name}, {'T' if horizon else 'open'}" for name in optimizers for horizon in (True, False)]
        rows = [["distance over that of the constant rate", *heads]]
        for situation in situations:
            cells = [found[situation, name, horizon] for name in optimizers for horizon in (True, False)]
            rows.append([situation, *(f"{own / constant:.2f}" for own, constant in cells)])
        print(tables.aligned(rows))
    worst = max(own / constant for own, constant in found.values())
    print(f"worst {worst:.2f}, aim {AIM}", file=sys.stderr)
    return int(worst > AIM)


if __name__ == "__main__":
    sys.exit(main())
