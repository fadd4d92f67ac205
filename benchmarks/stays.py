"""Count the files that one step walks through: ``python benchmarks/stays.py``.

A stay begins where a call enters another file of the package than the one it came from. The fewer there are,
the shorter is the walk of somebody who reads a step from its beginning to its end, and of the interpreter.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import nalr

PACKAGE = str(Path(nalr.__file__).parent)
LIMITS = {"NoiseAdaptiveLR.get_adapted_lr": 35, "NoiseEstimator.update": 20, "optimizer.step": 45}
"""The most stays that are aimed at, in any step but the first."""
NUM_STEPS = 70
"""Enough for a step whose history takes an interval, every 64th."""


def stays(step: Callable[[], Any]) -> int:
    """Return how many stays a call makes."""
    callers: list[str | None] = [
        None
    ]  # for each open frame, the file of the package that it is in or called from
    count = 0

    def watch(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        if event == "call":
            file = frame.f_code.co_filename
            ours = file.startswith(PACKAGE)
            count += ours and file != callers[-1]
            callers.append(file if ours else callers[-1])
        elif event == "return" and len(callers) > 1:
            callers.pop()

    sys.setprofile(watch)
    try:
        step()
    finally:
        sys.setprofile(None)
    return count


def controller() -> Iterator[Callable[[], Any]]:
    """Yield the steps of a run in NumPy: 16 rows of 1000 values."""
    random = np.random.default_rng(0)
    adaptive, params = nalr.NoiseAdaptiveLR(0.01), np.ones(1000)
    for _ in range(NUM_STEPS):
        rows, loss = params + random.normal(size=(16, 1000)), float(0.5 * params @ params)
        yield partial(adaptive.get_adapted_lr, rows, loss)
        params = params - adaptive.last_decision.lr * rows.mean(axis=0)


def estimator() -> Iterator[Callable[[], Any]]:
    """Yield updates of the noise estimator, the first of which look within each step as well."""
    random = np.random.default_rng(0)
    noise = nalr.NoiseEstimator()
    for _ in range(NUM_STEPS):
        yield partial(noise.update, random.normal(size=(16, 1000)))


def optimizer() -> Iterator[Callable[[], Any]]:
    """Yield the steps of an optimizer of PyTorch with our scheduler around it."""
    import torch

    from nalr.torch import NoiseAdaptiveLR

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(10, 20), torch.nn.ReLU(), torch.nn.Linear(20, 2))
    inner = torch.optim.AdamW(model.parameters(), lr=1e-3)
    scheduler = NoiseAdaptiveLR(inner, total_steps=200)
    for _ in range(NUM_STEPS):
        inner.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(torch.randn(32, 10)), torch.randint(0, 2, (32,)))
        loss.backward()
        yield inner.step
        scheduler.step(loss)


def main() -> int:
    """Print the stays of each walk; return 1 if one is longer than its limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    options = parser.parse_args()
    found = {}
    for name, walk in zip(LIMITS, (controller, estimator, optimizer), strict=True):
        counts = [stays(step) for step in walk()]
        found[name] = {"first": counts[0], "most": max(counts[1:]), "last": counts[-1], "limit": LIMITS[name]}
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        print(f"{'':32}{'first':>8}{'most':>8}{'last':>8}{'limit':>8}")
        for name, row in found.items():
            print(f"{name:32}" + "".join(f"{number:8}" for number in row.values()))
    return int(any(row["most"] > row["limit"] for row in found.values()))


if __name__ == "__main__":
    sys.exit(main())
