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
    late : bool
        Whether it was given after its step, and so serves the decision on the next.
    """

    def __init__(self) -> None:
        self.latest: Loss | None = None
        self.late = False
        self._given = False  # whether there ever was one
        self._estimate = 0.0  # the change of the loss that gradients predict, from the start
        self._warned = False

    def give(self, loss: Loss, made: bool = True, late: bool = False) -> None:
        """Keep the loss for the next decision.

        One that is not finite, of a step that was not `made`, is that of a step that a GradScaler left out.
        """
        self._given = True
        if made or math.isfinite(float(loss)):
            self.latest, self.late = loss, late

    def estimated(self, step_product: float) -> float | None:
        """Return the change of the loss that gradients predict, used where no loss was given.

        None, with one warning, where losses were given before: the two cannot be compared.

        Parameters
        ----------
        step_product : float
            ⟨g, s⟩ of the last step s = x_before − x_now; nan before there was one.
        """
        if not self._given:
            self._estimate -= 0.0 if math.isnan(step_product) else step_product
            return self._estimate
        if not self._warned:
            self._warned = True
            warnings.warn(
                "No loss was given since the last step, so the rate is held: call `step(loss)` after each.",
                NoiseWarning,
                stacklevel=3,
            )
        return None

    def state_dict(self) -> dict[str, Any]:
        """Return the state; a loss that waits is read."""
        latest = None if self.latest is None else float(self.latest)
        return {"latest": latest, "late": self.late, "given": self._given, "estimate": self._estimate}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        self.latest, self.late = state["latest"], state["late"]
        self._given, self._estimate = state["given"], state["estimate"]


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
