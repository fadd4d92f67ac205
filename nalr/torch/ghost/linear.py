"""Linear layers: Gᵢ = Σₜ bₜaₜᵀ over the places t of a sample."""

from __future__ import annotations

from torch import Tensor, nn

from nalr.torch.ghost.layer import Layer, last_axis_bias
from nalr.torch.ghost.uses import Outer


def _expand(inputs: Tensor, grads: Tensor) -> tuple[Tensor, Tensor]:
    return (
        grads.reshape(len(grads), 1, -1, grads.shape[-1]),
        inputs.reshape(len(inputs), 1, -1, inputs.shape[-1]),
    )


def _weight(module: nn.Module, inputs: Tensor, grads: Tensor) -> Outer:
    length = grads[0, ..., 0].numel()
    return Outer(inputs, grads, length, 1, (grads.shape[-1], inputs.shape[-1]), _expand)


LINEAR = Layer(
    rules={"weight": _weight, "bias": last_axis_bias},
    axes=lambda module: 2,
    kind=lambda module, name: "matrix" if name == "weight" else "vector",
)

LAYERS: dict[type[nn.Module], Layer] = {nn.Linear: LINEAR}
