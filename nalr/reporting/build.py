"""From a run to its report."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from nalr.reporting.loss import final_slope, loss_course
from nalr.reporting.noise import batch_advice, noise_course
from nalr.reporting.rate import phases_of, rate_course
from nalr.reporting.record import Report
from nalr.reporting.remarks import remarks_on
from nalr.reporting.run import read_run
from nalr.reporting.words import unit_of


def report(history: Any) -> Report:
    """Return what a run did, why, how noisy it was, and what to try next.

    Parameters
    ----------
    history : NoiseAdaptiveLR, History, mapping of columns, or path
        A controller or either form of `nalr.torch`; its history; the columns of one, as `to_dict` or
        `to_numpy` give them (`step`, `loss` and `lr` at least); or a file of `History.to_csv`. A controller
        gives most, as it also has its bounds and its horizon.

    Returns
    -------
    Report
        Frozen: `str(report)` is a page to read, `to_dict()` is what JSON takes. Remarks are made only where
        the numbers carry them; the thresholds, with their reasons, are in `nalr.reporting.remarks`.

    Raises
    ------
    TypeError, ValueError
        If there are no such columns, they do not hold numbers, or are of unequal length.
    OSError
        If the file cannot be read.

    Notes
    -----
    Some milliseconds for a thousand recorded steps; nothing of the run is changed.

    Examples
    --------
    >>> import numpy as np, nalr
    >>> rng = np.random.default_rng(0)
    >>> params = np.array([3.0, -2.0])
    >>> adaptive = nalr.NoiseAdaptiveLR(base_lr=0.001, total_steps=300)
    >>> for _ in range(300):
    ...     gradients = params + rng.normal(size=(16, 2))
    ...     lr = adaptive.get_adapted_lr(gradients, 0.5 * params @ params)
    ...     params = params - lr * gradients.mean(axis=0)
    >>> report = nalr.report(adaptive)
    >>> report.steps, [phase.kind for phase in report.phases]
    (300, ['ramped', 'annealed', 'held'])
    >>> print(str(report).splitlines()[0])
    300 steps
    """
    run = read_run(history)
    early, late, whole = noise_course(run)
    found = Report(
        steps=run.steps,
        recorded=len(run),
        smoothed=bool(np.isfinite(run.columns["smoothed_loss"]).any()),
        loss=loss_course(run.columns),
        slope=final_slope(run),
        base_lr=run.base_lr,
        rate=rate_course(run.columns),
        phases=phases_of(run),
        reasons=run.reasons,
        noise_early=early,
        noise_late=late,
        noise=whole,
        batch=batch_advice(run),
        predicted=run.predicted,
        unit=unit_of(whole.batch_size, run.unit),
    )
    return dataclasses.replace(found, remarks=remarks_on(found, run))
