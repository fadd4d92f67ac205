"""Whether the loss follows its gradients: the second witness before the loss, or they, move the rate far."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nalr.policies.noise_adaptive.loss_level import LossLevel


@dataclass(frozen=True, kw_only=True)
class AgreementSettings:
    """How much of what the gradients account for the loss must show."""

    agreement: float = 0.1
    """The loss follows its gradients where it fell by at least this share of what they account for. Not more:
    a loss may have been divided by the number of microbatches, …"""
    agreement_errors: float = 2.0
    """… and may be this many standard errors of the smoothed loss off."""
    agreement_whole: float = 0.2
    """The same share over the whole run, where κ is not known: another player, or a plan, raises the loss as
    often as the steps lower it."""
    other_losses: float = 1.5
    """A loss may go to another level this often, of late; what it rises then is not held against the run."""


@dataclass(slots=True)
class Agreement:
    """Compares the fall of the smoothed loss with the gradients' own account of it.

    The fresh gradient at the end of each step says how far the loss goes on falling along it, without bias.
    Where the loss shows none of that, it is not the function that the steps descend: its value is a constant
    by construction (policy gradients), another player raises it again, or it is not the loss of this model.
    """

    follows: bool = True
    in_all: bool = True  # over the whole run, too
    loss: float = math.nan  # slow average of the smoothed loss
    account: float = 0.0  # the same of the gradients' account
    count: int = 0

    def update(self, c: AgreementSettings, level: LossLevel, window: float) -> None:
        """Take in a step, for averages over `window` steps."""
        self.count += 1
        share = max(1.0 / window, 1.0 / self.count)
        self.loss = level.value if self.count == 1 else self.loss + share * (level.value - self.loss)
        self.account += share * (level.attributed - self.account)
        promised, fallen = self.account - level.attributed, self.loss - level.value
        errors = c.agreement_errors
        shown = fallen + errors * level.standard_error
        self.follows = promised <= 0.0 or shown >= c.agreement * promised
        # The start is one loss, and as far off as one loss may be.
        in_all = level.start - level.value + errors * level.noise
        self.in_all = not in_all < c.agreement_whole * level.promised

    def begin(self) -> None:
        """Compare anew from the next step on."""
        self.follows, self.count = True, 0
