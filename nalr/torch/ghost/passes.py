"""What one forward pass of the model learns about its samples while its backward pass runs."""

from __future__ import annotations

from collections import Counter, defaultdict

from torch import Tensor

from nalr.torch.ghost.uses import Use, squared_norms


class Pass:
    """One forward pass: its number of samples, and |gᵢ|² of each parameter as soon as all uses have come.

    A parameter that was called once is settled on the spot. One that was called more often waits, with its
    factors in memory, until its last gradient has arrived, because the squared norm of a sum has cross terms.
    """

    __slots__ = ("calls", "samples", "squared", "tasks", "waiting")

    def __init__(self, samples: int | None) -> None:
        self.samples = samples
        self.calls: Counter[int] = Counter()  # by the parameter's id, as all of these
        self.waiting: defaultdict[int, list[Use]] = defaultdict(list)
        self.squared: dict[int, Tensor] = {}  # (B,) each
        self.tasks: set[int] = set()  # autograd's numbers of the backward passes that reached it

    def arrive(self, key: int, use: Use) -> bool:
        """Take one use; return whether it came in time to be added."""
        if key in self.squared:
            return False
        self.waiting[key].append(use)
        if len(self.waiting[key]) == self.calls[key]:
            self._settle(key)
        return True

    def settle(self) -> None:
        """Settle what waits for uses that got no gradient."""
        for key in list(self.waiting):
            self._settle(key)

    def _settle(self, key: int) -> None:
        self.squared[key] = squared_norms(self.waiting.pop(key))
