"""How long a run of the race is unless the caller says otherwise."""

from __future__ import annotations

NUM_STEPS = 2000


def length(num_steps: int | None) -> int:
    """Return `num_steps`, or the race's customary length without one."""
    return NUM_STEPS if num_steps is None else num_steps
