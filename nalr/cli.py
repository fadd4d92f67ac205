"""The command line: ``nalr``, or ``python -m nalr``."""

from __future__ import annotations

from collections.abc import Sequence

import nalr
from nalr.demo.options import OneLineParser, add_options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` names; return its exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; those of this process by default.

    Returns
    -------
    int
        The command's exit status: 0 for success.

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
    parser = OneLineParser(prog="nalr", description=nalr.__doc__)
    parser.add_argument("--version", action="version", version=f"nalr {nalr.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    add_options(commands.add_parser("demo", help="compare with hand-tuned learning rates on three problems"))
    options = parser.parse_args(argv)
    # A command's modules are imported once it is chosen, so that the others start fast.
    from nalr.demo.main import run

    return run(options)
