"""Reference values: the noise of a batch from the gradient of each sample in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nalr_bench.training.run import Batch, Run

if TYPE_CHECKING:
    from torch import Tensor


def gradient(run: Run, batch: Batch) -> Tensor:
    """Return the gradient of a batch's mean loss, flat, (D,), in float64; `.grad` is unchanged."""
    import torch

    inputs, targets = batch
    loss = run.criterion(run.model(inputs), targets)
    parts = torch.autograd.grad(loss, run.parameters())
    return torch.cat([part.flatten() for part in parts]).double()


def total_variance(run: Run, batch: Batch) -> float:
    """Return tr Σ of the samples' gradients, the unbiased estimate, by two passes."""
    inputs, targets = batch
    samples = [(inputs[i : i + 1], targets[i : i + 1]) for i in range(len(inputs))]
    mean = gradient(run, batch)
    return sum(float((gradient(run, each) - mean).square().sum()) for each in samples) / (len(samples) - 1)


def pair_variance(first: Tensor, second: Tensor) -> float:
    """Return tr Σ of two gradients as rows."""
    return float((first - second).square().sum()) / 2.0
