"""The norms of samples as a source of noise, while they cover the model."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence, Set

import torch
from torch import Tensor
from torch.nn import Module

from nalr._checks import NoiseWarning
from nalr.torch.ghost import SampleNorms
from nalr.torch.sums.ranks import SampleTotals
from nalr.torch.sums.views import wide

CHECKED = 2
"""Steps after which coverage is read again in any case: some layers show only in a pass what they do."""

RANGE = (1e-20, 1e20)
"""Where squared norms in float32 are exact to rounding: its own range is 10⁻³⁸ to 10³⁸, and those of single
values, and of samples before they are multiplied by the batch, are smaller by powers of ten."""


class SampleSource:
    """The sums over samples of each step.

    Parameters
    ----------
    model : Module
        The norms are those of its layers.
    optional : bool
        Whether another source will do: then this one ends without a warning when a parameter turns out not
        to be covered, or samples to be mixed. Else such parameters are named in a `NoiseWarning`.
    """

    def __init__(self, model: Module, optional: bool) -> None:
        self.norms = SampleNorms(model)
        self.optional, self.active = optional, True
        self._left = CHECKED
        self._named: tuple[str, ...] = ()
        self._review()

    def collect(self, backwards: int, tasks: Set[int] | None) -> SampleTotals | None:
        """Return the sums of this many backwards, and forget them; None without samples.

        Parameters
        ----------
        backwards : int
            How many gradients were added to that of the step.
        tasks : set of int or None
            Autograd's numbers of these backwards; None where they cannot be told from others, whose
            gradients were thrown away.
        """
        if not self.active:
            return None
        if tasks is None:
            self.norms.clear()
            return None
        try:
            drawn = self.norms.collect(tasks)
        except RuntimeError as error:
            if not self.optional:
                raise
            self._end(f"Norms of samples are no longer measured: {error}")
            return None
        if self.norms.outgrown:
            self._renew()
            return None
        if self._left or self.norms.given_up != self._given_up:
            self._left = max(self._left - 1, 0)
            self._review()
        if drawn is None or not self.active:
            return None
        norms = drawn.squared_norms.to(torch.float64)
        squares = float(norms.sum()) * max(backwards, 1) ** 2
        squared_norm = _squared_norm(self.norms.covered_parameters())
        in_range = self._keep_in_range(squares / norms.numel(), squared_norm)
        return SampleTotals(norms.numel(), squares, squared_norm) if in_range else None

    def _keep_in_range(self, mean: float, squared_norm: float) -> bool:
        """Return whether |gᵢ|², on average `mean`, is right; scale the next ones before they leave float32.

        The norm of the whole gradient is of float64, and no longer than those of samples are on average.
        """
        if not RANGE[0] < self.norms.scale**2 * mean < RANGE[1] and 0.0 < squared_norm < math.inf:
            self.norms.scale = 2.0 ** -round(0.5 * math.log2(squared_norm))
        return 0.0 < mean < math.inf or not 0.0 < squared_norm < math.inf

    def _review(self) -> None:
        """End where this source is optional and does not cover all; else name what is new."""
        uncovered, self._given_up = self.norms.uncovered, self.norms.given_up
        if self.optional:
            if uncovered or self.norms.mixing or hasattr(self.norms.model, "_orig_mod"):
                self._end()
        elif set(uncovered) - set(self._named):
            self._named = uncovered
            reasons = "; ".join(f"{name} ({self.norms.reasons[name]})" for name in uncovered)
            warnings.warn(
                f"Norms of samples do not cover {reasons}. Noise is that of the other parameters.",
                NoiseWarning,
                stacklevel=2,
            )

    def _renew(self) -> None:
        """Hang hooks on the layers that are new to the model too; what they do shows in its next passes."""
        self.norms.close()
        scale, self.norms = self.norms.scale, SampleNorms(self.norms.model)
        self.norms.scale = scale
        self._left = CHECKED
        self._review()

    def _end(self, message: str = "") -> None:
        self.active = False
        self.norms.close()
        if message:
            warnings.warn(message, NoiseWarning, stacklevel=2)

    def clear(self) -> None:
        """Forget the backwards since the last step."""
        if self.active:
            self.norms.clear()

    def close(self) -> None:
        """Take the hooks away."""
        if self.active:
            self.norms.close()


def _squared_norm(parameters: Sequence[Tensor]) -> float:
    """Return |g|² over whole gradients, summed where they are."""
    gradients = [p.grad.detach() for p in parameters if p.grad is not None]
    if not gradients:
        return 0.0
    norms = torch._foreach_norm(gradients, 2, dtype=wide(gradients[0]))
    joined = torch.stack([norm.to(gradients[0].device) for norm in norms])
    return float(torch.sum(joined * joined))
