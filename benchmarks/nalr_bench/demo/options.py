"""The demo's command-line options; light to import, since the command line does so at every start."""

from __future__ import annotations

import argparse
from pathlib import Path

from nalr_bench.readers import document, natural_number, whole_number


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the demo's options to `parser`."""
    parser.add_argument("--quick", action="store_true", help="fewer seeds and coarser grids: about a minute")
    parser.add_argument("--save", metavar="DIR", type=Path, help="write the figures there as PNG files")
    parser.add_argument("--report", metavar="FILE", type=document, help="write tables and claims as Markdown")
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else; open no windows")
    parser.add_argument("--no-show", action="store_true", help="open no windows")
    parser.add_argument(
        "--interactive", action="store_true", help="a window with sliders instead of the comparison"
    )
    parser.add_argument(
        "--seed", type=natural_number, default=0, metavar="N", help="choose other random numbers (default 0)"
    )
    parser.add_argument(
        "--jobs", type=whole_number, metavar="N", help="worker processes (default: one for each CPU)"
    )
