"""What several folders of tests need."""

from __future__ import annotations

import subprocess
import sys

HANG = 600.0
"""Seconds after which a process of a test counts as hung: far above what a busy machine needs."""


def run_python(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments in a process of its own; return what it printed and its exit status."""
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=HANG, check=False, **options
    )
