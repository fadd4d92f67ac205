"""What cannot be measured is refused at the door, with a sentence that says what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer


def checked_optimizer(optimizer: Any) -> Optimizer:
    """Return the optimizer whose hooks fire when a step is made.

    Wrappers that keep the real one in `optimizer` (Accelerate's, Lightning's) are looked through.

    Raises
    ------
    TypeError
        If it is none, or steps where no hook sees it.
    """
    seen = optimizer
    for _ in range(8):
        if type(seen).__module__.split(".")[0] == "deepspeed":
            raise TypeError(
                "`optimizer` must keep its gradients until its step, got one of DeepSpeed, which partitions "
                "them. Drive `nalr.NoiseAdaptiveLR.update_policy` from its own gradient norms instead."
            )
        inner = getattr(seen, "optimizer", None) or getattr(seen, "_optimizer", None)
        if not hasattr(seen, "_optimizer_step_pre_hooks") and inner is not None:
            seen = inner
            continue
        break
    if not isinstance(seen, Optimizer) or not hasattr(seen, "_optimizer_step_pre_hooks"):
        raise TypeError(
            f"`optimizer` must be a torch.optim.Optimizer with step hooks, got {type(optimizer).__name__}."
        )
    return seen


def parameters_of(optimizer: Optimizer) -> list[Tensor]:
    """Return the parameters of all groups, each checked.

    Raises
    ------
    TypeError
        For complex parameters, DTensors (FSDP2, tensor parallel), and where an optimizer runs in the
        backward.
    """
    parameters: list[Tensor] = [p for group in optimizer.param_groups for p in group["params"]]
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
        if hasattr(parameter, "to_local"):
            raise TypeError(
                "`optimizer` must hold whole tensors, got a DTensor (FSDP2 or tensor parallel), whose shards "
                "lie on other devices. Use DistributedDataParallel, or drive `update_policy` yourself."
            )
    return parameters


def check_gradients(parameters: Sequence[Tensor]) -> None:
    """Raise a TypeError if a gradient is sparse."""
    for parameter in parameters:
        if parameter.grad is not None and parameter.grad.layout is not parameter.layout:
            raise TypeError(
                f"Gradients must be dense, got {parameter.grad.layout} for a parameter of shape "
                f"{tuple(parameter.shape)}. Build its layer with `sparse=False`."
            )
