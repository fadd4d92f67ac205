"""Fixtures of these tests."""

from __future__ import annotations

import pytest

from nalr.arrays import threads


@pytest.fixture
def num_threads():
    """`set_num_threads`, undone after the test."""
    yield threads.set_num_threads
    threads.set_num_threads(None)
