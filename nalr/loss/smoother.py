"""Smoothing of a noisy loss: its value, its slope, and the error of the slope."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nalr import _checks, _state
from nalr.loss.butterworth import Section, low_pass_delay, low_pass_sections, low_pass_step, steady_state
from nalr.loss.reading import FEWEST_TO_TRUST, LossReading, LossStatus
from nalr.loss.spikes import SPIKE_THRESHOLD, fewest, without_spike
from nalr.loss.state import SmootherState
from nalr.loss.trend import Trend, TrendState

LARGEST = sys.float_info.max / 2
"""Losses beyond this count as not finite: the sum of two of them would not be."""
LOWEST = -LARGEST

BLOCK = 256
"""Losses buffered for the trend: one loop over local variables costs half of 256 calls."""


class LossSmoother:
    """Exponential moving average of a loss, with its slope and the slope's standard error.

    ``smoothed = alpha * smoothed + (1 - alpha) * loss``, starting at the first loss. Optional
    filters come first: spike filter (`window`), low-pass (`cutoff`), then average (`alpha`).

    Parameters
    ----------
    alpha : float
        Weight of the past in the average, in [0, 1): 0 turns the average off, 1 would never change.
    cutoff : float, optional
        Cutoff frequency of a Butterworth low-pass, in cycles per step, in [1e-05, 0.49999]: 0.5 is the
        Nyquist frequency, and within 1e-5 of either end rounding would show in the result. It starts in
        the steady state of the first loss, without a transient.
    order : int
        Order of the low-pass, at least 1: each adds 6 dB per octave, and lag. Unused without `cutoff`.
    window : int, optional
        Length of the spike filter (Hampel), at least 3. A loss further than 3 · 1.4826 median absolute
        deviations from the median of the last `window` losses (itself included) is replaced by that
        median. Medians are of unfiltered losses, so a lasting change of level passes after about
        window/2 steps. The filter needs more than half of the window (and 3 losses); where more than half
        are equal (deviation 0) it replaces none.

    Notes
    -----
    The slope is that of a least-squares line through the losses (after the spike filter only) with weights
    that fade over four times the average's memory, at least 40 steps: τ = max(4/(1 - alpha), 40). The error
    of a slope falls as τ^-1.5 and the noise correlation needs tens of losses: more than the average's own
    ten. The standard error is widened by √((1+φ)/(1-φ)), φ the lag-1 correlation of the residuals clipped
    to [0, .95]: batches that share an epoch or a slow parameter give correlated losses, for which the
    formula for independent ones is far too small.

    Steps are counted in finite losses.

    Cost of `update`: about 0.2 µs with `alpha` alone (0.6 µs over the first 45 τ losses); `window` adds
    O(window), `cutoff` O(order).

    References
    ----------
    Hampel (1974), J. Am. Stat. Assoc. 69, 383; Butterworth (1930), Wireless Engineer 7, 536; Brown (1963),
    Smoothing, Forecasting and Prediction of Discrete Time Series.

    Examples
    --------
    >>> smoother = LossSmoother(alpha=0.9)
    >>> smoother.get_smoothed_loss() is None
    True
    >>> [round(smoother.update(loss), 4) for loss in [2.5, 2.3, 2.6, 2.1]]
    [2.5, 2.48, 2.492, 2.4528]
    >>> smoother.update(float("nan")) == smoother.get_smoothed_loss()
    True
    >>> print(smoother.reading().status)
    the latest loss was not finite and was skipped

    One bad batch is not a trend:

    >>> smoother = LossSmoother(alpha=0.5, window=5)
    >>> [smoother.update(loss) for loss in [4.0, 3.0, 3.5, 90.0, 3.0]]
    [4.0, 3.5, 3.5, 3.625, 3.3125]
    >>> smoother.reading().spikes
    1
    """

    def __init__(
        self, alpha: float = 0.9, *, cutoff: float | None = None, order: int = 2, window: int | None = None
    ) -> None:
        self.alpha = _checks.fraction("alpha", alpha)
        self.cutoff = (
            None if cutoff is None else _checks.real("cutoff", cutoff, "in [1e-05, 0.49999]", 1e-5, 0.49999)
        )
        self.order = _checks.count("order", order, 1)
        self.window = None if window is None else _checks.count("window", window, 3)
        self._sections: list[Section] = (
            [] if cutoff is None else low_pass_sections(self.order, self.cutoff or 0)
        )
        self._filters = bool(self._sections) or window is not None
        self.reset()

    def __repr__(self) -> str:
        return (
            f"LossSmoother(alpha={self.alpha!r}, cutoff={self.cutoff!r}, order={self.order!r}, "
            f"window={self.window!r})"
        )

    def reset(self) -> None:
        """Forget every loss; keep the settings."""
        self._state = SmootherState()
        memory = max(4.0 / (1.0 - self.alpha), 40.0)
        self._trend = Trend(1.0 - 1.0 / min(memory, 1e9))  # no run is longer, and 1 - 1/memory must not be 1

    def update(self, loss: Any) -> float:
        """Take in one loss and return the smoothed loss.

        Parameters
        ----------
        loss : float
            A number, or an array or tensor of one element. nan, inf and values beyond 8.9e307 are counted
            and skipped.

        Returns
        -------
        float
            The smoothed loss, in the units of `loss`; nan while there has been no finite loss.

        Raises
        ------
        TypeError
            If `loss` is not a single real number.
        """
        if type(loss) is not float:
            loss = _checks.scalar("loss", loss)
        if not LOWEST < loss < LARGEST:
            return self._skip()
        state = self._state
        pending = state.pending
        if len(pending) >= BLOCK:
            self._fold_pending()
        if self._filters:
            cleaned, value = self._filter(loss)
            pending.append(cleaned)
        else:
            value = loss
            pending.append(value)
        smoothed = state.smoothed
        if smoothed is None:
            state.smoothed = value
            return value
        alpha = self.alpha
        state.smoothed = smoothed = alpha * smoothed + (1.0 - alpha) * value
        return smoothed

    def get_smoothed_loss(self) -> float | None:
        """Return the smoothed loss, or None before the first finite loss."""
        return self._state.smoothed

    def smooth(self, losses: ArrayLike) -> NDArray[np.float64]:
        """Return the smoothed `losses`, as by a fresh smoother with these settings.

        Neither uses nor changes the state. Compiled on first use; bit-identical to `update`.

        Parameters
        ----------
        losses : array_like, shape (T,)
            Real numbers; those that are not finite repeat the value before them (nan at the start).

        Returns
        -------
        ndarray of float64, shape (T,)
            The smoothed losses.

        Raises
        ------
        TypeError
            If `losses` does not hold real numbers.
        ValueError
            If `losses` is not one-dimensional.

        Examples
        --------
        >>> LossSmoother(alpha=0.5).smooth([4.0, 2.0, float("inf"), 2.0])
        array([4. , 3. , 3. , 2.5])
        """
        array = _checks.array("losses", losses)
        if array.dtype.kind not in "fiu":
            raise TypeError(f"`losses` must hold real numbers, got dtype {array.dtype}.")
        if array.ndim != 1:
            raise ValueError(f"`losses` must have shape (T,), got shape {array.shape}.")
        array = np.ascontiguousarray(array, dtype=np.float64)  # one layout, one specialisation
        if array.size and LOWEST < array.min() and array.max() < LARGEST:  # False with a nan
            return self._smooth_finite(array)
        usable = np.abs(array) < LARGEST  # False for nan
        result = np.full(array.size + 1, np.nan)  # the last element precedes the first loss
        if usable.any():
            result[: usable.sum()] = self._smooth_finite(array[usable])
        smoothed: NDArray[np.float64] = result[np.cumsum(usable) - 1]
        return smoothed

    def reading(self) -> LossReading:
        """Return the current value, slope and noise; see `LossReading`.

        Examples
        --------
        >>> smoother = LossSmoother()
        >>> for step in range(100):
        ...     _ = smoother.update(5.0 - 0.01 * step + 0.1 * (-1) ** step)
        >>> reading = smoother.reading()
        >>> abs(reading.slope + 0.01) < 2 * reading.slope_standard_error < 0.005
        True
        """
        self._fold_pending()
        state, trend = self._state, self._trend.reading()
        return LossReading(
            value=math.nan if state.smoothed is None else state.smoothed,
            slope=trend.slope,
            slope_standard_error=trend.standard_error,
            noise=trend.noise,
            lag=self._lag(),
            spikes=state.spikes,
            count=state.count,
            nonfinite=state.nonfinite,
            status=self._status(),
        )

    def state_dict(self) -> dict[str, Any]:
        """Return settings and state as plain floats, ints, lists and None; restoring them is exact."""
        self._fold_pending()
        return {"settings": repr(self), **_saved(self._state, self._trend.state)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`, of `state_dict`: what follows is bit-identical.

        Raises
        ------
        ValueError
            If `state` was saved under other settings or is malformed; nothing is changed then.
        """
        _state.saved_by(self, state)
        fresh = _saved(SmootherState(), TrendState())
        if set(state) != {"settings", *fresh}:
            raise ValueError(f"`state` must come from `LossSmoother.state_dict()`, got keys {sorted(state)}.")
        values = {name: _state.value_like(name, state[name], example) for name, example in fresh.items()}
        trend = TrendState(**{name: values.pop(f"trend_{name}") for name in TrendState.__slots__})
        loaded = SmootherState(**values)
        loaded.check(2 * len(self._sections), self.window or 0)
        self._state, self._trend.state = loaded, trend

    def _skip(self) -> float:
        self._fold_pending()
        state = self._state
        state.nonfinite += 1
        state.skipped_at = state.count
        return math.nan if state.smoothed is None else state.smoothed

    def _fold_pending(self) -> None:
        """Pass pending losses to the trend; the result does not depend on when."""
        pending = self._state.pending
        self._trend.fold(pending)
        self._state.count += len(pending)
        pending.clear()

    def _filter(self, loss: float) -> tuple[float, float]:
        """Return `loss` without a spike, and that after the low-pass."""
        state = self._state
        cleaned = loss if self.window is None else without_spike(state.recent, loss, self.window)
        state.spikes += cleaned != loss
        if not self._sections:
            return cleaned, cleaned
        memory = state.memory
        if not memory:
            memory += steady_state(self._sections, cleaned)
        return cleaned, low_pass_step(memory, self._sections, cleaned)

    def _smooth_finite(self, losses: NDArray[np.float64]) -> NDArray[np.float64]:
        from nalr.kernels import smoothing as kernels  # here, since importing numba takes a quarter second

        if self.window is not None:
            cleaned, ordered = np.empty_like(losses), np.empty(self.window)
            kernels.spike_filter(cleaned, ordered, losses, SPIKE_THRESHOLD, fewest(self.window))
            losses = cleaned
        smoothed = np.empty_like(losses)
        if self._sections:
            memory = np.array(steady_state(self._sections, float(losses[0]))).reshape(-1, 2)
            kernels.low_pass(smoothed, memory, losses, np.array(self._sections), self.alpha)
        else:
            kernels.ema(smoothed, losses, self.alpha)
        return smoothed

    def _lag(self) -> float:
        lag = self.alpha / (1.0 - self.alpha)
        return lag if self.cutoff is None else lag + low_pass_delay(self.order, self.cutoff)

    def _status(self) -> LossStatus:
        state, behind_line = self._state, self._trend.state.count
        if state.count == 0:
            return LossStatus.NO_LOSS
        if behind_line < 3:
            return LossStatus.TOO_FEW
        if state.skipped_at == state.count:
            return LossStatus.SKIPPED
        return LossStatus.ROUGH if behind_line < FEWEST_TO_TRUST else LossStatus.OK


def _saved(state: SmootherState, trend: TrendState) -> dict[str, Any]:
    saved = _state.fields_to_dict(state)
    del saved["pending"]  # always empty here
    return saved | {f"trend_{name}": value for name, value in _state.fields_to_dict(trend).items()}
