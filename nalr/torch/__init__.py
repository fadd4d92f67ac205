"""nalr around any PyTorch optimizer: two lines in a training loop."""

from nalr.torch.ghost import SampleNorms
from nalr.torch.products.hessian import finite_difference_hvp, hessian_vector_product
from nalr.torch.products.second_moments import preconditioner
from nalr.torch.scheduler import NoiseAdaptiveLR
from nalr.torch.undo.snapshot import Snapshot
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
