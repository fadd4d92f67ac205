"""Input checks of gradients: what the user gives becomes a list of parts that kernels read in place.

A part is one array of rows. Kernels take float32, float64 and the bits of 16-bit floats, in C or Fortran
order, with or without gaps between rows. What is laid out otherwise (gaps between columns, foreign byte
order, longdouble) is copied a window of columns at a time, never whole.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from nalr import _checks

Array = NDArray[Any]

# float16 and bfloat16 come as integers of their size: see `nalr.kernels._wide`.
HALF, BRAIN = np.dtype(np.uint16), np.dtype(np.int16)
SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
READY = (SINGLE, DOUBLE, HALF, BRAIN)


COPIED = 1 << 16
"""Columns that are copied at a time."""


class Part:
    """Rows (B, width) of one array, in the form that kernels take."""

    __slots__ = ("array", "columns", "ready", "scale", "width")

    def __init__(self, rows: Array, scale: Array | None = None) -> None:
        self.width = rows.shape[1]
        self.columns: Array | None = None  # (width, B) where rows are in Fortran order
        self.array = rows  # (B, ≥ width) in C order; else as it came, and `window` copies
        self.scale = scale  # (width,), by which the columns are multiplied as they are read
        if scale is not None:
            self.ready = False
            return
        if (rows.dtype is SINGLE or rows.dtype is DOUBLE) and rows.flags.c_contiguous:
            self.ready = True  # for kernels, as it is
            return
        known = rows.dtype in READY
        if known and not rows.flags.c_contiguous:
            if rows.flags.f_contiguous:
                self.columns = rows.T
            else:
                self.array = _with_gaps_as_columns(rows)
        self.ready = known and self.array.flags.c_contiguous

    def window(self, start: int, stop: int) -> tuple[Array, int, int]:
        """Return an array in C order, and where in it the columns are; a copy of them only if it must."""
        array = self.array
        if self.ready:
            return array, start, stop
        window = _ready(array[:, start:stop])
        if self.scale is not None:
            window = as_floats(window)
            window = window * self.scale[start:stop].astype(window.dtype)
        return window, 0, stop - start

    def cut(self, columns: slice) -> Part:
        """Return some of the columns; a view."""
        array = self.array if self.columns is None else self.columns.T
        scale = None if self.scale is None else self.scale[columns]
        return Part(array[:, : self.width][:, columns], scale)

    def scaled(self, scale: Array) -> Part:
        """Return the part with its columns multiplied by `scale` (width,) as they are read."""
        array = self.array if self.columns is None else self.columns.T
        return Part(array[:, : self.width], scale if self.scale is None else scale * self.scale)

    def row(self, start: int, stop: int) -> Array:
        """Return columns `start` to `stop` of the first row, (stop − start,)."""
        array, low, high = self.window(start, stop)
        return array[0, low:high]


def _ready(window: Array) -> Array:
    """Return a copy of a window in C order and a type that kernels take."""
    if window.dtype in READY:
        return np.ascontiguousarray(window)
    return np.ascontiguousarray(window, dtype=np.float32 if window.dtype.itemsize <= 4 else np.float64)


def _with_gaps_as_columns(rows: Array) -> Array:
    """Return `rows` as the left part of a wider array in C order, if they only have gaps between them.

    The wider array ends beyond the memory of the last row; kernels never read columns past `width`.
    """
    step, pitch = rows.itemsize, rows.strides[0]
    if rows.strides[1] != step or pitch % step or pitch < rows.shape[1] * step:
        return rows
    return as_strided(rows, (rows.shape[0], pitch // step), (pitch, step), writeable=False)


def _exact(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(np.float32) if dtype in (HALF, BRAIN) else dtype


def as_floats(values: Array) -> Array:
    """Return 16-bit floats, given as bits, as float32; others as they are."""
    if values.dtype == HALF:
        return values.view(np.float16).astype(np.float32)
    if values.dtype == BRAIN:
        return (values.view(np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32)
    return values


def as_array(name: str, value: Any) -> Array:
    """Return `value` as an array of floating-point numbers, or of the bits of 16-bit ones; never a copy.

    Tensors of torch on the CPU are taken with or without gradient, bfloat16 too. Lists are converted.
    """
    if type(value) is np.ndarray and (value.dtype is SINGLE or value.dtype is DOUBLE):
        return value
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(value, torch.Tensor):
        return _floats(name, _checks.array(name, value))
    if value.device.type != "cpu":
        raise TypeError(f"`{name}` must be on the CPU, got a tensor on {value.device}. Use `.cpu()`.")
    tensor = value.detach()
    if tensor.dtype is torch.bfloat16:
        return tensor.view(torch.int16).numpy()  # type: ignore[no-any-return]
    return _floats(name, tensor.numpy())


def _floats(name: str, array: Array) -> Array:
    if array.dtype == np.float16 and array.dtype.isnative:
        return array.view(HALF)
    if array.dtype.name == "bfloat16":  # of ml_dtypes, as JAX uses it
        return array.view(BRAIN)
    if array.dtype.kind != "f":
        raise TypeError(
            f"`{name}` must hold floating-point numbers, got dtype {array.dtype}. Convert it with "
            "`.astype(float)` if that is what it means."
        )
    return array


class Gradients:
    """Checked rows of one step: B rows of D values, in one part or in one for each layer."""

    __slots__ = ("dimension", "num_rows", "parts")

    def __init__(self, num_rows: int, parts: list[Part]) -> None:
        self.num_rows = num_rows
        self.parts = parts
        self.dimension = sum(part.width for part in parts) if len(parts) > 1 else parts[0].width

    def __len__(self) -> int:
        return self.num_rows

    def row(self, start: int, stop: int) -> Array:
        """Return columns `start` to `stop` of the first row; a copy of these where they touch two parts."""
        found, offset = [], 0
        for part in self.parts:
            low, high = max(start - offset, 0), min(stop - offset, part.width)
            if low < high:
                found.append(part.row(low, high))
            offset += part.width
        if len(found) == 1:
            return found[0]
        kind = np.result_type(*(_exact(values.dtype) for values in found))
        joined = np.empty(stop - start, kind)
        np.concatenate([as_floats(values) for values in found], out=joined)
        return joined

    def copy_row(self, out: Array) -> None:
        """Write the first row to `out` (D,), in its type."""
        offset = 0
        for part in self.parts:
            for start in range(0, part.width, COPIED):
                stop = min(start + COPIED, part.width)
                out[offset + start : offset + stop] = as_floats(part.row(start, stop))
            offset += part.width

    def columns(self, columns: slice) -> Gradients:
        """Return the rows' columns of a slice; views, in one part for each that the slice touches."""
        if len(self.parts) == 1:
            return Gradients(self.num_rows, [self.parts[0].cut(columns)])
        start, stop, step = columns.indices(self.dimension)
        if step != 1:
            raise ValueError(f"`groups` must have step 1 where gradients come in layers, got {columns}.")
        cut, offset = [], 0
        for part in self.parts:
            low, high = max(start - offset, 0), min(stop - offset, part.width)
            if low < high:
                cut.append(part.cut(slice(low, high)))
            offset += part.width
        return Gradients(self.num_rows, cut)

    def scaled(self, scale: Array) -> Gradients:
        """Return the rows with their columns multiplied by `scale` (D,) as they are read."""
        parts, offset = [], 0
        for part in self.parts:
            parts.append(part.scaled(scale[offset : offset + part.width]))
            offset += part.width
        return Gradients(self.num_rows, parts)


def as_rows(name: str, value: Any, dimension: int | None = None) -> Gradients:
    """Return the rows that `value` holds: an array (B, D), or a list of arrays (B, …), one for each layer.

    The trailing axes of a layer are flattened; that copies the layer if they are not in memory order. A list
    whose arrays are all one-dimensional is B rows, which are copied into one array.
    """
    if type(value) is not np.ndarray and _holds_arrays(value, 2):
        return _checked(name, _layers(name, value), dimension)
    array = as_array(name, value)
    if array.ndim != 2:
        raise ValueError(
            f"`{name}` must have shape (B, D), one row per sample, got shape {array.shape}."
            + (" Use `.reshape(1, -1)` for one row." if array.ndim == 1 else "")
        )
    if array.shape[0] == 0 or array.shape[1] == 0:
        raise ValueError(f"`{name}` must have at least one row and one column, got shape {array.shape}.")
    return _checked(name, Gradients(array.shape[0], [Part(array)]), dimension)


def as_vector(name: str, value: Any, dimension: int | None = None) -> Gradients:
    """Return the one row that `value` holds: an array (D,), or a list of arrays, one for each layer."""
    if _holds_arrays(value, 1):
        arrays = [as_array(name, layer).reshape(1, -1) for layer in value]
    else:
        array = as_array(name, value)
        if array.ndim != 1:
            raise ValueError(f"`{name}` must have shape (D,) with D at least 1, got shape {array.shape}.")
        arrays = [array.reshape(1, -1)]
    parts = [Part(array) for array in arrays if array.size]
    if not parts:
        raise ValueError(f"`{name}` must have shape (D,) with D at least 1, got no values.")
    gradients = Gradients(1, parts)
    if dimension is not None and gradients.dimension != dimension:
        raise ValueError(
            f"`{name}` must have {dimension} values as in earlier updates, got {gradients.dimension}."
        )
    return gradients


def _holds_arrays(value: Any, dimensions: int) -> bool:
    """Whether `value` is a list with an array of at least so many dimensions."""
    return isinstance(value, (list, tuple)) and any(getattr(item, "ndim", 0) >= dimensions for item in value)


def _layers(name: str, value: Any) -> Gradients:
    arrays = [as_array(name, layer) for layer in value]
    counts = {array.shape[0] if array.ndim else 0 for array in arrays}
    if len(counts) != 1 or not min(counts):
        shapes = ", ".join(str(array.shape) for array in arrays[:4])
        raise ValueError(f"`{name}` must be layers of shape (B, …) with the same B at least 1, got {shapes}.")
    num_rows = counts.pop()
    parts = [Part(array.reshape(num_rows, -1)) for array in arrays if array.size]
    if not parts:
        raise ValueError(f"`{name}` must have at least one column, got layers without values.")
    return Gradients(num_rows, parts)


def _checked(name: str, gradients: Gradients, dimension: int | None) -> Gradients:
    if dimension is not None and gradients.dimension != dimension:
        raise ValueError(
            f"`{name}` must have {dimension} columns as in earlier updates, got {gradients.dimension}."
        )
    return gradients
