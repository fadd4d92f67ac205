"""Single runs of a race step by step, as `base_rates.plot_rates` draws them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nalr_bench.race.engine.result import Key, Result
from nalr_bench.race.scoring.tuned import Tuned


def curves(
    results: Mapping[Key, Result], problem: str, method: str, seed: int, tuned: Tuned | None = None
) -> dict[str, Any]:
    """Return one method's runs on a problem from every factor, and a hand-tuned run beside them.

    Parameters
    ----------
    results : mapping of Key to Result
        What was run.
    problem, method, seed
        Which runs.
    tuned : Tuned, optional
        The schedule, at its best factor, whose run from the same seed is added; see `Score.tuned`.

    Returns
    -------
    dict
        `problem`, `seed`, and `runs`, in ascending order of factors and the tuned one last: a dict each with
        `method`, `factor` (None for a method without a rate), whether `tuned`, and the columns `steps`,
        `losses` and `rates`, with None where a value is not finite.
    """
    wanted = {key.factor: key for key in results if key[:2] == (problem, method) and key.seed == seed}
    keys = [wanted[factor] for factor in sorted(wanted)]
    best = [key for key in results if tuned and key[:3] == (problem, tuned.method, tuned.factor)]
    runs = [_run(key, results[key], False) for key in keys]
    runs += [_run(key, results[key], True) for key in best if key.seed == seed]
    return {"problem": problem, "seed": seed, "runs": runs}


def _run(key: Key, result: Result, tuned: bool) -> dict[str, Any]:
    return {
        "method": key.method,
        "factor": _number(key.factor),
        "tuned": tuned,
        "steps": list(result.steps),
        "losses": [_number(loss) for loss in result.losses],
        "rates": [_number(rate) for rate in result.rates],
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
