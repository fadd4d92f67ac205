"""Who races where: from the options to problems, methods and runs."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from nalr_bench.race.engine.plan import plan
from nalr_bench.race.engine.run import Start
from nalr_bench.race.methods.ablated import ablated
from nalr_bench.race.methods.method import PROBLEM, Method
from nalr_bench.race.methods.ours import Nalr
from nalr_bench.race.methods.roster import METHODS, OURS, missing
from nalr_bench.race.problems.catalog import ENTRIES
from nalr_bench.race.problems.entry import OPTIMIZERS, Entry

REFERENCES = ("linear", "constant")
"""What each optimizer's methods are held to: these schedules, tuned, are in every race."""
QUICK_PROBLEMS = (
    "quadratic-easy",
    "rugged-2d-noise-.5",
    "mlp-digits",
    "rugged-10d-noise-0",
    "one-row",
    "logistic-digits-scaled",
)
SEEDS, QUICK_SEEDS, QUICK_STEPS = 5, 2, 500


class Contradiction(ValueError):
    """The options leave nothing to run, or one does not go with another."""


@dataclass(frozen=True)
class Choice:
    """What the options ask for.

    Attributes
    ----------
    entries, contenders : list
        Problems, and methods with their references.
    seeds : int
        How many.
    num_steps : int or None
        Length of the runs; None for that of each problem.
    offset : float
        Added to the losses that methods see.
    left_out : list of str
        What was asked for and cannot be run here, with the reason.
    ablations : list of Nalr
        The rules to be compared with each other, if that is what was asked for.
    """

    entries: list[Entry]
    contenders: list[Method]
    seeds: int
    num_steps: int | None
    offset: float
    left_out: list[str]
    ablations: list[Nalr]

    def starts(self) -> list[Start]:
        """Return the runs."""
        seeds = range(self.seeds)
        return plan(self.entries, self.contenders, seeds, num_steps=self.num_steps, offset=self.offset)


def choose(options: argparse.Namespace) -> Choice:
    """Return what the options ask for.

    Raises
    ------
    Contradiction
        If that is nothing, or if one option does not go with another.
    """
    if options.ablate and options.method:
        raise Contradiction("--ablate chooses the methods itself: leave out --method.")
    left_out: list[str] = []
    rules = ablated(options.optimizer or ["sgd"]) if options.ablate else []
    contenders = _contenders(rules or _asked(options), left_out)
    entries = _entries(options, left_out)
    if not entries or not contenders:
        what = "problem" if contenders else "method"
        raise Contradiction("; ".join([f"The options leave no {what}", *left_out]) + ".")
    if options.rates_problem and options.rates_problem not in {entry.name for entry in entries}:
        raise Contradiction(f"--rates-problem {options.rates_problem} is not raced.")
    present = {each.name for each in contenders}
    return Choice(
        entries=entries,
        contenders=contenders,
        seeds=options.seeds or (QUICK_SEEDS if options.quick else SEEDS),
        num_steps=options.steps or (QUICK_STEPS if options.quick else None),
        offset=options.offset,
        left_out=left_out,
        ablations=[rule for rule in rules if rule.name in present],
    )


def command(options: argparse.Namespace) -> str:
    """Return the command line that makes the same race: nothing of this machine, and no files."""
    words = ["nalr", "race"]
    words += [] if options.group == "all" else ["--group", options.group]
    for option in ("problem", "method", "optimizer"):
        names = getattr(options, option)
        words += [f"--{option}", ",".join(dict.fromkeys(names))] if names else []
    for option in ("seeds", "steps"):
        value = getattr(options, option)
        words += [f"--{option}", str(value)] if value else []
    words += ["--offset", f"{options.offset:g}"] if options.offset else []
    words += [f"--{option}" for option in ("quick", "ablate") if getattr(options, option)]
    return shlex.join(words)


def _asked(options: argparse.Namespace) -> list[Method]:
    quick = options.quick and not options.method
    names = [each.name for each in OURS] if quick else options.method or list(METHODS)
    optimizers = options.optimizer or (["sgd"] if quick else OPTIMIZERS)
    asked = [METHODS[name] for name in dict.fromkeys(names)]
    return [each for each in asked if each.optimizer in optimizers and PROBLEM in each.kinds]


def _contenders(asked: Sequence[Method], left_out: list[str]) -> list[Method]:
    """Return those of `asked` that can run here, and the references of their optimizers."""
    here: dict[str, Method] = {}
    for each in asked:
        package = missing(each)
        if package:
            left_out.append(f"{each.name}: needs the package {package}")
        else:
            here[each.name] = each
    for optimizer in dict.fromkeys(each.optimizer for each in here.values()):
        for shape in REFERENCES:
            here.setdefault(f"{optimizer} {shape}", METHODS[f"{optimizer} {shape}"])
    return list(here.values())


def _entries(options: argparse.Namespace, left_out: list[str]) -> list[Entry]:
    names: Iterable[str] = options.problem or (QUICK_PROBLEMS if options.quick else ENTRIES)
    asked = [ENTRIES[name] for name in dict.fromkeys(names)]
    asked = [entry for entry in asked if options.group in ("all", entry.group)]
    if find_spec("torch") is None:
        left_out += [f"{entry.name}: needs the package torch" for entry in asked if entry.family == "network"]
        asked = [entry for entry in asked if entry.family != "network"]
    return asked
