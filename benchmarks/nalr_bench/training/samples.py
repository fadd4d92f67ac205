"""tr Σ of the samples, by norms from one backward and by gradients of every sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nalr_bench.machine import available_memory
from nalr_bench.training.oracles import total_variance
from nalr_bench.training.run import Run, Setup
from nalr_bench.training.steps import once
from nalr_bench.training.study import PLAIN, Beats, Job, Variant
from nalr_bench.workload import agree

if TYPE_CHECKING:
    from torch import Tensor

GHOST, VMAP = "norms of samples", "vmap(grad)"
CHEAPER = 5.0
ROUNDING = 1e-4
"""Relative error of sums of float32 squares."""

COPIES = 3
"""Copies of all samples' gradients that vmap and the sums need."""


def samples(setup: Setup) -> Job:
    """Return a backward alone, with tr Σ by `SampleNorms`, and with tr Σ by `torch.func`."""
    run, ghost = setup.fresh(), by_norms(setup.fresh())
    expected = total_variance(setup.fresh(), setup.batches[0])
    agree("tr Σ by norms of samples", ghost(), expected, ROUNDING)

    def backward() -> None:
        run.optimizer.zero_grad()
        once(run)

    variants = [Variant(PLAIN, backward), Variant(GHOST, ghost)]
    rows = len(setup.batches[0][0])
    need = COPIES * rows * sum(p.numel() * p.element_size() for p in run.parameters())
    if need > available_memory() // 2:
        return Job(variants, [f"{VMAP}: would take more than half of the memory that is free"])
    every = by_vmap(setup.fresh())
    agree("tr Σ by vmap(grad)", every(), expected, ROUNDING)
    return Job([*variants, Variant(VMAP, every, beaten=Beats(GHOST, CHEAPER))])


def by_norms(run: Run) -> Callable[[], float]:
    """Return a function that does a backward and returns tr Σ of its samples."""
    import torch

    from nalr.torch.ghost import SampleNorms

    norms = SampleNorms(run.model)
    parameters = run.parameters()

    def variance() -> float:
        run.optimizer.zero_grad()
        once(run)
        sums = norms.collect()
        assert sums is not None
        squares = sums.squared_norms.double()
        gradients = [p.grad for p in parameters if p.grad is not None]
        lengths = torch.stack(torch._foreach_norm(gradients)).double()
        return float(squares.sum() - len(squares) * lengths.square().sum()) / (len(squares) - 1)

    return variance


def by_vmap(run: Run) -> Callable[[], float]:
    """Return a function that returns tr Σ from every sample's gradient."""
    from torch import func

    named = {name: parameter.detach() for name, parameter in run.model.named_parameters()}

    def loss(values: dict[str, Tensor], inputs: Tensor, target: Tensor) -> Tensor:
        scores = func.functional_call(run.model, values, (inputs[None],))
        return run.criterion(scores, target[None])

    gradients_of = func.vmap(func.grad(loss), in_dims=(None, 0, 0))

    def variance() -> float:
        inputs, targets = next(run.batches)
        every = gradients_of(named, inputs, targets)
        count = len(inputs)
        squares = sum(float(g.square().sum()) for g in every.values())
        mean = sum(float(g.mean(0).square().sum()) for g in every.values())
        return (squares - count * mean) / (count - 1)

    return variance
