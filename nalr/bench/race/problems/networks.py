"""The networks of torch among the problems."""

from nalr.bench.race.problems.convolutions import conv_net
from nalr.bench.race.problems.transformer import char_transformer

__all__ = ["char_transformer", "conv_net"]
