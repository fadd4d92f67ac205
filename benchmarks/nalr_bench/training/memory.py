"""Memory held between steps beside parameters, gradients and the optimizer's state."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from nalr_bench.training.run import Run, Setup
from nalr_bench.training.steps import once, plain
from nalr_bench.workload import Fact

STEPS = 3
LIMIT, NOTHING = 2.0, 0.001
"""Limits in copies of the parameters: a controller's start and mean, and practically none."""


def memory(setup: Setup) -> list[Fact]:
    """Return how many copies of the parameters the controller and `SampleNorms` hold."""
    return [
        Fact("memory", "held by the controller", _copies(setup, _controller), "copies", LIMIT),
        Fact("memory", "held by norms of samples", _copies(setup, _measuring), "copies", NOTHING),
    ]


def _controller(run: Run) -> Any:
    from nalr.torch import NoiseAdaptiveLR

    scheduler = NoiseAdaptiveLR(run.optimizer, model=run.model)
    for _ in range(STEPS):
        run.optimizer.zero_grad()
        loss = once(run)
        run.optimizer.step()
        scheduler.step(loss.detach())
    return scheduler


def _measuring(run: Run) -> Any:
    from nalr.torch.ghost import SampleNorms

    norms, step = SampleNorms(run.model), plain(run)
    for _ in range(STEPS):
        step()
        norms.collect()
    return norms


def _copies(setup: Setup, attach: Callable[[Run], Any]) -> float:
    run = setup.fresh()
    step = plain(run)
    for _ in range(STEPS):
        step()
    before = _bytes_of_tensors()
    held = attach(run)
    added = _bytes_of_tensors() - before
    del held
    return added / sum(p.numel() * p.element_size() for p in run.parameters())


def _bytes_of_tensors() -> int:
    """Return the bytes of all live tensors, each storage counted once."""
    from torch import Tensor

    gc.collect()
    storages = (each.untyped_storage() for each in gc.get_objects() if issubclass(type(each), Tensor))
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())
