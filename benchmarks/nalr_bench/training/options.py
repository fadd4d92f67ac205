"""The options of ``nalr bench training``; light to import, as at every start of the command line."""

from __future__ import annotations

import argparse

from nalr_bench.readers import names_of, whole_number

STUDIES = {
    "mlp": "a step of an MLP, with nalr and with its peers",
    "accumulation": "the same in two backwards a step",
    "transformer": "a step of a transformer",
    "samples": "tr Σ of the samples after a backward",
    "memory": "memory beside the parameters",
    "sampling": "noise of the signal from a sample of the coordinates",
}
"""Names for `--only`, in the order of execution."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to `parser`, without defaults: options of ``nalr bench`` keep their values."""
    parser.argument_default = argparse.SUPPRESS
    parser.add_argument(
        "--quick",
        action="store_true",
        help="few rounds, without steps that take seconds: a minute",
    )
    parser.add_argument(
        "--only",
        metavar="NAME",
        type=names_of(STUDIES),
        help=f"only these, as a list with commas; of {', '.join(STUDIES)}",
    )
    parser.add_argument("--threads", metavar="N", type=whole_number, help="threads of kernels and of torch")
    parser.add_argument("--rounds", metavar="N", type=whole_number, help="rounds to take the medians of")
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
