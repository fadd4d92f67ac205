"""What a command shows while it works, and the files that it leaves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def written(path: Path, write: Callable[[Path], object]) -> bool:
    """Write a file and name it on stderr, or say why not; return whether it is there."""
    try:
        write(path)
    except (ImportError, OSError, ValueError) as error:
        print(f"{path} could not be written: {error}", file=sys.stderr)
        return False
    print(path, file=sys.stderr)
    return True


@contextmanager
def bar(total: int) -> Iterator[Callable[[int], Any]]:
    """Yield what moves a bar: on stderr, only if that is a terminal, and if tqdm is there."""
    try:
        from tqdm import tqdm
    except ImportError:
        yield lambda count: None
        return
    with tqdm(total=total, unit="run", disable=None, leave=False, smoothing=0.05) as shown:
        yield shown.update
