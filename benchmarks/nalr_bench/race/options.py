"""The options of ``nalr race``; light to import, since the command line does so at every start."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path

from nalr_bench.kernels.options import picture, whole_number

GROUPS = ("tuning", "held-out", "all")
OPTIMIZERS = ("sgd", "momentum", "adamw")
SHORTHANDS = ("ours", "schedules", "peers", "published")
RATES_PROBLEM = "mlp-digits"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to `parser`."""
    what = parser.add_argument_group("what is run; names may be given again, or as a list a,b")
    what.add_argument(
        "--group", type=group, default="all", help=f"problems: {', '.join(GROUPS)} (default all)"
    )
    what.add_argument("--problem", metavar="NAME", type=problems, action="extend", help="only this problem")
    what.add_argument(
        "--method",
        metavar="NAME",
        type=methods,
        action="extend",
        help=f"only this method, or a set: {', '.join(SHORTHANDS)}; tuned schedules always take part",
    )
    what.add_argument(
        "--optimizer",
        metavar="NAME",
        type=optimizers,
        action="extend",
        help=f"only with {', '.join(OPTIMIZERS)}",
    )
    what.add_argument("--seeds", metavar="N", type=whole_number, help="runs of each kind (default 5)")
    what.add_argument(
        "--steps", metavar="T", type=whole_number, help="length of each run (default: as planned)"
    )
    what.add_argument(
        "--offset", metavar="C", type=finite, default=0.0, help="add C to every loss that methods are shown"
    )
    what.add_argument("--quick", action="store_true", help="six problems, SGD, 2 seeds, 500 steps")
    what.add_argument(
        "--ablate", action="store_true", help="nalr with each ingredient taken out (SGD, unless you say)"
    )
    how = parser.add_argument_group("how")
    how.add_argument("--jobs", metavar="N", type=whole_number, help="processes (default: one for each CPU)")
    how.add_argument(
        "--cache", metavar="FILE", help="keep results there (default: in your cache directory), none: nowhere"
    )
    out = parser.add_argument_group("what comes out")
    out.add_argument("--json", action="store_true", help="print JSON and nothing else")
    out.add_argument("--report", metavar="FILE", type=document, help="write all tables as Markdown")
    out.add_argument(
        "--plot", metavar="FILE", type=picture, help="draw final losses over base rates, PNG or SVG"
    )
    out.add_argument(
        "--plot-rates", metavar="FILE", type=picture, help="draw the rates that our first method took"
    )
    out.add_argument(
        "--rates-problem",
        metavar="NAME",
        type=problem,
        help=f"on this problem (default {RATES_PROBLEM}, or the first)",
    )
    out.add_argument("--list", action="store_true", help="print problems and methods, and run nothing")


def group(text: str) -> str:
    """Return the name of a group."""
    return known("a group", text, GROUPS)


def problem(text: str) -> str:
    """Return the name of a problem."""
    # The table of problems is imported once one is named: it takes NumPy, and other commands do without.
    from nalr_bench.race.problems.catalog import ENTRIES

    return known("a problem", text, ENTRIES)


def problems(text: str) -> list[str]:
    """Return the problems of a list with commas."""
    return _listed(text, problem)


def methods(text: str) -> list[str]:
    """Return the methods of a list with commas, sets in full."""
    from nalr_bench.race.methods.roster import METHODS, SETS

    names = _listed(text, lambda name: known("a method", name, (*METHODS, *SETS)))
    return [
        full for name in names for full in ([each.name for each in SETS[name]] if name in SETS else [name])
    ]


def optimizers(text: str) -> list[str]:
    """Return the optimizers of a list with commas."""
    return _listed(text, lambda name: known("an optimizer", name, OPTIMIZERS))


def finite(text: str) -> float:
    """Return the number that `text` says, nan and infinity refused."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"must be a finite number, got {text!r}")
    return number


def document(text: str) -> Path:
    """Return the path of a report that can be written: refused now, not after hours of work."""
    path = Path(text)
    if path.suffix.lower() != ".md":
        raise argparse.ArgumentTypeError(f"must end with .md, got {text!r}")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"must be in a directory that exists, got {text!r}")
    return path


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


def _listed(text: str, read: Callable[[str], str]) -> list[str]:
    return [read(part.strip()) for part in text.split(",")]
