"""Noise of the displacement signal measured on a sample of the coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nalr_bench.workload import Fact

STEPS = 300
"""Steps of training; the last two thirds count."""
RATE = 1e-3
FORGETTING = 0.01
SHARES = (4, 16, 64)


def sampling(steps: int = STEPS, shares: Sequence[int] = SHARES) -> list[Fact]:
    """Return how much noisier h is with each share of the coordinates, on the transformer of the race.

    The mean is the same, since the sample is spread over all tensors; so the ratio of the standard
    deviations of its changes is the loss of signal-to-noise ratio: √share for independent coordinates.
    """
    import torch
    from torch.nn.functional import cross_entropy

    from nalr.torch.sums.path import TensorPath
    from nalr_bench.race.tasks.catalog import TASKS

    task = TASKS["transformer"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = task.model()
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=RATE)
    total = sum(p.numel() for p in parameters)
    paths = {share: TensorPath(parameters, max(total // share, 1)) for share in (1, *shares)}
    signals: dict[int, list[float]] = {share: [] for share in paths}
    taken = {share: sum(window.taken for window in path.windows) for share, path in paths.items()}
    for _, samples in zip(range(steps), task.minibatches(0), strict=False):
        loss = cross_entropy(model(samples.inputs).flatten(0, -2), samples.targets.flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for share, path in paths.items():
            signals[share].append(path.advance(FORGETTING).displacement_product)
        optimizer.step()
    return [
        Fact(
            "sampling",
            f"noise of h, {taken[share]} of {total} coordinates, ÷ all",
            _noise(signals[share]) / _noise(signals[1]),
            "×",
            math.sqrt(total / taken[share]),
        )
        for share in shares
    ]


def _noise(signal: Sequence[float]) -> float:
    """Return the standard deviation of a signal about its trend."""
    return float(np.std(np.diff(signal[len(signal) // 3 :])) / math.sqrt(2.0))
