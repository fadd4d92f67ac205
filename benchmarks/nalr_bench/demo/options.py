"""The demo's command-line options; light to import, since the command line does so at every start."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the demo's options to `parser`."""
    parser.add_argument(
        "--quick", action="store_true", help="fewer seeds and coarser grids: about half a minute"
    )
    parser.add_argument("--save", metavar="DIR", type=Path, help="write the figures there as PNG files")
    parser.add_argument("--no-show", action="store_true", help="open no windows")
    parser.add_argument(
        "--interactive", action="store_true", help="a window with sliders instead of the comparison"
    )
    parser.add_argument(
        "--seed", type=WholeNumber(0), default=0, metavar="N", help="choose other random numbers (default 0)"
    )
    parser.add_argument(
        "--jobs", type=WholeNumber(1), metavar="N", help="worker processes (default: one for each CPU)"
    )


class WholeNumber:
    """Reads a whole number of at least `minimum`."""

    def __init__(self, minimum: int) -> None:
        self.minimum = minimum

    def __call__(self, text: str) -> int:
        """Return the number that `text` says."""
        try:
            number = int(text)
        except ValueError:
            number = self.minimum - 1
        if number < self.minimum:
            raise argparse.ArgumentTypeError(
                f"must be a whole number of at least {self.minimum}, got {text!r}"
            )
        return number
