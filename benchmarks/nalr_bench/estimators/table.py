"""Rows of the table, each of the cells of one estimator."""

from __future__ import annotations

from collections.abc import Sequence

from nalr_bench.estimators.finding import HIGHEST, LARGEST_BIAS, LOWEST, Bias, Coverage, Finding
from nalr_bench.tables import ABSENT, Row

HEADINGS = ("estimate", "cells", "lowest", "highest", "largest bias", "figure", "verdict")
FIGURE = f"{100 * LOWEST:g} to {HIGHEST:.0%}"


def cells(row: Sequence[Finding]) -> Row:
    """Return the row of cells that share title, quantity and form."""
    outside = sum(each.outside for each in row)
    ours = row[0].ours
    by_value = sorted(row, key=lambda each: each.value)
    verdict = f"{outside} of {len(row)} {'outside' if ours else 'wrong'}" if outside or not ours else "ok"
    return (
        f"{row[0].quantity}, {row[0].form}",
        str(len(row)),
        number(by_value[0]),
        number(by_value[-1]),
        _largest([each for each in row if isinstance(each, Bias)]),
        (f"|z| ≤ {LARGEST_BIAS:g}" if isinstance(row[0], Bias) else FIGURE) if ours else ABSENT,
        verdict,
    )


def number(finding: Finding) -> str:
    """Return a bias in standard errors, or a share."""
    if isinstance(finding, Coverage):
        return f"{finding.value:.1%}"
    return f"{finding.value:+.2f}" if abs(finding.value) < 100.0 else f"{finding.value:+.0f}"


def _largest(row: Sequence[Bias]) -> str:
    """Return the largest bias in tr Σ; for a single case, the mean as a multiple of the truth."""
    if not row:
        return ABSENT
    far = max(row, key=lambda each: abs(each.mean - each.truth) / each.total_variance)
    if far.study == "example":
        times, error = far.mean / far.truth, far.standard_error / far.truth
        digits = 0 if error >= 1.0 else 1 if error >= 0.1 else 3
        return f"{times:.{digits}f} ± {error:.{digits}f} × truth"
    return f"{(far.mean - far.truth) / far.total_variance:+.2%} tr Σ"
