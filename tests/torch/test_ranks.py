"""Data-parallel training: ranks decide the same to the bit, and their own gradients are rows."""

from __future__ import annotations

import os
import socket
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from torch.nn.parallel import DistributedDataParallel

import nalr.torch
from nalr.torch.sums.backwards import BackwardSums
from nalr.torch.sums.path import PathSums
from nalr.torch.sums.ranks import Ranks, StepSums, ranks_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not dist.is_available(), reason="torch without torch.distributed"),
]
WORLD = 2
FLOAT32 = float(np.finfo(np.float32).eps)


def batch(step: int, rank: int, part: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1000 * step + 10 * rank + part)
    inputs = torch.randn(8, 3, generator=generator)
    return inputs, inputs.sum(1, keepdim=True) + 0.3 * torch.randn(8, 1, generator=generator)


def network() -> torch.nn.Sequential:
    torch.manual_seed(3)
    return torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))


def explicit_variance(model: torch.nn.Module, step: int, parts: int) -> float:
    """Return tr Σ of the rows of all ranks, from the rows themselves."""
    rows = []
    for rank in range(WORLD):
        for part in range(parts):
            inputs, targets = batch(step, rank, part)
            loss = torch.nn.functional.mse_loss(model(inputs), targets)
            grads = torch.autograd.grad(loss, list(model.parameters()))
            rows.append(torch.cat([g.reshape(-1) for g in grads]).double().numpy())
    return float(np.var(rows, axis=0, ddof=1).sum())


def train(rank: int, case: dict[str, Any]) -> dict[str, Any]:
    """Train on one rank; return what it decided and read."""
    model = DistributedDataParallel(network(), gradient_as_bucket_view=case.get("view", False))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    scheduler = nalr.torch.NoiseAdaptiveLR(optimizer, **case.get("settings", {}))
    parts, lrs, variances, expected, clipped = case.get("parts", 1), [], [], [], []
    for step in range(case.get("steps", 25)):
        optimizer.zero_grad(set_to_none=case.get("to_none", True))
        if step < 3:
            expected.append(explicit_variance(model.module, step, parts))
        losses = []
        for part in range(parts):
            inputs, targets = batch(step, rank, part)
            waiting = case.get("no_sync", False) and part < parts - 1
            with model.no_sync() if waiting else torch.enable_grad():
                loss = torch.nn.functional.mse_loss(model(inputs), targets)
                (loss / parts).backward()
            losses.append(loss.item())
        if case.get("max_norm"):
            torch.nn.utils.clip_grad_norm_(model.parameters(), case["max_norm"])
        optimizer.step()
        scheduler.step(np.mean(losses))
        lrs.append(scheduler.lr)
        variances.append(scheduler.controller.estimator.total_variance)
        clipped.append(scheduler.engine.measurement.clipped)
    reading = scheduler.reading()
    return {
        "lrs": lrs,
        "first": variances[0],
        "expected": expected[0],
        "source": reading.source,
        "rows": reading.num_rows,
        "clipped": any(clipped),
        "weights": [p.detach().clone().numpy() for p in model.parameters()],
    }


CASES: dict[str, dict[str, Any]] = {
    "one backward": {},
    "bucket views": {"view": True},
    "accumulation": {"parts": 3, "no_sync": True},
    "accumulation, reduced each time": {"parts": 3},
    "accumulation, reduced each time, in views": {"parts": 3, "view": True, "to_none": False},
    "clipped": {"max_norm": 0.01, "steps": 2},
    "from step to step": {"settings": {"noise": "steps"}},
    "alone": {"settings": {"process_group": None}},
}


def work(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo")
    dist.init_process_group("gloo", rank=rank, world_size=WORLD)
    try:
        results = {name: train(rank, case) for name, case in CASES.items()}
        torch.save(results, f"{folder}/{rank}.pt")
        dist.barrier()
    finally:
        dist.destroy_process_group()


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> list[dict[str, Any]]:
    """Results of all cases on both ranks; the processes are started once."""
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(work, (port, str(folder)), nprocs=WORLD)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(WORLD)]


@pytest.mark.slow
@pytest.mark.parametrize("case", sorted(set(CASES) - {"alone"}))
def test_every_rank_decides_the_same_to_the_bit(results, case):
    first, second = (result[case] for result in results)
    assert first["lrs"] == second["lrs"]
    assert len(set(first["lrs"])) > (2 if len(first["lrs"]) > 2 else 0)
    assert all((a == b).all() for a, b in zip(first["weights"], second["weights"], strict=True))


def test_ranks_that_decide_alone_drift_apart(results):
    """Each by its own loss and rows: why the numbers are shared."""
    first, second = (result["alone"] for result in results)
    assert first["lrs"] != second["lrs"]


@pytest.mark.parametrize("case", sorted(set(CASES) - {"alone", "from step to step"}))
def test_the_variance_is_that_of_the_ranks_own_gradients(results, case):
    for result in results:
        found = result[case]
        assert found["first"] == pytest.approx(found["expected"], rel=200 * FLOAT32)
        assert found["source"] == "ranks" and found["rows"] == WORLD * CASES[case].get("parts", 1)
        assert found["clipped"] == (case == "clipped")


def test_after_the_reduction_nothing_is_left_to_see(results):
    assert results[0]["from step to step"]["source"] == "steps"


# -- without processes ------------------------------------------------------------------------------


class Told(Ranks):
    """Ranks whose numbers the test gives."""

    def __init__(self, *others: list[float]) -> None:
        self.others, self.size, self.compared = list(others), 1 + len(others), True

    def gather(self, numbers):
        return [list(numbers), *self.others]


def step_sums(squares: float, left: float, norm: float, total: float, loss: float | None) -> StepSums:
    path = PathSums(0.0, 0.0, 0.0, 0.0, 0.0, norm)
    return StepSums(path, total, BackwardSums(1, squares, 0.0, left), None, loss)


def test_rows_of_ranks_add_up_to_their_mean():
    """Gradients 3 and 1 of a rank each: their mean is 2, and each adds half of itself to it."""
    own = step_sums(9.0, 3.0, 4.0, 2.0, 1.0)
    agreed = Told([*own.path, 2.0, 3.0, 1, 1.0, 0.0, 1.0, 0, 0.0, 0.0]).agree(own, 1)
    assert agreed.loss == 2.0 and agreed.backwards == BackwardSums(2, 2.5, 4.0, 2.0)


def test_what_was_clipped_after_the_reduction_is_known_by_the_sum_of_its_values():
    own = step_sums(9.0, 3.0, 0.04, 0.2, 1.0)  # the mean 2 was shortened to .2
    agreed = Told([*own.path, 0.2, 3.0, 1, 1.0, 0.0, 1.0, 0, 0.0, 0.0]).agree(own, 1)
    assert agreed.backwards.squared_norm == pytest.approx(4.0)


def test_a_loss_that_is_not_finite_anywhere_is_so_everywhere():
    own = step_sums(9.0, 3.0, 4.0, 2.0, 1.0)
    agreed = Told([*own.path, 2.0, float("nan"), 1, 1.0, 0.0, 1.0, 0, 0.0, 0.0]).agree(own, 1)
    assert agreed.loss != agreed.loss


def test_one_process_has_no_ranks():
    assert ranks_of("auto", []) is None and ranks_of(None, []) is None
