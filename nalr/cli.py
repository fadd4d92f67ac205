"""The command line: ``nalr``, or ``python -m nalr``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import nalr

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""

_HOMES = {
    "doctor": "nalr.machine.doctor",
    "report": "nalr.machine.report",
    "warmup": "nalr.machine.warmup",
}
"""Where the `run(options)` of each command is; those of the laboratory are in `nalr_bench.cli`."""


class OneLineParser(argparse.ArgumentParser):
    """An argument parser that refuses a wrong option in one line, with exit status 2."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse what is not known here, by the command that was given it and not by the one above."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        """Print the message alone, without the usage, and exit."""
        sys.stderr.write(f"{self.prog}: {message} (see {self.prog} --help)\n")
        sys.exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` names; return its exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; those of this process by default.

    Returns
    -------
    int
        The command's exit status: 0 for success, and for no command, which prints the help; 130 after Ctrl-C.

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
    # Imported here alone: nothing else in the library knows the laboratory that ships beside it.
    from nalr_bench.cli import HOMES, add_commands
    from nalr_bench.readers import picture

    parser = OneLineParser(prog="nalr", description=str(nalr.__doc__).splitlines()[0])
    parser.add_argument("--version", action="version", version=f"nalr {nalr.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    add_commands(commands)
    report = commands.add_parser("report", help="say what a run did and why, from its saved history")
    report.add_argument("file", metavar="FILE", help="a CSV file that `history.to_csv` wrote")
    report.add_argument("--json", action="store_true", help="print JSON and nothing else")
    report.add_argument("--save", metavar="FILE", type=picture, help="draw loss, rate and noise, PNG or SVG")
    commands.add_parser("warmup", help="compile every kernel ahead of time")
    doctor = commands.add_parser(
        "doctor", help="report CPUs, threads, bandwidth and caches, and what is wrong"
    )
    doctor.add_argument("--json", action="store_true", help="print JSON and nothing else")
    options = parser.parse_args(argv)
    if options.command is None:
        parser.print_help()
        return 0
    # A command's modules are imported once it is chosen, so that the others start fast.
    part = getattr(options, "part", None)
    homes = {**HOMES, **_HOMES}
    run = import_module(homes[f"{options.command} {part}" if part else options.command]).run
    try:
        return int(run(options))
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
