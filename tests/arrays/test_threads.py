"""Work shared among threads is done once each, in order, whoever does it; and limits are found where set."""

from __future__ import annotations

import sys
import threading
import time
from types import SimpleNamespace

import pytest

import nalr
from nalr.arrays import threads


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """No limit but the CPUs: no call, no variable, no torch."""
    for name in (threads.OWN_VARIABLE, *threads.FOREIGN_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "_default", None)
    monkeypatch.setattr(threads, "_chosen", None)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(threads, "usable_cpus", lambda: 6)


def here(_=None):
    return threading.current_thread().name


# -- the loop -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 100])
def test_results_come_in_the_order_of_the_indices(number, count):
    nalr.set_num_threads(number)
    assert threads.run(lambda index: index * index, count) == [index * index for index in range(count)]


def test_each_index_is_done_once():
    nalr.set_num_threads(4)
    done = []
    threads.run(done.append, 1000)
    assert sorted(done) == list(range(1000))


def test_tasks_run_side_by_side():
    nalr.set_num_threads(3)
    meeting = threading.Barrier(3)
    names = threads.run(lambda _: (meeting.wait(timeout=20), here())[1], 3)  # alone, nobody would get past it
    assert here() in names
    assert all(name.startswith("nalr-") for name in names if name != here())


@pytest.mark.parametrize(("number", "count"), [(1, 20), (4, 1)])
def test_with_one_thread_or_one_task_the_caller_does_it_all(number, count):
    nalr.set_num_threads(number)
    assert set(threads.run(here, count)) == {here()}


def test_tasks_may_share_out_tasks_and_helpers_do_theirs_alone():
    nalr.set_num_threads(3)

    def outer(index):
        return here(), threads.run(lambda i: (here(), 10 * index + i), 4)

    for index, (name, inner) in enumerate(threads.run(outer, 12)):
        assert [value for _, value in inner] == [10 * index + i for i in range(4)]
        if name.startswith("nalr-"):
            assert {who for who, _ in inner} == {name}


def test_the_failure_of_the_lowest_index_is_raised_and_the_rest_is_left_out():
    nalr.set_num_threads(2)
    begun = []

    def task(index):
        begun.append(index)
        if index == 3:
            time.sleep(0.05)  # so that index 4 fails first
        if index in (3, 4):
            raise ValueError(f"task {index}")

    with pytest.raises(ValueError, match="task 3"):
        threads.run(task, 1000)
    assert len(begun) < 10


def test_an_interrupt_within_a_task_reaches_the_caller():
    nalr.set_num_threads(2)

    def task(index):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        threads.run(task, 10)
    assert threads.run(lambda index: index, 3) == [0, 1, 2]


def test_a_busy_pool_is_not_waited_for():
    nalr.set_num_threads(2)
    threads.run(here, 2)
    end = threading.Event()
    busy = [threads._pool.submit(end.wait, 20) for _ in range(threads._pool_size)]
    try:
        assert set(threads.run(here, 50)) == {here()}
    finally:
        end.set()
    assert all(future.result() for future in busy)


def test_many_threads_may_call_at_once():
    results = {}

    def call(number):
        nalr.set_num_threads(2 + number % 4)  # pools grow meanwhile
        results[number] = [threads.run(lambda index: index + number, 20) for _ in range(50)]

    callers = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(30)
    assert results == {number: [[index + number for index in range(20)]] * 50 for number in range(8)}


def test_where_no_thread_can_be_started_the_caller_does_it_all(monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    threads._drop_pool()
    nalr.set_num_threads(4)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert set(threads.run(here, 20)) == {here()}
    assert threads.run(lambda index: index, 5) == list(range(5))


# -- the number ---------------------------------------------------------------------------------------


def decided():
    return nalr.get_num_threads(), threads.why_num_threads()


def test_without_a_limit_all_usable_cpus_are_used():
    assert decided() == (6, "the CPUs this process may use")


def test_the_number_set_stands_above_all_and_none_takes_it_back(monkeypatch):
    monkeypatch.setenv("NALR_NUM_THREADS", "2")
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(get_num_threads=lambda: 1))
    nalr.set_num_threads(9)
    assert decided() == (9, "set_num_threads")
    nalr.set_num_threads(None)
    assert decided() == (1, "torch.get_num_threads()")


def test_the_own_variable_goes_before_the_cpus_and_foreign_ones(monkeypatch):
    monkeypatch.setenv("NALR_NUM_THREADS", " 8 ")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert decided() == (8, "NALR_NUM_THREADS")


@pytest.mark.parametrize("name", threads.FOREIGN_VARIABLES)
@pytest.mark.parametrize(
    ("text", "number"), [("3", 3), ("4,2", 4), ("64", 6), ("0", 6), ("-1", 6), ("many", 6)]
)
def test_foreign_variables_are_limits_where_they_make_sense(monkeypatch, name, text, number):
    monkeypatch.setenv(name, text)
    assert decided() == (number, name if number < 6 else "the CPUs this process may use")


@pytest.mark.parametrize("text", ["0", "-2", "two", "1.5", "²"])
def test_an_own_variable_that_makes_no_sense_is_refused(monkeypatch, text):
    monkeypatch.setenv("NALR_NUM_THREADS", text)
    with pytest.raises(ValueError, match="`NALR_NUM_THREADS` must be a whole number of at least 1, got"):
        nalr.get_num_threads()


@pytest.mark.parametrize(("own", "number"), [(None, 2), ("5", 2), ("1", 1)])
def test_torch_limits_where_it_is_loaded(monkeypatch, own, number):
    if own:
        monkeypatch.setenv("NALR_NUM_THREADS", own)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(get_num_threads=lambda: 2))
    assert nalr.get_num_threads() == number


def test_torch_that_is_half_imported_is_no_limit(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())
    assert nalr.get_num_threads() == 6


@pytest.mark.parametrize(
    ("value", "error"), [(0, ValueError), (-1, ValueError), (1.0, TypeError), (True, TypeError)]
)
def test_a_number_that_makes_no_sense_is_refused(value, error):
    with pytest.raises(error, match="`count` must be a whole number of at least 1, got"):
        nalr.set_num_threads(value)


def test_asking_again_reads_no_environment(monkeypatch):
    assert nalr.get_num_threads() == 6
    monkeypatch.setenv("NALR_NUM_THREADS", "nonsense")
    assert nalr.get_num_threads() == 6
