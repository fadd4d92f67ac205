"""Who races where: from the options to entries, methods and runs."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from nalr_bench.race.catalog import CATALOG
from nalr_bench.race.engine.plan import REFERENCES, plan
from nalr_bench.race.engine.run import Start
from nalr_bench.race.methods.ablated import ablated
from nalr_bench.race.methods.method import PROBLEM, TASK, Kind, Method
from nalr_bench.race.methods.ours import Nalr
from nalr_bench.race.methods.roster import METHODS, OURS, missing
from nalr_bench.race.problems.entry import OPTIMIZERS, Entry
from nalr_bench.race.tasks.task import Task

QUICK_PROBLEMS = (
    "quadratic-easy",
    "rugged-2d-noise-.5",
    "mlp-digits",
    "rugged-10d-noise-0",
    "one-row",
    "logistic-digits-scaled",
)
SEEDS: dict[Kind, int] = {PROBLEM: 5, TASK: 3}
QUICK_SEEDS: dict[Kind, int] = {PROBLEM: 2, TASK: 1}
STEPS: dict[Kind, int | None] = {PROBLEM: None, TASK: Task.default_steps}
QUICK_STEPS: dict[Kind, int] = {PROBLEM: 500, TASK: 100}

NAMED = 8
"""As many entries are named in the line that describes a race."""


class Contradiction(ValueError):
    """The options leave nothing to run, or one does not go with another."""


@dataclass(frozen=True)
class Choice:
    """What the options ask for, of one kind of entry.

    Attributes
    ----------
    kind : str
        "problem" or "task".
    entries, methods : list
        Problems or tasks, and methods with their references.
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

    kind: Kind
    entries: list[Entry | Task]
    methods: list[Method]
    seeds: int
    num_steps: int | None
    offset: float
    left_out: list[str]
    ablations: list[Nalr]

    def starts(self) -> list[Start]:
        """Return the runs."""
        seeds = range(self.seeds)
        return plan(self.entries, self.methods, seeds, num_steps=self.num_steps, offset=self.offset)

    def described(self) -> str:
        """Return what is raced, in a line; more than a few entries are counted alone."""
        count = len(self.entries)
        names = f" ({', '.join(entry.name for entry in self.entries)})" if count <= NAMED else ""
        length = "as many steps as planned" if self.num_steps is None else f"{self.num_steps} steps"
        return (
            f"{_counted(count, self.kind)}{names}, {_counted(len(self.methods), 'method')}, "
            f"{_counted(self.seeds, 'seed')}, {length}"
        )

    def epsilons(self) -> dict[str, float]:
        """Return ε of each entry."""
        return {
            entry.name: (entry.make(self.num_steps) if isinstance(entry, Entry) else entry).epsilon
            for entry in self.entries
        }


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def choose(options: argparse.Namespace) -> list[Choice]:
    """Return what the options ask for: on problems, on tasks or on both.

    Raises
    ------
    Contradiction
        If that is nothing, or if one option does not go with another.
    """
    kinds: list[Kind] = [PROBLEM] if options.problem or not options.task else []
    kinds += [TASK] if options.task else []
    for wrong, message in (
        (options.ablate and options.method, "--ablate chooses the methods itself: leave out --method."),
        (options.ablate and options.task, "--ablate compares rules on problems: leave out --task."),
        (options.plot and len(kinds) > 1, "--plot draws problems or tasks: leave out --problem or --task."),
        (
            options.plot_rates and PROBLEM not in kinds,
            "--plot-rates draws runs on a problem: name --problem.",
        ),
    ):
        if wrong:
            raise Contradiction(message)
    return [_choose(options, kind) for kind in kinds]


def _choose(options: argparse.Namespace, kind: Kind) -> Choice:
    left_out: list[str] = []
    rules = ablated(options.optimizer or ["sgd"]) if options.ablate else []
    asked = rules or _asked(options, kind)
    methods = _here([each for each in asked if isinstance(each, Nalr) or not options.hash], left_out)
    if not options.hash:
        methods = _with_references(methods, kind)
    entries = _entries(options, kind, left_out)
    if not entries or not methods:
        what = kind if methods else "method"
        raise Contradiction("; ".join([f"The options leave no {what}", *left_out]) + ".")
    if options.rates_problem and kind == PROBLEM:
        if options.rates_problem not in {entry.name for entry in entries}:
            raise Contradiction(f"--rates-problem {options.rates_problem} is not raced.")
    present = {each.name for each in methods}
    return Choice(
        kind=kind,
        entries=entries,
        methods=methods,
        seeds=options.seeds or (QUICK_SEEDS if options.quick else SEEDS)[kind],
        num_steps=options.steps or (QUICK_STEPS[kind] if options.quick else STEPS[kind]),
        offset=options.offset,
        left_out=left_out,
        ablations=[rule for rule in rules if rule.name in present],
    )


def command(options: argparse.Namespace) -> str:
    """Return the command line that makes the same race: nothing of this machine, and no files."""
    words = ["nalr", "race"]
    words += [] if options.group == "all" else ["--group", options.group]
    for option in ("problem", "task", "method", "optimizer"):
        names = getattr(options, option)
        words += [f"--{option}", ",".join(dict.fromkeys(names))] if names else []
    for option in ("seeds", "steps"):
        value = getattr(options, option)
        words += [f"--{option}", str(value)] if value else []
    words += ["--offset", f"{options.offset:g}"] if options.offset else []
    words += [f"--{option}" for option in ("quick", "ablate", "hash") if getattr(options, option)]
    return shlex.join(words)


def _asked(options: argparse.Namespace, kind: Kind) -> list[Method]:
    quick = options.quick and not options.method
    names = [each.name for each in OURS] if quick else options.method or list(METHODS)
    optimizers = options.optimizer or (["sgd"] if quick and kind == PROBLEM else OPTIMIZERS)
    asked = [METHODS[name] for name in dict.fromkeys(names)]
    return [each for each in asked if each.optimizer in optimizers and kind in each.kinds]


def _here(asked: Sequence[Method], left_out: list[str]) -> list[Method]:
    """Return those of `asked` that can run here."""
    packages = {each.name: missing(each) for each in asked}
    left_out += [f"{name}: needs the package {package}" for name, package in packages.items() if package]
    return [each for each in asked if not packages[each.name]]


def _with_references(methods: Sequence[Method], kind: Kind) -> list[Method]:
    """Return `methods` and the schedules, tuned, that they are compared with."""
    found = {each.name: each for each in methods}
    for optimizer in dict.fromkeys(each.optimizer for each in methods):
        for shape in REFERENCES[kind]:
            found.setdefault(f"{optimizer} {shape}", METHODS[f"{optimizer} {shape}"])
    return list(found.values())


def _entries(options: argparse.Namespace, kind: Kind, left_out: list[str]) -> list[Entry | Task]:
    names = options.task if kind == TASK else options.problem
    names = names or (QUICK_PROBLEMS if options.quick else CATALOG[kind])
    asked = [CATALOG[kind][name] for name in dict.fromkeys(names)]
    if kind == PROBLEM:
        asked = [entry for entry in asked if options.group in ("all", entry.group)]
    found = []
    for entry in asked:
        reason = "needs the package torch" if entry.family == "network" and find_spec("torch") is None else ""
        if isinstance(entry, Task) and not reason:
            try:
                entry.training_set()
            except ImportError as error:
                reason = str(error).rstrip(".")
        if reason:
            left_out.append(f"{entry.name}: {reason}")
        else:
            found.append(entry)
    return found
