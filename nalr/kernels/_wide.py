"""16-bit floats in kernels: bits in, float32 out, in a register.

NumPy has no bfloat16 and Numba no float16, so their memory comes as integers of the same size: `uint16` is
IEEE half precision, `int16` is bfloat16. `wide` dispatches on the type, at no cost for float32 and float64,
so that one kernel serves all four. The conversion becomes the processor's own instruction (F16C, AVX-512,
NEON) and is vectorised; shifts and masks written out run at a third of its speed.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def _interpreted(value: Any) -> Any:
    if isinstance(value, np.uint16):
        return np.float32(value.view(np.float16))
    if isinstance(value, np.int16):
        return (np.uint32(value.view(np.uint16)) << np.uint32(16)).view(np.float32)
    return value


def _compiled(typing_context: Any, value: Any) -> Any:
    """Return the signature of `wide` for one element type, and its code generator."""
    if value not in (types.uint16, types.int16):
        return value(value), lambda context, builder, signature, arguments: arguments[0]

    def half(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fpext(builder.bitcast(arguments[0], ir.HalfType()), ir.FloatType())

    def brain(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        whole = builder.zext(arguments[0], ir.IntType(32))
        return builder.bitcast(builder.shl(whole, ir.Constant(ir.IntType(32), 16)), ir.FloatType())

    return types.float32(value), half if value == types.uint16 else brain


wide: Any = _interpreted if numba.config.DISABLE_JIT else intrinsic(_compiled)  # type: ignore[attr-defined]
