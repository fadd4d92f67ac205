"""The options of ``nalr race real``; light to import, since the command line does so at every start."""

from __future__ import annotations

import argparse

from nalr_bench.kernels.options import picture, whole_number
from nalr_bench.race.options import document, known


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to `parser`."""
    what = parser.add_argument_group("what is run; names may be given again, or as a list a,b")
    what.add_argument("--task", metavar="NAME", type=tasks, action="extend", help="only this model")
    what.add_argument(
        "--method",
        metavar="NAME",
        type=methods,
        action="extend",
        help="only this method, or a set: nalr, schedules, peers; tuned linear always takes part",
    )
    what.add_argument(
        "--optimizer", metavar="NAME", type=optimizers, action="extend", help="only with adamw or momentum"
    )
    what.add_argument("--seeds", metavar="N", type=whole_number, help="runs of each kind (default 3)")
    what.add_argument("--steps", metavar="T", type=whole_number, help="length of each run (default 1000)")
    what.add_argument("--quick", action="store_true", help="nalr against tuned linear, 1 seed, 100 steps")
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
    out.add_argument("--list", action="store_true", help="print models and methods, and run nothing")


def tasks(text: str) -> list[str]:
    """Return the models of a list with commas."""
    # The roster is imported once something of it is named: it takes NumPy, and other commands do without.
    from nalr_bench.real.roster import TASKS

    return [known("a model", name, TASKS) for name in _names(text)]


def methods(text: str) -> list[str]:
    """Return the methods of a list with commas, sets in full."""
    from nalr_bench.real.roster import METHODS, SETS

    found = []
    for name in _names(text):
        known("a method", name, (*METHODS, *SETS))
        found += [method.name for method in SETS[name]] if name in SETS else [name]
    return found


def optimizers(text: str) -> list[str]:
    """Return the optimizers of a list with commas."""
    from nalr_bench.real.roster import OPTIMIZERS

    return [known("an optimizer", name, OPTIMIZERS) for name in _names(text)]


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]
