"""The options of ``nalr bench``; light to import, as at every start of the command line."""

from __future__ import annotations

import argparse

from nalr_bench.readers import names_of, picture, whole_number, whole_numbers

GROUPS = {
    "batch": "rows (B, D) to Moments, float32",
    "types": "the same of other types and layouts",
    "rows": "row by row",
    "step": "a whole step of the controller",
    "loss": "smoothing of losses",
    "probes": "random signs",
    "memory": "memory beyond the input",
    "start": "start of a process",
}
"""Names for `--only`, in the order of execution."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to `parser`."""
    parser.add_argument(
        "--quick", action="store_true", help="up to 10⁶ parameters, fewer rounds: half a minute"
    )
    parser.add_argument(
        "--size",
        metavar="D",
        type=whole_numbers,
        action="extend",
        help="parameters, of the groups batch and rows; may be given again, or as a list 1e5,1e6",
    )
    parser.add_argument(
        "--only",
        metavar="NAME",
        type=names_of(GROUPS),
        action="extend",
        help=f"only this group; may be given again, or as a list; one of {', '.join(GROUPS)}",
    )
    parser.add_argument(
        "--threads", metavar="N", type=whole_number, help="threads of the kernels (default: all they may use)"
    )
    parser.add_argument("--rounds", metavar="N", type=whole_number, help="rounds to take the medians of")
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    parser.add_argument("--plot", metavar="FILE", type=picture, help="draw the batch group as PNG or SVG")
