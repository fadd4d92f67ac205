"""The border between arrays and numbers: the sums of one step."""

from nalr.moments.record import Moments

__all__ = ["Moments"]
