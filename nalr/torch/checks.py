"""Input checks: what cannot be measured is refused with a sentence that says what to do."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer, Rprop

from nalr._checks import NoiseWarning
from nalr.torch.step import is_watched

WRAPPED = ("optimizer", "_optimizer", "inner", "original_optimizer", "base_optimizer", "optim")
"""Attributes in which wrappers of optimizers keep the real one."""


def checked_optimizer(optimizer: Any) -> Optimizer:
    """Return the optimizer whose hooks fire when a step is made.

    For a wrapper without hooks of its own that is the real one, in any of `WRAPPED`: Accelerate's and
    Lightning's keep it in `optimizer`, Opacus's in `original_optimizer`.

    Raises
    ------
    TypeError
        If it is none, steps where no hook sees it, or makes steps whose length is not its rate's.
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
        found = [getattr(seen, name, None) for name in WRAPPED]
        seen = next((inner for inner in found if inner is not None), None)
    if not isinstance(seen, Optimizer) or not _has_hooks(seen):
        raise TypeError(
            f"`optimizer` must be a torch.optim.Optimizer with step hooks, got {type(optimizer).__name__}."
        )
    _check_rate(seen)
    return unwatched(seen)


def unwatched(optimizer: Optimizer) -> Optimizer:
    """Return the optimizer.

    Raises
    ------
    ValueError
        If another scheduler or wrapper of ours sets its rates.
    """
    if is_watched(optimizer):
        raise ValueError(
            f"`optimizer` must not be watched already, got a watched {type(optimizer).__name__}. "
            "Call `detach()` of the other first."
        )
    return optimizer


def _check_rate(optimizer: Optimizer) -> None:
    """Raise a TypeError if the rate does not set the length of every step."""
    name, reason = type(optimizer).__name__, None
    if isinstance(optimizer, Rprop):
        reason = f"{name}, whose rate is only the size of its first step. Use it without a scheduler."
    elif any(base.__name__ == "LBFGS" for base in type(optimizer).__mro__):
        reason = f"{name}, whose curvature already scales its many inner steps. Use it without a scheduler."
    elif any(group.get("relative_step") for group in optimizer.param_groups):
        reason = f"{name} with `relative_step`, which replaces the rate. Give `relative_step=False` and `lr`."
    if reason is not None:
        raise TypeError(f"`optimizer` must make steps in proportion to its rate, got {reason}")


def _has_hooks(optimizer: Any) -> bool:
    """Whether it has hooks of its own, not those of an optimizer that it delegates to."""
    return "_optimizer_step_pre_hooks" in getattr(optimizer, "__dict__", ())


def parameters_of(optimizer: Optimizer) -> list[Tensor]:
    """Return the parameters of all groups that can have a gradient, each checked.

    Frozen ones of integers, as quantised layers hold, are left alone.

    Raises
    ------
    TypeError
        For complex parameters, DTensors (FSDP2, tensor parallel), and where an optimizer runs in the
        backward.
    """
    parameters = _measured(optimizer)
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


def _measured(optimizer: Optimizer) -> list[Tensor]:
    """Return the parameters that can have a gradient; frozen complex and integer ones are not among them."""
    held = [p for group in optimizer.param_groups for p in group["params"]]
    return [p for p in held if _able(p)]


def _able(parameter: Tensor) -> bool:
    return parameter.is_floating_point() or parameter.requires_grad


def senses_of(optimizer: Optimizer) -> tuple[list[float], float]:
    """Return −1 for each measured parameter whose group maximizes, 1 for the others, and what all share.

    That is the sign of the groups with something to train; 0 where these differ, as in a game of two players.
    """
    signs, trained = [], set()
    for group in optimizer.param_groups:
        sign = -1.0 if group.get("maximize") else 1.0
        measured = [p for p in group["params"] if _able(p)]
        signs += [sign] * len(measured)
        if any(p.requires_grad for p in measured):
            trained.add(sign)
    return signs, sum(trained) if trained else 1.0


def has_overflow(optimizer: Optimizer) -> bool:
    """Whether a gradient is not finite, so that a GradScaler left the step out; waits for the device."""
    gradients = [p.grad for p in _measured(optimizer) if p.grad is not None]
    return not all(bool(torch.isfinite(gradient).all()) for gradient in gradients)


def parameters_with_gradients(optimizer: Optimizer) -> tuple[list[Tensor], bool]:
    """Return the parameters that can have a gradient, and whether any has one.

    Raises
    ------
    TypeError
        If a gradient is sparse.
    """
    parameters = _measured(optimizer)
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


def warn_unseen(optimizer: Optimizer) -> None:
    """Say that losses came, and no step that they could be of."""
    warnings.warn(
        f"`scheduler.step` was called, but no step of its {type(optimizer).__name__} was seen, "
        "so its rate stays as it is. Call `optimizer.step()` first; if you did, give the scheduler the "
        "optimizer whose own `step` is called: not another one, one whose `step` was replaced by a "
        "function that does not call it, or one with two steps, like SAM's `first_step` and "
        "`second_step`, of which its `base_optimizer` makes the second. See "
        "https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate",
        NoiseWarning,
        stacklevel=5,
    )
