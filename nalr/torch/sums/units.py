"""The units of a step's gradients: what unscaling and clipping made of what the backwards left."""

from __future__ import annotations

import math
import sys
import warnings
from types import FrameType
from typing import Any, NamedTuple

from torch.amp import GradScaler

from nalr._checks import NoiseWarning
from nalr.torch.sums.backwards import BackwardSums

EQUAL = 1e-5
"""Relative difference of norms below which the gradient was not changed: a few float32 roundings."""

LOSS_SCALE = 1024.0
"""A gradient that becomes shorter by more than this, and by the same factor twice running, was unscaled:
clipping leaves the same length, not the same factor."""

_SCALER_FILE = sys.modules[GradScaler.__module__].__file__


class Units(NamedTuple):
    """Factors that bring gradients to the units of the loss, before clipping.

    Attributes
    ----------
    step : float
        Factor for the gradient that the optimizer gets.
    backward : float
        Factor for those that the backwards made.
    clipped : bool
        Whether the optimizer gets a shorter one than the backwards made.
    """

    step: float = 1.0
    backward: float = 1.0
    clipped: bool = False


class Scales:
    """Tells a loss scale from clipping.

    Parameters
    ----------
    scaler : GradScaler, optional
        Whose scale the backwards' gradients carry. One whose `step` calls the optimizer's is found without.
    """

    def __init__(self, scaler: Any = None) -> None:
        self.scaler = scaler
        self.ratio = math.nan  # of the gradient's lengths after the backward and at the step, one step before
        self._warned = False

    def units(self, optimizer: Any, squared_norm: float, seen: BackwardSums | None) -> Units:
        """Return the units of a gradient of this norm at the step, and of what the backwards left."""
        fused = getattr(optimizer, "grad_scale", None)
        if fused is not None:  # the optimizer will unscale by itself
            return Units(1.0 / float(fused), 1.0 / float(fused))
        if seen is None or seen.squared_norm <= 0.0 or not squared_norm > 0.0:
            return Units()
        changed = abs(seen.squared_norm - squared_norm) > EQUAL * squared_norm  # not if it is nan
        scale = self._scale(changed)
        ratio = 1.0 if math.isnan(seen.squared_norm) else math.sqrt(seen.squared_norm / squared_norm)
        if not 0.0 < ratio < math.inf:
            return Units()
        before, self.ratio = self.ratio, ratio
        if scale is not None:
            return _units(ratio, scale)
        if ratio > 1.5 and abs(math.log2(ratio) - round(math.log2(ratio))) < EQUAL:
            return Units(1.0, 1.0 / ratio)  # a loss scale, as GradScaler makes them
        same = ratio > LOSS_SCALE and abs(ratio - before) <= EQUAL * ratio
        if same or ratio < 1.0 - EQUAL:
            self._warn(
                f"Gradients changed by a factor of {1.0 / ratio:.3g} between backward and step, which is no "
                "clipping; noise is in the units of the step. Give `scaler=` if a GradScaler did it."
            )
            return Units(1.0, 1.0 / ratio)
        return _units(ratio)

    def _scale(self, changed: bool) -> float | None:
        scaler = self.scaler
        if scaler is None and changed:
            scaler = _scaler_that_steps()
        return float(scaler.get_scale()) if scaler is not None and scaler.is_enabled() else None

    def _warn(self, message: str) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(message, NoiseWarning, stacklevel=2)


def _units(ratio: float, scale: float = 1.0) -> Units:
    """Return units of gradients that became shorter by `ratio`, of a loss times `scale`."""
    step, backward = ratio / scale, 1.0 / scale
    for whole in (1.0, backward):  # unscaled alone, or not even that
        if abs(step - whole) <= EQUAL * whole:
            return Units(whole, backward)
    return Units(step, backward, clipped=True)


def _scaler_that_steps() -> Any:
    """Return the GradScaler whose `step` called the optimizer's, None if none did.

    Its scale alone tells unscaling from clipping where both were done: the frames that led here hold it.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename != _SCALER_FILE:
        frame = frame.f_back
    return None if frame is None else frame.f_locals.get("self")
