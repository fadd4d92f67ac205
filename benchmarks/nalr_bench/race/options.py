"""The options of ``nalr race``; light to import, since the command line does so at every start."""

from __future__ import annotations

import argparse

from nalr_bench.readers import document, finite, known, parts, picture, whole_number

GROUPS = ("tuning", "held-out", "all")
OPTIMIZERS = ("sgd", "momentum", "adamw")
SHORTHANDS = ("ours", "schedules", "peers", "published")
ALL_TASKS = "all"
RATES_PROBLEM = "mlp-digits"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to `parser`."""
    what = parser.add_argument_group("what is run; names may be given again, or as a list a,b")
    what.add_argument(
        "--group", type=group, default="all", help=f"problems: {', '.join(GROUPS)} (default all)"
    )
    what.add_argument("--problem", metavar="NAME", type=problems, action="extend", help="only this problem")
    what.add_argument(
        "--task",
        metavar="NAME",
        type=tasks,
        action="extend",
        help=f"train this network in PyTorch, or {ALL_TASKS}; problems are raced too only if named",
    )
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
    what.add_argument(
        "--seeds", metavar="N", type=whole_number, help="runs of each kind (default 5; on tasks 3)"
    )
    what.add_argument(
        "--steps", metavar="T", type=whole_number, help="length of each run (default: as planned)"
    )
    what.add_argument(
        "--offset", metavar="C", type=finite, default=0.0, help="add C to every loss that methods are shown"
    )
    what.add_argument(
        "--quick", action="store_true", help="six problems, SGD, 2 seeds, 500 steps; tasks: 1 seed, 100 steps"
    )
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
    out.add_argument(
        "--hash",
        action="store_true",
        help="run nalr's methods alone and print one SHA-256 of their rates and losses: the same for two "
        "versions of the code whose rates are the same to the bit",
    )
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
    out.add_argument("--list", action="store_true", help="print problems, tasks and methods; run nothing")


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
    return [problem(name) for name in parts(text)]


def tasks(text: str) -> list[str]:
    """Return the tasks of a list with commas."""
    from nalr_bench.race.tasks.catalog import TASKS

    names = [known("a task", name, (*TASKS, ALL_TASKS)) for name in parts(text)]
    return list(TASKS) if ALL_TASKS in names else names


def methods(text: str) -> list[str]:
    """Return the methods of a list with commas, sets in full."""
    from nalr_bench.race.methods.roster import METHODS, SETS

    names = [known("a method", name, (*METHODS, *SETS)) for name in parts(text)]
    return [
        full for name in names for full in ([each.name for each in SETS[name]] if name in SETS else [name])
    ]


def optimizers(text: str) -> list[str]:
    """Return the optimizers of a list with commas."""
    return [known("an optimizer", name, OPTIMIZERS) for name in parts(text)]
