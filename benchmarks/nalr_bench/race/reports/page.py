"""What is printed and written of a race on one kind of entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DPI = 150


@dataclass(frozen=True)
class Page:
    """The result of a race on problems, or on tasks, in every form.

    Attributes
    ----------
    text : str
        Tables for the terminal.
    found : dict
        Everything as JSON.
    document : str
        Markdown.
    plot : callable
        Saves final losses over base rates to a path.
    plot_rates : callable, optional
        Saves the rates of our first method, on the problem of that name or the default one.
    """

    text: str
    found: dict[str, Any]
    document: str
    plot: Callable[[Path], None]
    plot_rates: Callable[[Path, str | None], None] | None = None
