"""Who runs what: from the options to the runs."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from nalr_bench.race.methods.method import Method
from nalr_bench.race.methods.roster import missing
from nalr_bench.real.roster import METHODS, OPTIMIZERS, SETS, TASKS, rates
from nalr_bench.real.runs import Start
from nalr_bench.real.task import Task

REFERENCE = "linear"
"""The schedule whose best rate is what all else is held to."""
SEEDS, QUICK_SEEDS = 3, 1
STEPS, QUICK_STEPS = 1000, 100


class Contradiction(ValueError):
    """The options leave nothing to run."""


@dataclass(frozen=True)
class Choice:
    """What the options ask for.

    Attributes
    ----------
    tasks, methods : list
        The models, and the methods with their references.
    seeds, num_steps : int
        How many, and how long.
    left_out : list of str
        What was asked for and cannot be run here, with the reason.
    """

    tasks: list[Task]
    methods: list[Method]
    seeds: int
    num_steps: int
    left_out: list[str]

    def starts(self) -> list[Start]:
        """Return the runs, method by method."""
        return [
            Start(task, method, lr, seed, self.num_steps)
            for method in self.methods
            for task in self.tasks
            for lr in rates(method)
            for seed in range(self.seeds)
        ]


def choose(options: argparse.Namespace) -> Choice:
    """Return what the options ask for.

    Raises
    ------
    Contradiction
        If that is nothing.
    """
    left_out: list[str] = []
    methods = _methods(options, left_out)
    tasks = _tasks(options.task or TASKS, left_out) if methods else []
    if not tasks:
        what = "model" if methods else "method"
        raise Contradiction("; ".join([f"The options leave no {what}", *left_out]) + ".")
    return Choice(
        tasks=tasks,
        methods=methods,
        seeds=options.seeds or (QUICK_SEEDS if options.quick else SEEDS),
        num_steps=options.steps or (QUICK_STEPS if options.quick else STEPS),
        left_out=left_out,
    )


def command(options: argparse.Namespace) -> str:
    """Return the command line that makes the same runs: nothing of this machine, and no files."""
    words = ["nalr", "race", "real"]
    for option in ("task", "method", "optimizer"):
        names = getattr(options, option)
        words += [f"--{option}", ",".join(dict.fromkeys(names))] if names else []
    for option in ("seeds", "steps"):
        value = getattr(options, option)
        words += [f"--{option}", str(value)] if value else []
    return shlex.join(words + (["--quick"] if options.quick else []))


def _methods(options: argparse.Namespace, left_out: list[str]) -> list[Method]:
    """Return the methods that were asked for and can run here, references first and ours last."""
    everyone = [method.name for method in SETS["ours"]] if options.quick else list(METHODS)
    asked = set(options.method or everyone)
    optimizers = options.optimizer or OPTIMIZERS
    here = []
    for method in METHODS.values():
        if method.name in asked and method.optimizer in optimizers:
            package = missing(method)
            if package:
                left_out.append(f"{method.name}: needs the package {package}")
            else:
                here.append(method)
    families = {method.optimizer for method in here}
    references = [METHODS[f"{each} {REFERENCE}"] for each in OPTIMIZERS if each in families]
    return [*references, *(method for method in here if method not in references)]


def _tasks(names: Iterable[str], left_out: list[str]) -> list[Task]:
    tasks = []
    for name in dict.fromkeys(names):
        try:
            TASKS[name].training_set()
        except ImportError as error:
            left_out.append(f"{name}: {str(error).rstrip('.')}")
        else:
            tasks.append(TASKS[name])
    return tasks
