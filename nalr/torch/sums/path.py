"""The path of a model's parameters: where they have been, and what the fresh gradient says of it."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nalr import kernels
from nalr.moments.path import DECAY
from nalr.torch.sums.coordinates import Window, windows
from nalr.torch.sums.views import Array, as_numpy, flat, gradient_arrays, wide, window_of


class PathSums(NamedTuple):
    """The sums of one step over all parameters, estimated from the window of each.

    Attributes
    ----------
    step_product, step_squared_norm : float
        ⟨g, s⟩ and |s|², s = x_before − x_now; here and below, g of a group that maximizes is turned.
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
        self.dimension = sum(window.size for window in self.windows)
        """D, the number of values of all parameters."""
        self._on_device = on_device
        self._forms = list(map(_form, self.parameters))
        self.signs = [1.0] * len(self.parameters)
        """−1 where a parameter's group maximizes; `turn` sets them."""
        self.reset()

    def __reduce__(self) -> Any:
        """Return how a copy is made: its rows are views of its own memory.

        Where parameters were given other memory, a copy is of none, as this path is.
        """
        state = self.state_dict() if self.is_of(self.parameters) else {}
        return TensorPath, (self.parameters, self._coordinates, self._on_device), state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if state:
            self.load_state_dict(state)
        else:
            self._forms = []

    def of(self, parameters: Sequence[Tensor]) -> TensorPath:
        """Return a path of other parameters with the same settings."""
        return TensorPath(parameters, self._coordinates, self._on_device)

    def is_of(self, parameters: Sequence[Tensor]) -> bool:
        """Whether this path is of these parameters, and they still lie in memory as they did.

        `p.data = …` may give a parameter another size, type, order or device; the views that are kept, and
        what lies behind them, would then be those of other memory.
        """
        known = self.parameters
        if len(known) != len(parameters) or not all(map(operator.is_, known, parameters)):
            return False
        return list(map(_form, parameters)) == self._forms

    def turn(self, signs: list[float]) -> bool:
        """Take the sign of each parameter's gradient; return whether one is another than before."""
        changed = signs != self.signs
        self.signs = signs
        for track, sign in zip(self._tracks, signs, strict=True):
            track.sign = sign
        return changed

    @torch.no_grad()
    def reset(self) -> None:
        """Start anew from the present parameters."""
        self._tracks: list[_Track] = [
            (_HostTrack if self._by_kernel(parameter) else _DeviceTrack)(parameter, window)
            for parameter, window in zip(self.parameters, self.windows, strict=True)
        ]
        self.turn(self.signs)
        self._on_host = [track for track in self._tracks if isinstance(track, _HostTrack)]
        self._elsewhere = [track for track in self._tracks if isinstance(track, _DeviceTrack)]

    def _by_kernel(self, parameter: Tensor) -> bool:
        return parameter.device.type == "cpu" if self._on_device is None else not self._on_device

    @torch.no_grad()
    def advance(self, forgetting: float) -> PathSums:
        """Take in the parameters that the last step made, and their gradients; return the sums.

        A parameter without a gradient, or with one of another size (no optimizer makes a step of that),
        counts as one whose gradient is zero.
        """
        keep = 1.0 - forgetting
        totals = [0.0] * 6
        if self._on_host:
            gradients = gradient_arrays([track.parameter for track in self._on_host])
            pairs = zip(self._on_host, gradients, strict=True)
            found = kernels.sample.advance_samples([track.arguments(g, keep) for track, g in pairs])
            for track, sums in zip(self._on_host, found, strict=True):
                if track.sign < 0.0:
                    sums = (-sums[0], sums[1], -sums[2], *sums[3:])
                totals = [t + track.weight * s for t, s in zip(totals, sums, strict=True)]
        if self._elsewhere:
            waiting = [track.advance(keep) for track in self._elsewhere]
            device = waiting[0].device
            joined = torch.stack([sums.to(device) for sums in waiting]).sum(0)
            totals = [t + s for t, s in zip(totals, joined.tolist(), strict=True)]
        return PathSums(*totals)

    def state_dict(self, parameters: Sequence[Tensor] | None = None) -> dict[str, Any]:
        """Return the state: four rows of values for each parameter, and its sign; copies.

        Parameters
        ----------
        parameters : sequence of Tensor, optional
            Where this path is not of these, the state is that of a path of them which has not begun.
        """
        if parameters is not None and not self.is_of(parameters):
            return {"sizes": [p.numel() for p in parameters], "signs": [], "tracks": []}
        sizes, signs = [window.size for window in self.windows], list(self.signs)
        return {"sizes": sizes, "signs": signs, "tracks": [track.values.clone() for track in self._tracks]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        for track, values in self._pairs(state):
            track.values.copy_(values)
        self.turn(list(state["signs"]))

    def _pairs(self, state: dict[str, Any]) -> Iterator[tuple[_Track, Tensor]]:
        return zip(self._tracks, state["tracks"], strict=True)

    def check(self, state: dict[str, Any]) -> bool:
        """Return whether `state` is of these parameters; False if groups were added to these or to those.

        False also of a state that has not begun.

        Raises
        ------
        ValueError
            If a parameter that both have has another size, or was read with other `coordinates`.
        """
        same = len(self._tracks) == len(state["tracks"])
        if same:  # what is read of a tensor depends on all
            shapes = [(track.values.shape, values.shape) for track, values in self._pairs(state)]
            pairs: list[tuple[Any, Any]] = [(tuple(here), tuple(there)) for here, there in shapes]
        else:
            pairs = list(zip([window.size for window in self.windows], state["sizes"], strict=False))
        for here, there in pairs:
            if here != there:
                raise ValueError(f"`state` must hold {here} values for this parameter, got {there}.")
        return same


def _form(tensor: Tensor) -> tuple[Any, ...]:
    """Return what says how the values of a tensor lie in memory, apart from where they begin."""
    return tensor.shape, tensor.stride(), tensor.dtype, tensor.device


class _Track:
    """The window of one parameter."""

    def __init__(self, parameter: Tensor, window: Window) -> None:
        kind = torch.float64 if parameter.dtype is torch.float64 else torch.float32
        self.parameter, self.window, self.weight = parameter, window, window.weight
        self.sign = 1.0
        self.values = torch.zeros(4, window.taken, dtype=kind, device=parameter.device)
        """Displacement from the start, its running mean, parameters before, gradient before."""
        self.values[2] = window_of(flat(parameter.detach(), parameter), window).to(kind)


class _HostTrack(_Track):
    """Advanced by a compiled loop over the tensors' own memory."""

    def __init__(self, parameter: Tensor, window: Window) -> None:
        super().__init__(parameter, window)
        self._rows = tuple(self.values.numpy())
        self._address = -1  # of the parameter's memory when …
        self._place = np.empty(0)  # … this view of it was made: a view costs microseconds
        self._zeros: Array | None = None

    def arguments(self, gradient: Array | None, keep: float) -> tuple[Any, ...]:
        """Return what the kernel takes."""
        parameter, window = self.parameter, self.window
        if parameter.data_ptr() != self._address:
            self._address = parameter.data_ptr()
            self._place = as_numpy(flat(parameter.detach(), parameter))
        if gradient is None or gradient.size != window.size:
            if self._zeros is None:
                self._zeros = np.zeros(window.size, np.float32)
            gradient = self._zeros
        return (*self._rows, self._place, gradient, window.stride, window.block, keep, DECAY)


class _DeviceTrack(_Track):
    """Advanced by operations of torch, where the tensors are."""

    def advance(self, keep: float) -> Tensor:
        displacement, mean, previous, last = self.values
        parameter = self.parameter
        place = window_of(flat(parameter.detach(), parameter), self.window).to(self.values.dtype)
        if parameter.grad is None or parameter.grad.numel() != self.window.size:
            gradient = torch.zeros_like(place)
        else:
            line = flat(parameter.grad.detach(), parameter)
            gradient = window_of(line, self.window).to(self.values.dtype)
        step = previous - place
        displacement.mul_(keep).add_(step)
        mean.mul_(keep * DECAY).add_(displacement, alpha=1.0 - DECAY)
        slope, moved, far, average, before = (
            each.to(wide(each)) for each in (gradient, step, displacement, mean, last)
        )
        pairs = (
            (slope, moved),
            (moved, moved),
            (slope, 0.5 * (far + average)),
            (far, far),
            (slope, before),
            (slope, slope),
        )
        sums = torch.stack([torch.sum(a * b) for a, b in pairs])
        if self.sign < 0.0:
            sums[0:3:2].neg_()
        previous.copy_(place)
        last.copy_(gradient)
        return self.weight * sums
