"""Per-sample gradient norms in one backward pass, without per-sample gradients.

From the ground up: `uses` (factors to norms), `linear`, `convolution`, `embedding`, `normalization` (a
layer's input and output gradient to factors), `coverage` (which parameters), `tap` (one call of a layer),
`graph`, `passes` (one forward pass of the model), `listener` (the hooks), `norms`.
"""

from nalr.torch.ghost.norms import SampleNorms, SampleSums

__all__ = ["SampleNorms", "SampleSums"]
