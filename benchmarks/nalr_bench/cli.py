"""The commands of the benchmarks: ``nalr bench``, ``nalr race`` and ``nalr demo``."""

from __future__ import annotations

import argparse
from typing import Any

from nalr_bench.demo import options as demo_options
from nalr_bench.estimators import options as estimators_options
from nalr_bench.kernels import options as kernels_options
from nalr_bench.race import options as race_options
from nalr_bench.training import options as training_options

HOMES = {
    "bench": "nalr_bench.kernels.main",
    "bench estimators": "nalr_bench.estimators.main",
    "bench training": "nalr_bench.training.main",
    "demo": "nalr_bench.demo.main",
    "race": "nalr_bench.race.main",
}
"""Where the `run(options)` of each command is."""


def add_commands(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the parsers of these commands; light, since the command line does so at every start."""
    demo_options.add_options(
        commands.add_parser("demo", help="compare with hand-tuned learning rates on three problems")
    )
    bench = commands.add_parser("bench", help="measure the kernels against NumPy, torch and memory bandwidth")
    kernels_options.add_options(bench)
    parts = bench.add_subparsers(dest="part", metavar="part")
    training_options.add_options(
        parts.add_parser("training", help="measure what nalr and its peers add to a PyTorch training step")
    )
    estimators_options.add_options(
        parts.add_parser("estimators", help="simulate, and compare estimates and intervals with exact values")
    )
    race = commands.add_parser(
        "race", help="race against tuned schedules and other methods that need no tuning"
    )
    race_options.add_options(race)
