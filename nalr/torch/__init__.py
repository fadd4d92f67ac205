"""nalr around any PyTorch optimizer: two lines beside a training loop that stays as it is."""

from nalr.torch.curvature import finite_difference_hvp, hessian_vector_product
from nalr.torch.ghost import SampleNorms
from nalr.torch.scheduler import NoiseAdaptiveLR
from nalr.torch.second_moments import preconditioner
from nalr.torch.snapshot import Snapshot
from nalr.torch.wrapper import NoiseAdaptiveOptimizer

__all__ = [
    "NoiseAdaptiveLR",
    "NoiseAdaptiveOptimizer",
    "SampleNorms",
    "Snapshot",
    "finite_difference_hvp",
    "hessian_vector_product",
    "preconditioner",
]
