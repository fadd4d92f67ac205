"""Blocks of consecutive steps of two series, from which their long-run variance is estimated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

MOST_BLOCKS = 32
"""Blocks kept; when they are full and may still grow, neighbours join, so 16 to 32 stand at any time."""

MEMORIES_A_BLOCK = 0.125
"""Longest block, in memories 1/(1 − decay): 32 of them look back over four, beyond which a step weighs e⁻⁴.
With eight memories a run that drifts, as runs do, had intervals 2 to 4 times wider."""


@dataclass(slots=True)
class Series:
    """What a block keeps of one series."""

    mean: float = 0.0
    squares: float = 0.0  # Σ (value − mean)²
    changes: float = 0.0  # Σ (value − value of the step before)²; the latter may lie in the block before

    def add(self, value: float, before: float, count: int) -> None:
        """Take in the `count`-th value of the block (Welford 1962)."""
        deviation = value - self.mean
        self.mean += deviation / count
        self.squares += deviation * (value - self.mean)
        if before == before:  # there is one
            change = value - before
            self.changes += change * change  # not ** 2, which raises where this is infinite

    def numbers(self) -> tuple[float, float, float]:
        """Return what it holds, in the order of its fields."""
        return self.mean, self.squares, self.changes

    def joined(self, later: Series, length: int, later_length: int) -> Series:
        """Return the series of both blocks (Chan, Golub & LeVeque 1979)."""
        total = length + later_length
        apart = later.mean - self.mean
        return Series(
            (length * self.mean + later_length * later.mean) / total,
            self.squares + later.squares + apart * apart * length * later_length / total,
            self.changes + later.changes,
        )

    def pooled(self, other: Series, share: float) -> Series:
        """Return the series of share · ours + (1 − share) · theirs, whose noises are independent."""
        rest = 1.0 - share
        return Series(
            share * self.mean + rest * other.mean,
            share * share * self.squares + rest * rest * other.squares,
            share * share * self.changes + rest * rest * other.changes,
        )


@dataclass(slots=True)
class Block:
    """Consecutive steps of the pair."""

    length: int
    first: Series
    second: Series


class Blocks:
    """The latest steps of a pair of series: 16 to 32 blocks of equal length, but for the newest.

    Parameters
    ----------
    decay : float
        Weight of a step relative to the next in the averages that the blocks serve, in [0, 1).
    """

    __slots__ = ("_longest", "blocks", "latest", "length")

    def __init__(self, decay: float) -> None:
        self._longest = max(1, math.ceil(MEMORIES_A_BLOCK / (1.0 - decay)))
        self.length = 1
        self.blocks: list[Block] = []
        self.latest = (math.nan, math.nan)  # values of the latest step

    def add(self, first: float, second: float) -> None:
        """Take in one step; O(1) but for the joining, which is so on average."""
        if not self.blocks or self.blocks[-1].length >= self.length:
            self.blocks.append(Block(0, Series(), Series()))
        newest = self.blocks[-1]
        newest.length += 1
        newest.first.add(first, self.latest[0], newest.length)
        newest.second.add(second, self.latest[1], newest.length)
        self.latest = first, second
        if len(self.blocks) > MOST_BLOCKS:
            self._make_room()

    def _make_room(self) -> None:
        if self.length >= self._longest:
            del self.blocks[0]
            return
        newest = self.blocks.pop()
        pairs = zip(self.blocks[::2], self.blocks[1::2], strict=True)
        self.blocks = [
            Block(
                a.length + b.length,
                a.first.joined(b.first, a.length, b.length),
                a.second.joined(b.second, a.length, b.length),
            )
            for a, b in pairs
        ] + [newest]
        self.length *= 2

    def complete(self) -> list[Block]:
        """Return the blocks that are full, oldest first."""
        return [block for block in self.blocks if block.length == self.length]

    def merge(self, other: Blocks, share: float) -> None:
        """Pool with what others saw of the same steps, ours with weight `share`.

        Where the two did not see equally many steps, the longer record is kept.
        """
        if [b.length for b in self.blocks] == [b.length for b in other.blocks]:
            self.blocks = [
                Block(
                    mine.length,
                    mine.first.pooled(theirs.first, share),
                    mine.second.pooled(theirs.second, share),
                )
                for mine, theirs in zip(self.blocks, other.blocks, strict=True)
            ]
            pairs = zip(self.latest, other.latest, strict=True)
            self.latest = tuple(share * a + (1.0 - share) * b for a, b in pairs)  # type: ignore[assignment]
        elif sum(b.length for b in other.blocks) > sum(b.length for b in self.blocks):
            self.load_state_dict(other.state_dict())

    def copy(self) -> Blocks:
        """Return an equal record, independent of this one; only the newest block changes in place."""
        twin = Blocks.__new__(Blocks)
        twin._longest, twin.length, twin.latest = self._longest, self.length, self.latest
        twin.blocks = self.blocks[:-1] + [
            Block(b.length, Series(*b.first.numbers()), Series(*b.second.numbers())) for b in self.blocks[-1:]
        ]
        return twin

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain numbers and lists."""
        return {
            "length": self.length,
            "latest": list(self.latest),
            "blocks": [[b.length, *b.first.numbers(), *b.second.numbers()] for b in self.blocks],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        self.length = int(state["length"])
        first, second = state["latest"]
        self.latest = (first, second)
        self.blocks = [Block(int(b[0]), Series(*b[1:4]), Series(*b[4:])) for b in state["blocks"]]
