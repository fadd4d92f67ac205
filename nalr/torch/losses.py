"""The loss of a step: checked, kept until it is used, and estimated where none is given."""

from __future__ import annotations

import math
import warnings
from typing import Any

from torch import Tensor

from nalr._checks import NoiseWarning

Loss = float | Tensor


class Losses:
    """The latest loss, until a decision uses it.

    Attributes
    ----------
    latest : float, Tensor or None
        As it was given: reading a tensor waits for the device that it is on. Who uses it sets it to None.
    plain : bool
        Whether losses are used as they are given: a loss needs no `of_step` then.
    late : bool
        Whether it was given after its step, and so serves the decision on the next.
    sign : float
        What decisions take it times: −1 where the optimizer maximizes, 0 where its groups differ.
    shift : float
        What they then take off, so that a change of sign is none of level; nan until the next loss says it.
    level : float
        The number that was decided on last; who decides sets it.
    """

    def __init__(self) -> None:
        self.latest: Loss | None = None
        self.sign, self.shift, self.level = 1.0, 0.0, math.nan
        self.plain = self.late = False
        self._given = False  # whether losses are the series that decides
        self._estimate = 0.0  # the change of the loss that gradients predict, from the start
        self._estimated = 0  # steps decided by it
        self._in_a_row = 0  # losses that came since the last of these steps
        self._offset = 0.0  # of the losses from the estimates that they follow
        self._warned = False

    def give(self, loss: Loss, made: bool = True, late: bool = False) -> None:
        """Keep the loss for the next decision.

        One that is not finite, of a step that was not `made`, is that of a step that a GradScaler left out.
        """
        self._given = self._given or not (self._estimated or self.sign == 0.0)
        if made or math.isfinite(float(loss)):
            self.latest, self.late = loss, late

    def turn(self, sign: float) -> None:
        """Take losses times `sign` from the next on; the series goes on from the level that was reached."""
        known = math.isfinite(self.level)
        self.sign, self.shift = sign, math.nan if known and sign else 0.0
        self.plain = self._given = False
        self._estimate, self._offset = self.level if known else 0.0, 0.0
        self._estimated = self._in_a_row = 0

    def turned(self, loss: Loss) -> Loss | None:
        """Return a loss that falls where steps are good; None, with one warning, where groups differ."""
        if self.sign:
            loss = loss if self.sign > 0.0 else -loss
            if math.isnan(self.shift) and math.isfinite(float(loss)):
                self.shift = float(loss) - self.level
            return loss - self.shift if self.shift else loss
        self._warn(
            "Some groups of the optimizer maximize and others minimize, so the loss does not say whether a "
            "step was good: it is not used, and the rate follows the change that gradients predict."
        )
        return None

    @property
    def offset(self) -> float:
        """What the losses that decide are below those given: they follow estimates."""
        return self._offset if self._given else 0.0

    def of_step(self, loss: float | None, step_product: float) -> tuple[float | None, bool]:
        """Return the loss to decide a step on, and whether it is the change that gradients predict.

        That stands in where no loss was ever given.

        None, with one warning, where losses were given before: the two cannot be compared. So a loss that
        comes after such steps is not used either, with a warning: it may be that of an epoch, or of other
        samples. Where two come in a row they follow the estimates, moved to their level.

        Parameters
        ----------
        loss : float or None
            As given for this step.
        step_product : float
            ⟨g, s⟩ of the last step s = x_before − x_now; nan before there was one.
        """
        if self._given or not (self._estimated or loss is None):
            self._given, self.plain = True, self._offset == 0.0
            if loss is None:
                self._warn(
                    "No loss was given since the last step, so the rate is held: "
                    "call `step(loss)` after each."
                )
            return None if loss is None else loss - self._offset if self._offset else loss, False
        self._estimate -= 0.0 if math.isnan(step_product) else step_product
        if loss is None:
            self._estimated, self._in_a_row = self._estimated + 1, 0
            return self._estimate, True
        self._in_a_row += 1
        if self._in_a_row == 1:
            self._warn(
                f"A loss was given after {self._estimated} steps without one, so it is not used, and the "
                "rate follows the change that gradients predict: call `step(loss)` after each step, with its "
                "own training loss."
            )
        elif math.isfinite(loss):
            self._given, self._offset = True, loss - self._estimate
        return self._estimate, not self._given

    def _warn(self, message: str) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(message, NoiseWarning, stacklevel=4)

    def state_dict(self) -> dict[str, Any]:
        """Return the state; a loss that waits is read."""
        return {
            "latest": None if self.latest is None else float(self.latest),
            "late": self.late,
            "turned": [self.sign, self.shift, self.level],
            "given": self._given,
            "estimate": self._estimate,
            "estimated": self._estimated,
            "in_a_row": self._in_a_row,
            "offset": self._offset,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        self.latest, self._given, self._estimate = state["latest"], state["given"], state["estimate"]
        self._estimated, self._in_a_row = state["estimated"], state["in_a_row"]
        self._offset, self.late, self.plain = state["offset"], state["late"], False
        self.sign, self.shift, self.level = state["turned"]


def checked(loss: Any) -> Loss:
    """Return a loss as one number, or as a tensor of one that holds no graph: to read it now would wait.

    Raises
    ------
    TypeError, ValueError
        If it is not one number.
    """
    if isinstance(loss, Tensor):
        if loss.numel() != 1 or loss.is_complex():
            raise ValueError(
                f"`loss` must be one number, got a tensor of {loss.dtype} and shape {tuple(loss.shape)}."
            )
        return loss.detach()
    try:
        return float(loss)
    except (TypeError, ValueError):
        raise TypeError(f"`loss` must be one number, got {type(loss).__name__}.") from None
