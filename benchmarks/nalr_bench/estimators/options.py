"""The options of ``nalr bench estimators``; light to import, as at every start of the command line."""

from __future__ import annotations

import argparse

from nalr_bench.readers import document, names_of, natural_number, whole_number

STUDIES = {
    "bias": "mean of tr Σ and |G|² against the truth",
    "example": "the same of biased alternatives, for a faint signal",
    "rows": "intervals from the rows of one step",
    "steps": "intervals from independent steps",
    "correlated": "intervals from correlated steps, AR(1)",
    "population": "intervals from rows drawn without replacement",
    "probes": "intervals of Hutchinson's trace",
}
"""Names for `--only`, in the order of execution."""


FEWEST_DRAWS = 30


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to `parser`; --quick, --only and --json may also come before `estimators`."""
    parser.add_argument(
        "--quick",
        action="store_true",
        default=argparse.SUPPRESS,
        help="fewer draws, up to 1000 dimensions: half a minute",
    )
    parser.add_argument(
        "--only",
        metavar="NAME",
        type=names_of(STUDIES),
        default=argparse.SUPPRESS,
        help=f"only these, as a list with commas; of {', '.join(STUDIES)}",
    )
    parser.add_argument(
        "--draws", metavar="N", type=draws, help="draws of each cell, at least 30 (default 10000)"
    )
    parser.add_argument("--seed", metavar="N", type=natural_number, default=0, help="seed of all draws")
    parser.add_argument(
        "--jobs", metavar="N", type=whole_number, help="processes (default: one for each CPU)"
    )
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print JSON and nothing else"
    )
    parser.add_argument("--report", metavar="FILE", type=document, help="write every cell as Markdown")


def draws(text: str) -> int:
    """Return a number of draws large enough for a standard error."""
    number = whole_number(text)
    if number < FEWEST_DRAWS:
        raise argparse.ArgumentTypeError(f"must be at least {FEWEST_DRAWS}, got {text!r}")
    return number
