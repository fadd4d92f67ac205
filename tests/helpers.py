"""What several folders of tests need."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

HANG = 600.0
"""Seconds after which a process of a test counts as hung: far above what a busy machine needs."""


def run_python(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments in a process of its own; return what it printed and its exit status."""
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=HANG, check=False, **options
    )


@contextlib.contextmanager
def process_group(*command: str, **options) -> Iterator[subprocess.Popen[str]]:
    """Start a process that leads a group of its own; at the end, also of a test that fails, end them all."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, start_new_session=True, **options
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
