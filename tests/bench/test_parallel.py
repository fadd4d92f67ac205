"""Work spread over processes."""

from __future__ import annotations

import math
import operator
from functools import partial

import pytest

from nalr_bench.parallel import Workers


def test_results_come_in_the_order_of_the_items_on_any_number_of_processes():
    items = [float(k) for k in range(20)]
    calls = []
    with Workers(jobs=2) as two, Workers(jobs=1) as one:
        assert two.map(math.sqrt, items, lambda: calls.append(1)) == one.map(math.sqrt, items)
        with pytest.raises(ValueError):
            two.map(math.sqrt, [1.0, -1.0])
    assert len(calls) == len(items)


def test_the_first_exception_ends_the_work():
    with Workers(jobs=1) as workers, pytest.raises(ZeroDivisionError):
        workers.map(partial(operator.truediv, 1.0), [1.0, 0.0])


def test_workers_refuse_no_jobs():
    with pytest.raises(ValueError, match=r"`jobs` must be a whole number of at least 1, got 0\."):
        Workers(jobs=0)
