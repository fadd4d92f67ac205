"""The options of ``nalr bench training``; light to import, since the command line does so at every start."""

from __future__ import annotations

import argparse

from nalr_bench.readers import names_of, whole_number

STUDIES = {
    "mlp": "a step of an MLP, with nalr and with its peers",
    "accumulation": "the same in two backwards a step",
    "transformer": "a step of a transformer",
    "samples": "tr Σ of the samples beside a backward",
    "memory": "memory beside the parameters",
    "sampling": "noise of the signal from a sample of the coordinates",
}
"""What `--only` can name, in the order in which it is run."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to `parser`, without defaults: those of ``nalr bench`` before it stand."""
    parser.argument_default = argparse.SUPPRESS
    parser.add_argument(
        "--quick",
        action="store_true",
        help="few rounds, without what takes seconds a step: a minute",
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
