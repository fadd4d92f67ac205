"""Fixtures of these tests."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pytest


@pytest.fixture(autouse=True)
def no_figure_is_left_behind():
    before = plt.get_fignums()
    yield
    assert plt.get_fignums() == before
