"""The path of a model's parameters: where they have been, and what the fresh gradient says of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nalr import kernels
from nalr.torch.sums.coordinates import Window, windows
from nalr.torch.sums.memory import Array, as_numpy, flat

DECAY = 0.95
"""Memory of the running mean of the parameters, as in `nalr.moments.path.Path`."""


class PathSums(NamedTuple):
    """The sums of one step over all parameters, estimated from the window of each.

    Attributes
    ----------
    step_product, step_squared_norm : float
        ⟨g, s⟩ and |s|², s = x_before − x_now.
    displacement_product, displacement_squared_norm : float
        ⟨g, x₀ − (x + x̄)/2⟩ and |x₀ − x|².
    previous_product : float
        ⟨g, g before⟩.
    squared_norm : float
        |g|².
    """

    step_product: float
    step_squared_norm: float
    displacement_product: float
    displacement_squared_norm: float
    previous_product: float
    squared_norm: float


class TensorPath:
    """Displacement from the start, its running mean, the last parameters and the last gradient.

    Parameters
    ----------
    parameters : sequence of Tensor
        Those of the optimizer, floating point, on any device.
    coordinates : int, optional
        About how many values to read; see `nalr.torch.sums.coordinates`.
    on_device : bool
        Sum by operations of torch where the tensors are; by default only off the CPU.

    Notes
    -----
    Memory: four values for each that is read, of float32 (float64 beside float64 parameters). Cost on the
    CPU: one fused pass of 40 bytes a value read; elsewhere a dozen small operations a tensor, and one
    transfer of six numbers. Nothing of it is differentiated.
    """

    def __init__(
        self, parameters: Sequence[Tensor], coordinates: int | None = None, on_device: bool | None = None
    ) -> None:
        self.parameters = list(parameters)
        self._coordinates = coordinates
        self.windows = windows([p.numel() for p in self.parameters], coordinates)
        self._on_device = on_device
        self.reset()

    @property
    def dimension(self) -> int:
        """D, the number of parameters."""
        return sum(window.size for window in self.windows)

    def of(self, parameters: Sequence[Tensor]) -> TensorPath:
        """Return a path of other parameters with the same settings."""
        return TensorPath(parameters, self._coordinates, self._on_device)

    @torch.no_grad()
    def reset(self) -> None:
        """Start anew from the present parameters."""
        self._tracks = [
            _new_track(p, w, self._by_kernel(p)) for p, w in zip(self.parameters, self.windows, strict=True)
        ]

    def _by_kernel(self, parameter: Tensor) -> bool:
        return parameter.device.type == "cpu" if self._on_device is None else not self._on_device

    @torch.no_grad()
    def advance(self, forgetting: float) -> PathSums:
        """Take in the parameters that the last step made, and their gradients; return the sums.

        A parameter without a gradient counts as one whose gradient is zero.
        """
        keep = 1.0 - forgetting
        totals = [0.0] * 6
        waiting: list[Tensor] = []
        for track in self._tracks:
            sums = track.advance(keep)
            if isinstance(sums, Tensor):
                waiting.append(sums)
            else:
                totals = [t + track.weight * s for t, s in zip(totals, sums, strict=True)]
        if waiting:
            device = waiting[0].device
            joined = torch.stack([sums.to(device) for sums in waiting]).sum(0)
            totals = [t + s for t, s in zip(totals, joined.tolist(), strict=True)]
        return PathSums(*totals)

    def state_dict(self) -> dict[str, Any]:
        """Return the state: four rows of values for each parameter; copies."""
        return {"tracks": [track.values.clone() for track in self._tracks]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        self.check(state)
        for track, values in zip(self._tracks, state["tracks"], strict=True):
            track.values.copy_(values)

    def check(self, state: dict[str, Any]) -> None:
        """Raise a ValueError if `state` is that of other parameters."""
        if len(state["tracks"]) != len(self._tracks):
            raise ValueError(
                f"`state` must be of {len(self._tracks)} parameters, got one of {len(state['tracks'])}."
            )
        for track, values in zip(self._tracks, state["tracks"], strict=True):
            if track.values.shape != values.shape:
                raise ValueError(
                    f"`state` must hold {tuple(track.values.shape)} values for this parameter, "
                    f"got {tuple(values.shape)}."
                )


class _Track:
    """The window of one parameter: rows of displacement, its mean, last values, last gradient."""

    def __init__(self, parameter: Tensor, window: Window) -> None:
        kind = torch.float64 if parameter.dtype is torch.float64 else torch.float32
        self.parameter, self.window, self.weight = parameter, window, window.weight
        self.values = torch.zeros(4, window.taken, dtype=kind, device=parameter.device)
        self._none: Tensor | None = None

    def _gradient(self) -> Tensor:
        gradient = self.parameter.grad
        if gradient is not None:
            return flat(gradient.detach(), self.parameter)
        if self._none is None:
            self._none = torch.zeros(self.window.size, dtype=torch.float32, device=self.parameter.device)
        return self._none

    def _place(self) -> Tensor:
        return flat(self.parameter.detach(), self.parameter)

    def advance(self, keep: float) -> Any:
        raise NotImplementedError


class _KernelTrack(_Track):
    """By a compiled loop over the tensors' own memory."""

    def __init__(self, parameter: Tensor, window: Window) -> None:
        super().__init__(parameter, window)
        self._rows = tuple(self.values.numpy())
        self._seen = -1  # address of the parameter's memory when …
        self._here = np.empty(0)  # … this view of it was made

    def advance(self, keep: float) -> tuple[float, ...]:
        place, gradient = self._view(), as_numpy(self._gradient())
        window = self.window
        sums: tuple[float, ...] = kernels.sample.advance_sample(
            *self._rows, place, gradient, window.stride, window.block, keep, DECAY
        )
        return sums

    def _view(self) -> Array:
        """Return the parameter's own memory; a view costs microseconds, and the memory rarely moves."""
        address = self.parameter.data_ptr()
        if address != self._seen:
            self._seen, self._here = address, as_numpy(self._place())
        return self._here


class _DeviceTrack(_Track):
    """By operations of torch, where the tensors are."""

    def advance(self, keep: float) -> Tensor:
        displacement, mean, previous, last = self.values
        place = window_of(self._place(), self.window).to(self.values.dtype)
        gradient = window_of(self._gradient(), self.window).to(self.values.dtype)
        step = previous - place
        displacement.mul_(keep).add_(step)
        mean.mul_(keep * DECAY).add_(displacement, alpha=1.0 - DECAY)
        pairs = (
            (gradient, step),
            (step, step),
            (gradient, 0.5 * (displacement + mean)),
            (displacement, displacement),
            (gradient, last),
            (gradient, gradient),
        )
        sums = torch.stack([torch.sum(a * b, dtype=wide(a)) for a, b in pairs])
        previous.copy_(place)
        last.copy_(gradient)
        return self.weight * sums


def _new_track(parameter: Tensor, window: Window, by_kernel: bool) -> _Track:
    track = (_KernelTrack if by_kernel else _DeviceTrack)(parameter, window)
    track.values[2] = window_of(track._place(), window).to(track.values.dtype)
    return track


def window_of(values: Tensor, window: Window) -> Tensor:
    """Return the window's values of a flat tensor, (taken,)."""
    if window.whole:
        return values
    count = window.taken // window.block
    return values[: count * window.stride].view(count, window.stride)[:, : window.block].reshape(-1)


def sampled_norm(values: Tensor, like: Tensor, window: Window, by_kernel: bool) -> float | Tensor:
    """Return |values|² of a tensor that lies like `like`, estimated from its window."""
    line = flat(values.detach(), like)
    if by_kernel:
        norm: float = kernels.sample.sample_norm(as_numpy(line), window.stride, window.block, window.taken)
        return window.weight * norm if not math.isnan(norm) else math.nan
    part = window_of(line, window).to(torch.float64 if line.dtype is torch.float64 else torch.float32)
    return window.weight * torch.sum(part * part, dtype=wide(part))


def sampled_total(values: Tensor, like: Tensor, window: Window) -> Tensor:
    """Return the sum of the values of a tensor that lies like `like`, estimated from its window."""
    part = window_of(flat(values.detach(), like), window)
    return window.weight * torch.sum(part, dtype=wide(part))


def wide(values: Tensor) -> torch.dtype:
    """Return the type to sum in: float64 wherever the device has it."""
    return torch.float32 if values.device.type == "mps" else torch.float64
