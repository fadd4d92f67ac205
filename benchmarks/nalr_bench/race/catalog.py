"""What methods race on: problems, which are surfaces over an array, and tasks, which are networks."""

from __future__ import annotations

from collections.abc import Mapping

from nalr_bench.race.methods.method import PROBLEM, TASK, Kind
from nalr_bench.race.problems.catalog import ENTRIES
from nalr_bench.race.problems.entry import Entry
from nalr_bench.race.tasks.catalog import TASKS
from nalr_bench.race.tasks.task import Task

CATALOG: dict[Kind, Mapping[str, Entry | Task]] = {PROBLEM: ENTRIES, TASK: TASKS}
"""All entries by kind and name."""
