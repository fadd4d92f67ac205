"""Debiased averages of a pair of raw series, with a covariance that respects autocorrelation.

The pair is (|G|², tr Σ), one unbiased value of each a step, which may be negative. **Order matters**:
raw values are averaged here, and clamped by whoever reads, never before. At |G|² = .0025, tr Σ = 50 in 50
dimensions and 4 rows a step, clamping each step first averages to 1.1 (`tests/test_noise.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MOST_BLOCKS = 32
"""Blocks kept; when they are full and may still grow, neighbours join, so 16 to 32 stand at any time."""

FEWEST_BLOCKS = 8
"""Below this many, the spread between blocks says too little, and the rows within the steps are asked."""


class Covariance(NamedTuple):
    """Covariance of the averages of the pair, and the degrees of freedom behind it."""

    first: float
    both: float
    second: float
    degrees_of_freedom: float


@dataclass(slots=True)
class _Block:
    """Decayed sums over consecutive steps; their weights are as of `end`, the step of the last of them."""

    end: int
    weight: float
    first: float
    second: float
    length: int

    def add(self, decay: float, first: float, second: float) -> None:
        self.weight = decay * self.weight + 1.0
        self.first = decay * self.first + first
        self.second = decay * self.second + second
        self.end += 1
        self.length += 1

    def joined(self, later: _Block, decay: float) -> _Block:
        """Return the block that holds this one's steps and those of `later`, which follow."""
        fade = decay ** (later.end - self.end)
        return _Block(
            later.end,
            fade * self.weight + later.weight,
            fade * self.first + later.first,
            fade * self.second + later.second,
            self.length + later.length,
        )


@dataclass(slots=True)
class _State:
    """All that changes."""

    count: int = 0  # steps taken in
    weight: float = 0.0  # Σ decay^age
    first: float = 0.0  # Σ decay^age · first
    second: float = 0.0
    within: tuple[float, float, float] = (0.0, 0.0, 0.0)  # Σ decay^(2 age) · covariance within a step
    within_count: int = 0  # steps that brought one
    within_freedom: float = 0.0  # their degrees of freedom
    block_length: int = 1
    blocks: list[_Block] = field(default_factory=list)


class DecayedAverages:
    """Averages Σ decay^age · value / Σ decay^age of two series: exact debiasing at every length.

    Parameters
    ----------
    decay : float
        Weight of a step relative to the next, in [0, 1).

    Notes
    -----
    The covariance comes from 16–32 blocks of consecutive steps, long enough that neighbours hardly
    correlate: they double in length until a block spans a quarter of the memory 1/(1 − decay). Formulas for
    independent steps would be far too narrow on a training run. Memory and cost a step are O(1).
    """

    __slots__ = ("_longest", "decay", "state")

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self._longest = max(1, math.ceil(0.25 / (1.0 - decay)))
        self.state = _State()

    def add(
        self, first: float, second: float, within: tuple[float, float, float, float] | None = None
    ) -> None:
        """Take in one step; `within` is (Var first, Cov, Var second, degrees of freedom) from its rows."""
        s = self.state
        s.weight = self.decay * s.weight + 1.0
        s.first = self.decay * s.first + first
        s.second = self.decay * s.second + second
        s.count += 1
        if s.within_count or within:
            self._add_within(within)
        if not s.blocks or s.blocks[-1].length >= s.block_length:
            s.blocks.append(_Block(s.count - 1, 0.0, 0.0, 0.0, 0))
        s.blocks[-1].add(self.decay, first, second)
        if len(s.blocks) > MOST_BLOCKS:
            self._make_room()

    def _add_within(self, within: tuple[float, float, float, float] | None) -> None:
        s = self.state
        square = self.decay * self.decay
        added = within or (0.0, 0.0, 0.0, 0.0)
        s.within = (
            square * s.within[0] + added[0],
            square * s.within[1] + added[1],
            square * s.within[2] + added[2],
        )
        s.within_freedom += added[3]
        s.within_count += within is not None

    def _make_room(self) -> None:
        s = self.state
        if s.block_length >= self._longest:
            del s.blocks[0]
            return
        newest = s.blocks.pop()
        pairs = zip(s.blocks[::2], s.blocks[1::2], strict=True)
        s.blocks = [*(a.joined(b, self.decay) for a, b in pairs), newest]
        s.block_length *= 2

    @property
    def first(self) -> float:
        """The average of the first series; nan before a step."""
        return self.state.first / self.state.weight if self.state.weight else math.nan

    @property
    def second(self) -> float:
        """The average of the second series; nan before a step."""
        return self.state.second / self.state.weight if self.state.weight else math.nan

    def covariance(self) -> Covariance | None:
        """Return the covariance of the two averages, or None where nothing tells it yet."""
        s = self.state
        if len(s.blocks) >= FEWEST_BLOCKS:
            return self._between_blocks()
        if s.within_count == s.count > 0:
            scale = 1.0 / (s.weight * s.weight)
            first, both, second = (scale * v for v in s.within)
            return Covariance(first, both, second, max(s.within_freedom, 1.0))
        return None

    def _between_blocks(self) -> Covariance:
        """Delete-one-block jackknife of a weighted mean, linearised; exact for equal weights."""
        s = self.state
        weights = [self.decay ** (s.count - b.end) * b.weight for b in s.blocks]
        total = math.fsum(weights)
        first = math.fsum(w * b.first / b.weight for w, b in zip(weights, s.blocks, strict=True)) / total
        second = math.fsum(w * b.second / b.weight for w, b in zip(weights, s.blocks, strict=True)) / total
        squares = a = ab = bb = 0.0
        for weight, block in zip(weights, s.blocks, strict=True):
            share = (weight / total) ** 2
            x = block.first / block.weight - first
            y = block.second / block.weight - second
            squares += share
            a += share * x * x
            ab += share * x * y
            bb += share * y * y
        scale = 1.0 / max(1.0 - squares, 1e-12)
        return Covariance(a * scale, ab * scale, bb * scale, max(1.0 / squares - 1.0, 1.0))

    def merge(self, other: DecayedAverages) -> None:
        """Pool the sums of another run over the same steps; blocks stay those of the longer of the two."""
        s, o = self.state, other.state
        if o.count > s.count:
            s.blocks, s.block_length = [*o.blocks], o.block_length
        s.count = max(s.count, o.count)
        s.weight += o.weight
        s.first += o.first
        s.second += o.second
        s.within = tuple(a + b for a, b in zip(s.within, o.within, strict=True))  # type: ignore[assignment]
        s.within_count = max(s.within_count, o.within_count)
        s.within_freedom += o.within_freedom

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain numbers and lists."""
        s = self.state
        state = {name: getattr(s, name) for name in s.__slots__}
        state["within"] = list(s.within)
        state["blocks"] = [[b.end, b.weight, b.first, b.second, b.length] for b in s.blocks]
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        fields = dict(state)
        fields["within"] = tuple(state["within"])
        fields["blocks"] = [_Block(*block) for block in state["blocks"]]
        self.state = _State(**fields)
