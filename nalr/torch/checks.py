"""Input checks: what cannot be measured is refused with a sentence that says what to do."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

from torch import Tensor
from torch.optim import Optimizer

WATCHED: WeakSet[Optimizer] = WeakSet()
"""Optimizers whose rates a scheduler or wrapper of ours sets at present."""


def checked_optimizer(optimizer: Any) -> Optimizer:
    """Return the optimizer whose hooks fire when a step is made.

    For a wrapper that keeps the real one in `optimizer` (Accelerate's, Lightning's), that is the real one.

    Raises
    ------
    TypeError
        If it is none, or steps where no hook sees it.
    ValueError
        If another scheduler or wrapper of ours sets its rates.
    """
    seen = optimizer
    for _ in range(8):
        if type(seen).__module__.split(".")[0] == "deepspeed":
            raise TypeError(
                "`optimizer` must keep its gradients until its step, got one of DeepSpeed, which partitions "
                "them. Drive `nalr.NoiseAdaptiveLR.update_policy` from its own gradient norms instead."
            )
        if _has_hooks(seen):
            break
        found = [getattr(seen, name, None) for name in ("optimizer", "_optimizer", "inner")]
        seen = next((inner for inner in found if inner is not None), None)
    if not isinstance(seen, Optimizer) or not _has_hooks(seen):
        raise TypeError(
            f"`optimizer` must be a torch.optim.Optimizer with step hooks, got {type(optimizer).__name__}."
        )
    if seen in WATCHED:
        raise ValueError(
            f"`optimizer` must not be watched already, got a watched {type(seen).__name__}. "
            "Call `detach()` of the other first."
        )
    return seen


def _has_hooks(optimizer: Any) -> bool:
    """Whether it has hooks of its own, not those of an optimizer that it delegates to."""
    return "_optimizer_step_pre_hooks" in getattr(optimizer, "__dict__", ())


def parameters_of(optimizer: Optimizer) -> list[Tensor]:
    """Return the parameters of all groups, each checked.

    Raises
    ------
    TypeError
        For complex parameters, DTensors (FSDP2, tensor parallel), and where an optimizer runs in the
        backward.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for parameter in parameters:
        if not parameter.is_floating_point():
            raise TypeError(
                f"`optimizer` must hold real floating-point parameters, got one of {parameter.dtype}. "
                "Put it into an optimizer of its own."
            )
        if hasattr(parameter, "_in_backward_optimizers"):
            raise TypeError(
                "`optimizer` must step after the backward: this model's optimizers run inside it and leave "
                "no gradient to measure. Do not apply them in the backward."
            )
        if hasattr(parameter, "to_local") or hasattr(parameter, "_fsdp_flattened"):
            raise TypeError(
                "`optimizer` must hold whole tensors, got a DTensor (FSDP or tensor parallel), whose shards "
                "lie on other devices. Use DistributedDataParallel, or drive `update_policy` yourself."
            )
    return parameters


def parameters_with_gradients(optimizer: Optimizer) -> tuple[list[Tensor], bool]:
    """Return the parameters of all groups, and whether any has a gradient.

    Raises
    ------
    TypeError
        If a gradient is sparse.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    has_gradient = False
    for parameter in parameters:
        gradient = parameter.grad
        if gradient is None:
            continue
        has_gradient = True
        if gradient.layout is not parameter.layout:
            raise TypeError(
                f"Gradients must be dense, got {gradient.layout} for a parameter of shape "
                f"{tuple(parameter.shape)}. Build its layer with `sparse=False`."
            )
    return parameters, has_gradient
