"""From the arguments of the scheduler and the wrapper to the engine behind both."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from torch.nn import Module
from torch.optim import Optimizer

from nalr import _checks, controller
from nalr._checks import NoiseWarning
from nalr.torch.backwards import Backwards
from nalr.torch.engine import Engine
from nalr.torch.measurement import Measurement
from nalr.torch.path import TensorPath
from nalr.torch.ranks import ranks_of
from nalr.torch.rates import Rates
from nalr.torch.refusals import checked_optimizer, parameters_of
from nalr.torch.rollback import Rollback
from nalr.torch.snapshot import Snapshot

if TYPE_CHECKING:
    from nalr.torch.ghost import SampleNorms

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
    measurement = Measurement(
        path,
        backwards,
        _samples(noise, model),
        microbatch_size,
        scaler,
        ranks,
    )
    keeper = Rollback(Snapshot(seen, model, rollback_device)) if rollback else None
    return Engine(seen, adaptive, measurement, rates, every, keeper)


def _samples(noise: str, model: Module | None) -> SampleNorms | None:
    """Return the norms of samples where wished, or where `auto` can have them for every parameter."""
    if model is None or noise not in ("auto", "samples"):
        return None
    from nalr.torch.ghost import SampleNorms

    samples = SampleNorms(model)
    if not samples.uncovered:
        return samples
    if noise == "auto":
        samples.close()
        return None
    warnings.warn(
        f"Norms of samples do not cover {', '.join(samples.uncovered)}; noise is that of the others.",
        NoiseWarning,
        stacklevel=4,
    )
    return samples
