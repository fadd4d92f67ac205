"""When to copy a run that does well, and when to return to the copy."""

from __future__ import annotations

import math
from typing import Any

from nalr.policies.base import Decision, Reason
from nalr.torch.undo.snapshot import Snapshot

EVERY = 100
"""Steps between copies: a copy takes about the memory traffic of an optimizer's step: one percent of it."""

PATIENCE = 10
"""A copy is made only where the smoothed loss is no higher than at the last, but after so many times `EVERY`
steps in any case: a loss that rises for good reasons must not leave the copy behind for ever."""

SHARE = 0.1
"""The rate after a return, as a share of that which blew up."""

HARMED = frozenset((Reason.BLOW_UP, Reason.SKIP, Reason.CUT, Reason.KICK, Reason.CLIP, Reason.BOUND))
"""Reasons that say the parameters are no place to return to, or the rate not what led there."""


class Rollback:
    """Takes snapshots while a run does well, and says when to return to the last.

    Parameters
    ----------
    snapshot : Snapshot
        The copy.
    every : int
        Steps between copies.
    """

    def __init__(self, snapshot: Snapshot, every: int = EVERY) -> None:
        self.snapshot, self.every = snapshot, every
        self.returns = 0
        self.due = False
        """Whether to return to the copy after the step about to be made."""
        self.lr = math.nan  # to go on with after the return that was asked for
        self._taken_at = -every
        self._loss = math.inf  # smoothed, at the last copy
        self._last_lr = math.nan  # that was decided without harm
        self._cuts = 0.0  # so far, by the policy's count

    def follow(self, decision: Decision, step: int) -> None:
        """Copy the run if it does well; note whether the step about to be made must be undone."""
        self.due = self._blew_up(decision) and self.snapshot.fits
        if self.due:
            self.lr = SHARE * (decision.lr if math.isnan(self._last_lr) else self._last_lr)
            self._last_lr = self.lr
            return
        if decision.reason not in HARMED:
            self._last_lr = decision.lr
        since = step - self._taken_at
        if since >= self.every and decision.reason not in HARMED:
            loss = decision.evidence.get("smoothed_loss", -math.inf)
            if loss <= self._loss or since >= PATIENCE * self.every or not self.snapshot.fits:
                self.snapshot.take()
                self._taken_at, self._loss = step, loss

    def _blew_up(self, decision: Decision) -> bool:
        """Whether the run is to return: also after a cut so deep that the reason is the bound of the rate."""
        before, self._cuts = self._cuts, decision.evidence.get("cuts", self._cuts)
        if decision.reason is Reason.BOUND:
            return self._cuts > before
        return decision.reason in (Reason.BLOW_UP, Reason.SKIP)

    def renew(self) -> None:
        """Copy the run at once if there was a copy: that one is of other parameters.

        Parameters that are not finite are no place to return to; a copy is then made as soon as all is well.
        """
        if self.snapshot.taken:
            self.snapshot.forget()
            self._taken_at = -self.every
            if self.snapshot.finite:
                self.snapshot.take()

    def restore(self) -> None:
        """Return to the last copy."""
        self.snapshot.restore()
        self.returns += 1
        self.due = False

    def state_dict(self) -> dict[str, Any]:
        """Return the state, the copy included."""
        numbers = [self.returns, self.lr, self._taken_at, self._loss, self._last_lr, self._cuts]
        return {"numbers": numbers, "snapshot": self.snapshot.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        self.returns, self.lr, self._taken_at, self._loss, self._last_lr, self._cuts = state["numbers"]
        self.snapshot.load_state_dict(state["snapshot"])
