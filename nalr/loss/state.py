"""What a smoother remembers."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class SmootherState:
    """All that changes in a `LossSmoother`, except the line, which its `Trend` holds."""

    smoothed: float | None = None
    count: int = 0  # finite losses that the trend has taken
    nonfinite: int = 0
    skipped_at: int = -1  # `count` when a loss was last skipped: equal to it until the next finite loss
    spikes: int = 0
    recent: list[float] = field(default_factory=list)  # the last `window` losses before the spike filter
    memory: list[float] = field(default_factory=list)  # of the low-pass: two numbers a section
    pending: list[float] = field(default_factory=list)  # losses, less spikes, that the trend has yet to take

    def check(self, memory: int, window: int) -> None:
        """Raise unless the lengths agree with the count, for a low-pass with `memory` numbers."""
        lengths = {"memory": memory if self.count else 0, "recent": min(window, self.count)}
        for name, length in lengths.items():
            found = len(getattr(self, name))
            if found != length:
                raise ValueError(f"`state` must hold {length} numbers under {name!r}, got {found}.")
        if (self.smoothed is None) != (self.count == 0):
            raise ValueError(
                f"`state` must hold a smoothed loss once there is a count, got {self.smoothed!r} "
                f"with count {self.count}."
            )
