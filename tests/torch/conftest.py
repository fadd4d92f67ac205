"""What every test of torch begins with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread_and_seed() -> Iterator[None]:
    """Draw the same numbers on every run; for matrices of this size other threads only wait."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(20260801)
    yield
    torch.set_num_threads(threads)
