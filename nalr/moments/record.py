"""The border between arrays and decisions: a few sums per step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nalr import _checks
from nalr.arrays import passes
from nalr.arrays.gradients import as_rows, as_vector

Vector = NDArray[np.float64]

_NAN, _INF = math.nan, math.inf


class Moments(NamedTuple):
    """The sums of one step: all that estimators and policies ever see of the gradients.

    Rows are gradients gᵢ of weight wᵢ (the number of samples a row is the mean of; 1 for a per-sample
    gradient), taken at the same parameters; ḡ is their weighted mean. Any source of these sums (another
    framework, the ranks of a distributed job) can drive `nalr.NoiseAdaptiveLR.update_policy`.

    Attributes
    ----------
    num_rows : int
        k, the number of rows.
    total_weight : float
        B = Σ wᵢ, the number of samples in the step.
    dimension : int
        D, the number of parameters.
    mean_squared_norm : float
        |ḡ|².
    sum_squares : float
        Σ wᵢ|gᵢ − ḡ|².
    step_product : float
        ⟨ḡ, s⟩ with the last step s = x_before − x_now; nan before there was one.
    step_squared_norm : float
        |s|²; nan before there was one.
    displacement_product : float
        h = ⟨ḡ, x₀ − (x + x̄)/2⟩: positive while the run so far would have gained from a larger rate.
    displacement_squared_norm : float
        |x₀ − x|².
    previous_product : float
        ⟨ḡ, ḡ of the step before⟩; nan where it is not kept.
    parameters_squared_norm : float
        |x|² before the first step, which it is compared with; nan where it is not known.
    nonfinite : int
        How many gradient values were nan or infinite. The sums of such a step mean nothing.

    Examples
    --------
    >>> moments = Moments.from_norms([5.0, 1.0], mean_squared_norm=2.0, dimension=2)
    >>> moments.total_variance, moments.signal
    (2.0, 1.0)
    """

    num_rows: int
    total_weight: float
    dimension: int
    mean_squared_norm: float
    sum_squares: float
    step_product: float = _NAN
    step_squared_norm: float = _NAN
    displacement_product: float = _NAN
    displacement_squared_norm: float = _NAN
    previous_product: float = _NAN
    nonfinite: int = 0
    parameters_squared_norm: float = _NAN

    @classmethod
    def from_rows(cls, gradients: Any, weights: Sequence[float] | None = None) -> Moments:
        """Make the record from the rows themselves, in one pass over them and no memory beyond them.

        Parameters
        ----------
        gradients : array of shape (B, D), or list of arrays of shape (B, …)
            One row per sample or microbatch, all at the same parameters; one array for each layer if a list.
            float16, bfloat16 (torch tensors on the CPU, ml_dtypes), float32 or float64.
        weights : sequence of float, optional
            Samples in each row, positive; 1 each by default.

        Raises
        ------
        TypeError, ValueError
            Where shapes, types or weights do not fit.

        Notes
        -----
        Rows may be strided or in Fortran order. What else is not in C order is copied a window at a time.
        Differences of float32 and 16-bit rows are taken in float32, sums in float64: the result is as exact
        as the rows. Deviations of float32 beyond 3.4e38 overflow and make the record unusable.

        Examples
        --------
        >>> moments = Moments.from_rows([[1.0, 2.0], [3.0, 2.0]])
        >>> moments.total_variance, moments.mean_squared_norm
        (2.0, 8.0)
        """
        rows = as_rows("gradients", gradients)
        shares = None if weights is None else checked_weights(weights, rows.num_rows)
        spread, norm, _ = passes.measure(rows, shares)
        bad = 0 if math.isfinite(spread) and math.isfinite(norm) else passes.count_nonfinite(rows)
        total = float(rows.num_rows if shares is None else shares.sum())
        return cls(rows.num_rows, total, rows.dimension, norm, spread, nonfinite=bad)

    @classmethod
    def from_norms(
        cls,
        squared_norms: Sequence[float],
        mean_squared_norm: float,
        dimension: int,
        weights: Sequence[float] | None = None,
        **path: float,
    ) -> Moments:
        """Make the record from each row's |gᵢ|² and the |ḡ|² of their mean.

        Parameters
        ----------
        squared_norms : sequence of float
            |gᵢ|² of each row, as ghost norms or the ranks of a distributed job give them.
        mean_squared_norm : float
            |ḡ|² of the (weighted) mean of the rows.
        dimension : int
            D, at least 1.
        weights : sequence of float, optional
            Samples in each row, positive; 1 each by default.
        **path : float
            `step_product` and the other sums of the path, where they are known.

        Raises
        ------
        ValueError
            If a weight is not positive, or there are not as many weights as norms.

        Notes
        -----
        Uses Σ wᵢ|gᵢ|² − B|ḡ|², which cancels where the noise is far below the signal: in float64
        it keeps about 16 + log₁₀(tr Σ/|G|²) digits. Rows themselves need no such subtraction.
        """
        count = _checks.count("len(squared_norms)", len(squared_norms), 1)
        shares = [1.0] * count if weights is None else checked_weights(weights, count).tolist()
        total = float(sum(shares))
        spread = sum(w * float(s) for w, s in zip(shares, squared_norms, strict=True))
        dimension = _checks.count("dimension", dimension, 1)
        spread = max(spread - total * mean_squared_norm, 0.0) if math.isfinite(spread) else spread
        return cls(count, total, dimension, float(mean_squared_norm), spread, **path)  # type: ignore[arg-type]

    @property
    def total_variance(self) -> float:
        """Unbiased tr Σ of one sample: Σ wᵢ|gᵢ − ḡ|²/(k − 1); nan for one row."""
        return self.sum_squares / (self.num_rows - 1) if self.num_rows > 1 else _NAN

    @property
    def signal(self) -> float:
        """Unbiased |G|²: |ḡ|² − tr Σ/B. May be negative, and must not be clamped before averaging."""
        return self.mean_squared_norm - self.total_variance / self.total_weight

    def estimates(self) -> tuple[float, float] | None:
        """Return (`signal`, `total_variance`), nan for one row; None where a sum is not finite."""
        return (self.signal, self.total_variance) if self.usable else None

    @property
    def usable(self) -> bool:
        """Whether every sum of the gradients is finite."""
        return (
            not self.nonfinite and -_INF < self.mean_squared_norm < _INF and -_INF < self.sum_squares < _INF
        )


def checked_weights(weights: Any, count: int) -> Vector:
    """Return `weights` as an array (count,) of float64, all positive."""
    shares = [_checks.positive("weights", w) for w in _checks.array("weights", weights).reshape(-1).tolist()]
    if len(shares) != count:
        raise ValueError(f"`weights` must hold one weight for each of the {count} rows, got {len(shares)}.")
    return np.array(shares)


def squared_norm(gradient: Any) -> float:
    """Return |g|² of one gradient in float64, reading it once: what `Moments.from_norms` takes of each row.

    Parameters
    ----------
    gradient : array of shape (D,), or list of arrays
        One row, of any floating-point type; one array for each layer if a list.

    Examples
    --------
    >>> squared_norm([3.0, 4.0])
    25.0
    """
    return passes.squared_norm(as_vector("gradient", gradient))
