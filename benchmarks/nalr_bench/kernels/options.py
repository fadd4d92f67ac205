"""The options of ``nalr bench``; light to import, as at every start of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection
from pathlib import Path

GROUPS = {
    "batch": "rows (B, D) to Moments, float32",
    "types": "the same of other types and layouts",
    "rows": "row by row",
    "step": "a whole step of the controller",
    "loss": "smoothing of losses",
    "probes": "random signs",
    "memory": "memory beyond the input",
    "start": "start of a process",
}
"""Names for `--only`, in the order of execution."""

SUFFIXES = (".png", ".svg")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to `parser`."""
    parser.add_argument(
        "--quick", action="store_true", help="up to 10⁶ parameters, fewer rounds: half a minute"
    )
    parser.add_argument(
        "--size",
        metavar="D",
        type=whole_numbers,
        action="extend",
        help="parameters, of the groups batch and rows; may be given again, or as a list 1e5,1e6",
    )
    parser.add_argument(
        "--only",
        metavar="NAME",
        type=names_of(GROUPS),
        action="extend",
        help=f"only this group; may be given again, or as a list; one of {', '.join(GROUPS)}",
    )
    parser.add_argument(
        "--threads", metavar="N", type=whole_number, help="threads of the kernels (default: all they may use)"
    )
    parser.add_argument("--rounds", metavar="N", type=whole_number, help="rounds to take the medians of")
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    parser.add_argument("--plot", metavar="FILE", type=picture, help="draw the batch group as PNG or SVG")


def whole_number(text: str) -> int:
    """Return a whole number of at least 1, such as 1e6."""
    try:
        number = float(text)
        if number >= 1 and number == int(number):
            return int(number)
    except (ValueError, OverflowError):
        pass
    raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")


def whole_numbers(text: str) -> list[int]:
    """Return the whole numbers of a comma-separated list."""
    return [whole_number(part.strip()) for part in text.split(",")]


def names_of(known: Collection[str]) -> Callable[[str], list[str]]:
    """Return a reader of comma-separated names, all of them `known`."""

    def read(text: str) -> list[str]:
        names = [part.strip() for part in text.split(",")]
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"must be one of {', '.join(known)}, got {name!r}")
        return names

    return read


def picture(text: str) -> Path:
    """Return the path of a picture, checked now rather than after minutes of work."""
    path = Path(text)
    if path.suffix.lower() not in SUFFIXES:
        raise argparse.ArgumentTypeError(f"must end with {' or '.join(SUFFIXES)}, got {text!r}")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"must be in a directory that exists, got {text!r}")
    return path
