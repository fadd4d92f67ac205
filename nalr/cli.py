"""The command line: ``nalr``, or ``python -m nalr``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

import nalr
from nalr.bench.estimators import options as estimators_options
from nalr.bench.kernels import options as bench_options
from nalr.bench.race import options as race_options
from nalr.bench.real import options as real_options
from nalr.bench.training import options as training_options
from nalr.demo.options import OneLineParser, add_options

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""

_HOMES = {
    "bench": "nalr.bench.kernels.main",
    "bench estimators": "nalr.bench.estimators.main",
    "bench training": "nalr.bench.training.main",
    "demo": "nalr.demo.main",
    "doctor": "nalr.doctor",
    "race": "nalr.bench.race.main",
    "race real": "nalr.bench.real.main",
    "warmup": "nalr.warmup",
}
"""Where the `run(options)` of each command is."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` names; return its exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; those of this process by default.

    Returns
    -------
    int
        The command's exit status: 0 for success, 130 after Ctrl-C.

    Raises
    ------
    SystemExit
        With 2 for a wrong command or option, with 0 after ``--help`` and ``--version``.

    Examples
    --------
    >>> main(["demo", "--jobs", "none"])
    Traceback (most recent call last):
    SystemExit: 2
    """
    options = _parser().parse_args(argv)
    # A command's modules are imported once it is chosen, so that the others start fast.
    part = getattr(options, "part", None)
    run = import_module(_HOMES[f"{options.command} {part}" if part else options.command]).run
    try:
        return int(run(options))
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED


def _parser() -> OneLineParser:
    parser = OneLineParser(prog="nalr", description=nalr.__doc__)
    parser.add_argument("--version", action="version", version=f"nalr {nalr.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    add_options(commands.add_parser("demo", help="compare with hand-tuned learning rates on three problems"))
    bench = commands.add_parser("bench", help="measure the kernels against NumPy, torch and memory bandwidth")
    bench_options.add_options(bench)
    parts = bench.add_subparsers(dest="part", metavar="part")
    training_options.add_options(
        parts.add_parser("training", help="measure instead what nalr adds to a training step, and its peers")
    )
    estimators_options.add_options(
        parts.add_parser("estimators", help="simulate instead, and hold the estimates against the truth")
    )
    race = commands.add_parser(
        "race", help="race against tuned schedules and other methods that need no tuning"
    )
    race_options.add_options(race)
    parts = race.add_subparsers(dest="part", metavar="part")
    real_options.add_options(parts.add_parser("real", help="race instead in PyTorch training loops"))
    commands.add_parser("warmup", help="compile every kernel ahead of time")
    doctor = commands.add_parser(
        "doctor", help="say what this machine means for the kernels, and what is wrong"
    )
    doctor.add_argument("--json", action="store_true", help="print JSON and nothing else")
    return parser
