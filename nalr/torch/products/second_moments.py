"""The diagonal that an adaptive optimizer multiplies gradients by, read from its state."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer


def preconditioner(optimizer: Optimizer) -> NDArray[np.float64]:
    """Return P (D,) of an optimizer whose step is rate · P ⊙ (averaged gradient), as its state has it now.

    For `NoiseEstimator.update(..., preconditioner=P)`, which then measures noise as such an optimizer sees
    it. Take it *before* the step is made: what is read is then the previous step's, which shares no noise
    with the gradients at hand.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        Adam, AdamW, NAdam or RAdam, with `amsgrad` or not: 1/(√v̂ + ε), v̂ without its initial bias.
        RMSprop, centered or not: 1/(√v + ε). Adagrad: 1/(√Σg² + ε). Others that keep their second moments
        under the same names are read in the same way. It has made a step.

    Returns
    -------
    ndarray, shape (D,), float64
        In the order of `param_groups` and their parameters: that of `model.parameters()`, where those were
        handed over. Groups with other rates count by rate over the first group's. A parameter that has
        never had a gradient has the P of v = 0, its largest value, 1/ε.

    Raises
    ------
    ValueError
        If no parameter has second moments: before the first step, or in an optimizer that keeps none.

    Notes
    -----
    Cost: one copy of the second moments. Weight decay, momentum and RAdam's rectification are no part of P.

    Examples
    --------
    >>> import torch
    >>> weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    >>> adam = torch.optim.Adam([weight], betas=(0.9, 0.5), eps=0.0)
    >>> weight.grad = torch.tensor([4.0, 0.5])
    >>> adam.step()
    >>> preconditioner(adam)
    array([0.25, 2.  ])
    """
    pieces, known = [], False
    rates = [float(group["lr"]) for group in optimizer.param_groups]
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        relative = rate / rates[0] if rates[0] > 0.0 else 1.0
        for parameter in group["params"]:
            moments = _second_moments(optimizer.state.get(parameter, {}), group)
            known = known or moments is not None
            root = np.zeros(parameter.numel()) if moments is None else np.sqrt(_flat(moments))
            with np.errstate(divide="ignore"):  # ε = 0 may be meant
                pieces.append(relative / (root + group.get("eps", 0.0)))
    if not known:
        raise ValueError(
            f"`optimizer` must hold second moments, got {type(optimizer).__name__} without: either it keeps "
            "none, or it has not made a step yet."
        )
    return np.concatenate(pieces)


def _second_moments(state: dict[str, Any], group: dict[str, Any]) -> Tensor | None:
    """Return what the root is taken of, None where there is nothing yet."""
    if "exp_avg_sq" in state:
        moments: Tensor = state.get("max_exp_avg_sq", state["exp_avg_sq"])
        step = float(state.get("step", math.inf))
        beta = float(group["betas"][1])
        return moments / (1.0 - math.pow(beta, step))
    if "square_avg" in state:
        square: Tensor = state["square_avg"]
        centre = state.get("grad_avg")
        return square if centre is None else (square - centre * centre).clamp(min=0.0)
    total: Tensor | None = state.get("sum")
    return total


def _flat(tensor: Tensor) -> NDArray[np.float64]:
    return tensor.detach().reshape(-1).cpu().double().numpy()
