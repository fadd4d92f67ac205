"""The tasks of the race."""

from __future__ import annotations

from nalr_bench.race.tasks.convolutions import ConvNet
from nalr_bench.race.tasks.task import Task
from nalr_bench.race.tasks.transformer import CharTransformer

TASKS: dict[str, Task] = {task.name: task for task in (CharTransformer(), ConvNet())}
"""All tasks by name."""
