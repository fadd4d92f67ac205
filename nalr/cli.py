"""The command line: ``nalr``, or ``python -m nalr``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import nalr

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""

_HOMES = {"doctor": "nalr.machine.doctor", "warmup": "nalr.machine.warmup"}
"""Where the `run(options)` of each command is; those of the laboratory are in `nalr_bench.cli`."""


class OneLineParser(argparse.ArgumentParser):
    """An argument parser that refuses a wrong option in one line, with exit status 2."""

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
    # Imported here alone: nothing else in the library knows the laboratory that ships beside it.
    from nalr_bench.cli import HOMES, add_commands

    parser = OneLineParser(prog="nalr", description=str(nalr.__doc__).splitlines()[0])
    parser.add_argument("--version", action="version", version=f"nalr {nalr.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    add_commands(commands)
    commands.add_parser("warmup", help="compile every kernel ahead of time")
    doctor = commands.add_parser(
        "doctor", help="say what this machine means for the kernels, and what is wrong"
    )
    doctor.add_argument("--json", action="store_true", help="print JSON and nothing else")
    options = parser.parse_args(argv)
    # A command's modules are imported once it is chosen, so that the others start fast.
    part = getattr(options, "part", None)
    homes = {**HOMES, **_HOMES}
    run = import_module(homes[f"{options.command} {part}" if part else options.command]).run
    try:
        return int(run(options))
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
