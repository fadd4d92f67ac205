"""Ranks that train models of their own, run out of data, or are alone: none waits for ever."""

from __future__ import annotations

import os
import socket
import warnings
from datetime import timedelta
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from torch.distributed.algorithms.join import Join
from torch.nn.parallel import DistributedDataParallel

import nalr.torch
from nalr._checks import NoiseWarning
from nalr.torch.sums import ranks
from nalr.torch.sums.backwards import BackwardSums
from nalr.torch.sums.path import PathSums
from nalr.torch.sums.ranks import Ranks, StepSums

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="torch without torch.distributed")
WORLD = 2


def train(rank: int, width: int = 4, steps: int = 5, **settings: Any) -> dict[str, Any]:
    """Train a model of this rank's own."""
    torch.manual_seed(rank)
    model = torch.nn.Sequential(torch.nn.Linear(3, width), torch.nn.Tanh(), torch.nn.Linear(width, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    found: dict[str, Any] = {"error": "", "lrs": []}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            scheduler = nalr.torch.NoiseAdaptiveLR(optimizer, **settings)
            for _ in range(steps):
                optimizer.zero_grad()
                for _ in range(2):
                    inputs = torch.randn(8, 3)
                    loss = (model(inputs) - inputs.sum(1, keepdim=True)).square().mean()
                    loss.backward()
                optimizer.step()
                scheduler.step(loss)
                found["lrs"].append(scheduler.lr)
            found["variance"] = scheduler.reading().total_variance
            found["source"] = scheduler.reading().source
        except (ValueError, RuntimeError) as error:
            found["error"] = str(error)
    found["warnings"] = [str(each.message) for each in told if each.category is NoiseWarning]
    return found


def train_uneven(rank: int) -> dict[str, Any]:
    """Train copies of one model, of which this rank's data last for 3 or 6 steps."""
    torch.manual_seed(0)
    model = DistributedDataParallel(torch.nn.Linear(3, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    scheduler = nalr.torch.NoiseAdaptiveLR(optimizer)
    found = {"steps": 0, "error": ""}
    try:
        with Join([model]):
            for _ in range(3 + 3 * rank):
                optimizer.zero_grad()
                loss = model(torch.randn(8, 3)).square().mean()
                loss.backward()
                optimizer.step()
                scheduler.step(loss)
                found["steps"] += 1
    except RuntimeError as error:  # the other rank, which waits in `Join`, loses this one
        found["error"] = str(error)
    return found


def work(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo")
    dist.init_process_group("gloo", rank=rank, world_size=WORLD, timeout=timedelta(seconds=60))
    results = {
        "alone": train(rank, process_group=None),
        "auto": train(rank),
        "other sizes": train(rank, width=4 + rank),
        "other sizes, alone": train(rank, width=4 + rank, process_group=None),
        "named": train(rank, process_group=dist.group.WORLD),
    }
    ranks.PATIENCE = 3.0
    if rank == 0:
        results["one"] = train(rank)
    dist.barrier()
    torch.save(results, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def work_uneven(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo")
    ranks.PATIENCE = 3.0
    dist.init_process_group("gloo", rank=rank, world_size=WORLD, timeout=timedelta(seconds=60))
    torch.save(train_uneven(rank), f"{folder}/{rank}.pt")
    os._exit(0)  # at once: the groups are beyond a clean end


def both(worker: Any, folder: Any) -> list[dict[str, Any]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(worker, (port, str(folder)), nprocs=WORLD)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(WORLD)]


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> list[dict[str, Any]]:
    """Results of all cases on both ranks; the processes are started once."""
    return both(work, tmp_path_factory.mktemp("strangers"))


ALONE = (
    "The ranks do not step with the same gradient, so each decides its rate alone. Where some train copies "
    "of one model, name these as `process_group`; give None if this is meant."
)
LATE = "must make each {}, but another did not within 3 s. Give all as many batches"


@pytest.mark.slow
@pytest.mark.parametrize(("case", "alone"), [("auto", "alone"), ("other sizes", "other sizes, alone")])
def test_models_of_their_own_are_decided_alone_with_one_warning(results, case, alone):
    for result in results:
        assert result[case]["warnings"] == [ALONE] and result[alone]["warnings"] == []
        assert result[case]["lrs"] == result[alone]["lrs"]
        assert result[case]["source"] == "microbatches"
        assert result[case]["variance"] == pytest.approx(result[alone]["variance"], rel=1e-5)


@pytest.mark.slow
def test_a_named_group_of_models_of_their_own_is_refused(results):
    for result in results:
        assert result["named"]["error"].startswith(
            "The ranks of `process_group` must step with the same gradient, got models of 21, 21 values, "
        )


@pytest.mark.slow
def test_one_rank_alone_is_told_so_in_time(results):
    assert LATE.format("scheduler") in results[0]["one"]["error"]


@pytest.mark.slow
def test_ranks_that_ran_out_of_data_are_not_waited_for(tmp_path):
    _, longer = both(work_uneven, tmp_path)
    assert longer["steps"] == 3
    assert LATE.format("step") in longer["error"]


class Told(Ranks):
    """Ranks whose numbers the test gives, one answer after the other."""

    def __init__(self, *answers: list[list[float]], named: bool = False) -> None:
        self.answers, self.size, self.compared, self.named = list(answers), 2, False, named

    def gather(self, numbers):
        return [list(numbers), self.answers.pop(0)]


def numbers_of(norm: float, total: float) -> list[float]:
    return [0.0, 0.0, 0.0, 0.0, 0.0, norm, total, 1.0, 1, 1.0, 0.0, 1.0, 0, 0.0, 0.0]


def own(norm: float, total: float) -> StepSums:
    return StepSums(PathSums(0.0, 0.0, 0.0, 0.0, 0.0, norm), total, BackwardSums(1, 1.0, 0.0, 1.0), None, 1.0)


@pytest.mark.parametrize(
    ("norm", "total", "dimension"), [(4.0, 2.0, 8), (4.001, 2.0, 9), (0.0, 0.0, 9), (4.0, -2.0, 9)]
)
def test_another_dimension_or_gradient_is_another_model(norm, total, dimension):
    told = Told(numbers_of(norm, total), [dimension])
    with pytest.warns(NoiseWarning, match="each decides its rate alone"):
        assert told.agree(own(4.0, 2.0), 9) is None


def test_roundings_are_no_other_model_and_what_cannot_be_compared_waits():
    told = Told(
        numbers_of(0.0, 0.0), [9], numbers_of(float("nan"), 0.0), [9], numbers_of(4.00001, 2.00001), [9]
    )
    for norm, total in ((0.0, 0.0), (float("nan"), 0.0), (4.0, 2.0)):
        assert not told.compared
        assert told.agree(own(norm, total), 9) is not None
    assert told.compared and not told.answers


def test_where_one_ranks_backwards_are_not_known_there_are_no_rows():
    told = Told([*numbers_of(4.0, 2.0)[:8], 0, float("nan"), float("nan"), 0.0, 0, 0.0, 0.0], [9])
    agreed = told.agree(own(4.0, 2.0), 9)
    assert agreed is not None and agreed.backwards is not None and agreed.backwards.backwards == 0
