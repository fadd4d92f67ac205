"""From the arguments of the scheduler and the wrapper to the engine behind both."""

from __future__ import annotations

from typing import Any

from torch.nn import Module
from torch.optim import Optimizer

from nalr import _checks, controller
from nalr.torch.engine import Engine
from nalr.torch.rates import Rates
from nalr.torch.refusals import checked_optimizer, parameters_of
from nalr.torch.sums.backwards import Backwards
from nalr.torch.sums.measurement import Measurement
from nalr.torch.sums.path import TensorPath
from nalr.torch.sums.ranks import ranks_of
from nalr.torch.sums.samples import SampleSource
from nalr.torch.undo.rollback import Rollback
from nalr.torch.undo.snapshot import Snapshot

NOISE = ("auto", "samples", "microbatches", "steps")


def build(
    optimizer: Any,
    *,
    noise: str = "auto",
    model: Module | None = None,
    total_steps: int | None = None,
    every: int = 1,
    microbatch_size: int = 1,
    coordinates: int | None = None,
    scaler: Any = None,
    process_group: Any = "auto",
    rollback: bool = False,
    rollback_device: Any = None,
    on_device: bool | None = None,
    **settings: Any,
) -> Engine:
    """Return the engine for an optimizer; see `nalr.torch.NoiseAdaptiveLR` for the arguments."""
    seen: Optimizer = checked_optimizer(optimizer)
    parameters = parameters_of(seen)
    if noise not in NOISE:
        raise ValueError(f"`noise` must be one of {', '.join(NOISE)}, got {noise!r}.")
    if noise == "samples" and model is None:
        raise ValueError(
            '`model` must be given for noise="samples": its layers tell the norms of the samples.'
        )
    every = _checks.count("every", every, 1)
    microbatch_size = _checks.count("microbatch_size", microbatch_size, 1)
    rates = Rates(seen)
    steps = None if total_steps is None else max(_checks.count("total_steps", total_steps, 1) // every, 1)
    adaptive = controller.NoiseAdaptiveLR(rates.base_lr, total_steps=steps, **settings)
    if coordinates is not None:
        coordinates = _checks.count("coordinates", coordinates, 1)
    path = TensorPath(parameters, coordinates, on_device)
    ranks = ranks_of(process_group, parameters)
    reduced = ranks is not None
    backwards = None if noise == "steps" else Backwards(parameters, path.windows, on_device, reduced)
    wished = model is not None and noise in ("auto", "samples")
    samples = SampleSource(model, optional=noise == "auto") if wished else None  # type: ignore[arg-type]
    measurement = Measurement(
        path,
        backwards,
        samples,
        microbatch_size,
        scaler,
        ranks,
    )
    keeper = Rollback(Snapshot(seen, model, rollback_device)) if rollback else None
    return Engine(seen, adaptive, measurement, rates, every, keeper)
