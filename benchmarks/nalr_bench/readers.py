"""What reads the words of options; light to import, since the command line does so at every start."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Collection, Iterable
from difflib import get_close_matches
from pathlib import Path

SUFFIXES = (".png", ".svg")


def whole_number(text: str) -> int:
    """Return the whole number of at least 1 that `text` says; 1e6 is one."""
    try:
        number = float(text)
        if number >= 1 and number == int(number):
            return int(number)
    except (ValueError, OverflowError):
        pass
    raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")


def natural_number(text: str) -> int:
    """Return the whole number of at least 0 that `text` says."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 0, got {text!r}")
    return int(text)


def whole_numbers(text: str) -> list[int]:
    """Return the numbers of a list with commas."""
    return [whole_number(part) for part in parts(text)]


def finite(text: str) -> float:
    """Return the number that `text` says, nan and infinity refused."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"must be a finite number, got {text!r}")
    return number


def names_of(known: Collection[str]) -> Callable[[str], list[str]]:
    """Return what reads a list with commas of names, all of them known."""

    def read(text: str) -> list[str]:
        names = parts(text)
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"must be one of {', '.join(known)}, got {name!r}")
        return names

    return read


def parts(text: str) -> list[str]:
    """Return the words of a list with commas."""
    return [part.strip() for part in text.split(",")]


def known(what: str, name: str, names: Iterable[str]) -> str:
    """Return `name`; refuse what is not among `names`, with the nearest of them."""
    names = list(names)
    if name in names:
        return name
    near = (
        get_close_matches(name, names, n=3, cutoff=0.4)
        or [each for each in names if name and name in each][:3]
    )
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "nalr race --list names all"
    raise argparse.ArgumentTypeError(f"{name!r} is not {what}: {hint}")


def picture(text: str) -> Path:
    """Return the path of a picture that can be written: checked before the work, not after it."""
    return _writable(text, SUFFIXES)


def document(text: str) -> Path:
    """Return the path of a report that can be written: checked before the work, not after it."""
    return _writable(text, (".md",))


def _writable(text: str, suffixes: tuple[str, ...]) -> Path:
    path = Path(text)
    if path.suffix.lower() not in suffixes:
        raise argparse.ArgumentTypeError(f"must end with {' or '.join(suffixes)}, got {text!r}")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"must be in a directory that exists, got {text!r}")
    return path
