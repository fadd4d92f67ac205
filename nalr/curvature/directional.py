"""Curvature along the steps of a run, from the gradients at their two ends: no extra pass over the data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nalr import _checks, _state
from nalr.arrays import passes as batch
from nalr.arrays.gradients import Gradients, as_rows, as_vector
from nalr.curvature.directional_reading import DirectionalReading, DirectionalStatus, make_reading
from nalr.moments.plain_step import is_plain_step
from nalr.moments.record import Moments, checked_weights
from nalr.statistics.averages import DecayedAverages

Vector = NDArray[np.float64]


@dataclass(slots=True)
class _Scalars:
    """The scalar state."""

    dimension: int | None = None
    nonfinite: int = 0
    slope: float = math.nan  # ⟨G, s⟩ at the start of the current step, unbiased; nan while unknown
    squared_length: float = math.nan  # |s|² of that step
    scale: float = math.nan  # s is this times the stored vector; nan where none is
    lr: float = math.nan  # of that step
    squared_rates: float = 0.0  # Σ decay^age · η²
    trouble: DirectionalStatus | None = None  # of the latest gradients


class DirectionalCurvature:
    """Curvature along each step, from its gradient and the fresh one at its end.

    Parameters
    ----------
    decay : float
        Weight of a step relative to the next, in [0, 1). The default remembers about 100 steps.
    confidence : float
        Level of the intervals and of `significant`, in (0, 1).

    Raises
    ------
    TypeError, ValueError
        Where a setting is outside its range.

    Notes
    -----
    Plain SGD steps by s = ηḡ. With a fresh batch, E⟨ḡ′, s⟩ = E⟨∇L(x − s), s⟩ = E⟨G, s⟩ − E sᵀHs where L is
    quadratic along the step; E⟨G, s⟩ = η|G|² = ηE Q, with Q = |ḡ|² − tr Σ̂/B from the rows. So
    E[ηQ − ⟨ḡ′, s⟩] = E sᵀHs = η²(GᵀHG + tr(HΣ)/B): unbiased, each step. Averages over steps come first,
    ratios after.

    Why η². The noise of ηQ − ⟨ḡ′, s⟩ is proportional to η, so that A = uᵀHu alone has a variance ∝ 1/η²:
    at a far too small rate it is noise. Averaging η²A weighs each step by its precision; see `significant`.
    Successive steps share a gradient, and their terms are correlated; the
    standard error comes from blocks of them.

    **Q must not be corrected for sampling without replacement.** Rows drawn without replacement from N make
    Q low by tr Σ/N, which `NoiseEstimator(population=N)` adds to what it reports. But the next batch of the
    same epoch, drawn from what is left, makes ⟨ḡ′, ḡ⟩ low by the same tr Σ/N, and the two cancel here. Adding
    it would bias A by tr Σ/(Nη). (Batches on either side of an epoch's end are independent: there, one step
    an epoch, A is low by that amount.)

    Other optimizers. The same holds for any step s that contains the present gradient linearly, s = a + cḡ
    with a known beforehand: E⟨ḡ, s⟩ is high by c tr Σ/B, and nothing else changes. Pass `step`, and c as
    `response`. For Adam c differs between coordinates and depends on the gradient itself, so that no such
    correction exists in these sums: measure uᵀHu with a product there.

    No `merge`: ranks that share one step pool their rows first, as `Moments`.

    Cost: one pass over the rows, one over two stored D-vectors. `update_moments` needs neither.

    References
    ----------
    McCandlish et al. (2018), arXiv:1812.06162: Q, GᵀHG and tr(HΣ).

    Examples
    --------
    >>> from nalr import create_noisy_landscape
    >>> landscape = create_noisy_landscape(dim=20, noise_scale=0.5, spectrum=[2.0] * 20, seed=0)
    >>> curvature, x = DirectionalCurvature(), np.full(20, 0.1)
    >>> for _ in range(200):
    ...     rows = landscape.sample_gradients(x, batch_size=8)
    ...     _ = curvature.update(rows, lr=0.1)
    ...     x = x - 0.1 * rows.mean(axis=0)
    >>> reading = curvature.reading()
    >>> low, high = reading.curvature_interval  # the Hessian is 2 in every direction
    >>> low < 2.0 < high, reading.significant, str(reading.status)
    (True, True, 'ok')
    """

    def __init__(self, *, decay: float = 0.99, confidence: float = 0.95) -> None:
        self.decay = _checks.fraction("decay", decay)
        self.confidence = _checks.real("confidence", confidence, "in (0, 1)", 0.0, 1.0, closed="neither")
        self.reset()

    def __repr__(self) -> str:
        return f"DirectionalCurvature(decay={self.decay!r}, confidence={self.confidence!r})"

    def reset(self) -> None:
        """Forget every step; keep the settings."""
        self._state = _Scalars()
        self._averages = DecayedAverages(self.decay)
        self._step: Vector = np.empty(0)  # (D,) the current step, over its scale
        self._mean: Vector = np.empty(0)  # (D,) buffer for the next ḡ

    def update(
        self,
        gradients: ArrayLike | Sequence[ArrayLike],
        lr: float,
        *,
        weights: ArrayLike | None = None,
        step: ArrayLike | None = None,
        response: float | None = None,
    ) -> DirectionalCurvature:
        """Finish the last step with its final gradients, and begin the step made from them.

        Parameters
        ----------
        gradients : array of shape (B, D), or list of arrays of shape (B, …)
            The rows, one per sample or microbatch, at least 2: a fresh batch each step.
        lr : float
            Rate η of the step made *from these* gradients, not negative.
        weights : array of shape (B,), optional
            Samples that each row is the mean of; 1 each by default.
        step : array of shape (D,), optional
            s = x_before − x_after made from these gradients; ηḡ by default, as plain SGD does.
        response : float, optional
            With `step` only: the factor c by which ḡ enters it. η for heavy ball without dampening (the
            default), η(1 − β) where the momentum is an average, η(1 + β) for Nesterov's.

        Returns
        -------
        DirectionalCurvature
            This object.

        Raises
        ------
        TypeError, ValueError
            If shapes, types or the rate are not as described, or D differs from earlier updates.
        """
        rate = _rate(lr)
        rows = as_rows("gradients", gradients, self._state.dimension)
        shares = None if weights is None else checked_weights(weights, len(rows))
        given = None if step is None else as_vector("step", step, rows.dimension)
        if response is not None and step is None:
            raise ValueError("`response` must come with `step`: for plain SGD it is `lr`.")
        factor = rate if response is None else _checks.real("response", response, "finite", -1e300, 1e300)
        moments, mean = self._measure(rows, shares)
        if moments is None:
            return self
        s = self._state
        if not math.isnan(s.scale):
            self._finish(s.scale * batch.inner_product(mean, self._step))
        if given is None:
            self._begin(rate, moments, rate * moments.mean_squared_norm, factor)
            s.scale, s.squared_length = rate, rate * rate * moments.mean_squared_norm
            self._step, self._mean = mean, self._step
        else:
            self._keep(given)
            self._begin(rate, moments, batch.inner_product(mean, self._step), factor)
            s.scale, s.squared_length = 1.0, batch.squared_length(self._step)
        return self

    def update_moments(self, moments: Moments, lr: float) -> DirectionalCurvature:
        """Take in one step of plain SGD from its sums; no vector is stored.

        Parameters
        ----------
        moments : Moments
            The sums, with `step_product` and `step_squared_norm` of the last step. A step whose length is
            not that of the previous gradient times its rate is left out.
        lr : float
            Rate η of the step made *from these* gradients, not negative.

        Returns
        -------
        DirectionalCurvature
            This object.
        """
        rate = _rate(lr)
        s = self._state
        if s.dimension not in (None, moments.dimension):
            raise ValueError(
                f"`moments` must have dimension {s.dimension} as in earlier updates, got {moments.dimension}."
            )
        s.dimension = moments.dimension
        if not moments.usable:
            self._skip(moments.nonfinite)
            return self
        s.trouble = None
        if not math.isnan(moments.step_product) and not math.isnan(s.slope):
            if is_plain_step(moments, s.squared_length):
                self._finish(moments.step_product)
            else:
                s.trouble = DirectionalStatus.FOREIGN
        squared = moments.mean_squared_norm
        self._begin(rate, moments, rate * squared, rate)
        s.scale, s.squared_length = math.nan, rate * rate * squared
        return self

    def _measure(self, rows: Gradients, shares: Vector | None) -> tuple[Moments | None, Vector]:
        """Return the sums and the mean of the rows; None for sums that are not finite."""
        s = self._state
        s.dimension, s.trouble = rows.dimension, None
        if self._mean.size != rows.dimension:
            self._mean = np.empty(rows.dimension)
        mean = self._mean
        spread, norm, _ = batch.measure(rows, shares, mean)
        if not math.isfinite(spread + norm):
            self._skip(batch.count_nonfinite(rows))
            return None, mean
        total = float(len(rows) if shares is None else shares.sum())
        return Moments(len(rows), total, rows.dimension, norm, spread), mean

    def _keep(self, step: Gradients) -> None:
        """Store a copy of the current step."""
        if self._step.size != step.dimension:
            self._step = np.empty(step.dimension)
        step.copy_row(self._step)

    def _skip(self, nonfinite: int) -> None:
        s = self._state
        s.nonfinite += nonfinite
        s.slope = s.scale = math.nan
        s.trouble = DirectionalStatus.SKIPPED

    def _begin(self, lr: float, moments: Moments, product: float, response: float) -> None:
        """Begin a step: `product` is ⟨ḡ, s⟩, biased by `response` · tr Σ/B."""
        s = self._state
        s.lr = lr
        if moments.num_rows < 2:
            s.trouble = DirectionalStatus.ONE_ROW
        s.slope = product - response * moments.total_variance / moments.total_weight  # nan for one row

    def _finish(self, product: float) -> None:
        """Add the current step to the averages; `product` is ⟨ḡ′, s⟩ at its end."""
        s = self._state
        bend = s.slope - product
        if math.isfinite(bend) and math.isfinite(s.squared_length):
            self._averages.add(bend, s.squared_length)
            s.squared_rates = self.decay * s.squared_rates + s.lr * s.lr

    def reading(self) -> DirectionalReading:
        """Return the curvature over the steps so far.

        Returns
        -------
        DirectionalReading
            Frozen. A few microseconds; no pass over arrays.

        Examples
        --------
        >>> str(DirectionalCurvature().reading().status)
        'no step has been followed by a gradient yet'
        """
        s = self._state
        weight = self._averages.state.weight
        squared_rates = s.squared_rates / weight if weight else math.nan
        return make_reading(self._averages, squared_rates, s.lr, self.confidence, s.nonfinite, s.trouble)

    def state_dict(self) -> dict[str, Any]:
        """Return settings and state, as numbers, strings, lists, dicts and NumPy arrays."""
        scalars, trouble = _state.fields_to_dict(self._state), self._state.trouble
        return {
            "settings": repr(self),
            "scalars": scalars | {"trouble": None if trouble is None else trouble.name},
            "averages": self._averages.state_dict(),
            "step": self._step.copy(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`, of `state_dict`: what follows is bit-identical.

        Raises
        ------
        ValueError
            If the state was saved under other settings; nothing is changed then.
        """
        _state.saved_by(self, state)
        trouble = state["scalars"]["trouble"]
        scalars = {**state["scalars"], "trouble": None if trouble is None else DirectionalStatus[trouble]}
        self._state = _Scalars(**scalars)
        self._averages.load_state_dict(state["averages"])
        self._step = np.array(state["step"], dtype=np.float64)


def _rate(lr: float) -> float:
    return _checks.real("lr", lr, "non-negative and finite", 0.0, math.inf, closed="left")
