"""Compiled loops over arrays. Arrays and scalars in, scalars out; no classes, no checks.

A module is imported when first accessed as an attribute (``kernels.moments``), since it imports Numba, which
takes a quarter of a second. Later accesses cost a tenth of an import statement in the calling function.
"""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    """Load a module of kernels; the import system makes it an attribute."""
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
