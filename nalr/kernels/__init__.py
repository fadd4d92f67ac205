"""Floor 0: compiled loops over arrays. Arrays and scalars in, scalars out; no classes, no checks.

A module of kernels is loaded when its name is first asked of this package (``kernels.moments``): loading one
loads numba, which takes a quarter of a second. From then on the name is a plain attribute, at a tenth of
the price of an import statement in the calling function.
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
