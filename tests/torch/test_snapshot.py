"""Snapshots: after a return, training goes on as if the excursion had not been."""

from __future__ import annotations

import copy
import io

import pytest
import torch

from nalr.torch.undo.snapshot import Snapshot
from tests.torch.training import same_bits

OPTIMIZERS = {
    "adamw": lambda params: torch.optim.AdamW(params, lr=0.01),
    "adamw-amsgrad-foreach": lambda params: torch.optim.AdamW(params, lr=0.01, amsgrad=True, foreach=True),
    "momentum": lambda params: torch.optim.SGD(params, lr=0.01, momentum=0.9),
    "sgd": lambda params: torch.optim.SGD(params, lr=0.01),
    "lbfgs": lambda params: torch.optim.LBFGS(params, lr=0.1, max_iter=3, history_size=4),
    "rmsprop": lambda params: torch.optim.RMSprop(params, lr=0.01, centered=True, momentum=0.5),
}
EACH = pytest.mark.parametrize("name", OPTIMIZERS)


class Training:
    """A small network with batch normalisation and its optimizer; data depend on the step alone."""

    def __init__(self, name: str) -> None:
        torch.manual_seed(7)
        self.model = torch.nn.Sequential(
            torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Tanh(), torch.nn.Linear(4, 1)
        )
        self.optimizer = OPTIMIZERS[name](self.model.parameters())

    def steps(self, first: int, scale: float = 1.0) -> None:
        for seed in range(first, first + 5):
            generator = torch.Generator().manual_seed(seed)
            inputs = scale * torch.randn(16, 3, generator=generator)

            def closure(inputs=inputs):
                self.optimizer.zero_grad()
                loss = (self.model(inputs) - inputs.sum(1, keepdim=True)).square().mean()
                loss.backward()
                return loss

            self.optimizer.step(closure)

    def everything(self) -> list[torch.Tensor]:
        values = list(self.model.state_dict().values())
        state = self.optimizer.state_dict()["state"]
        return [v.detach().clone() for v in values + tensors_of(state)]


def tensors_of(tree) -> list[torch.Tensor]:
    if isinstance(tree, torch.Tensor):
        return [tree]
    children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, (list, tuple)) else ()
    return [tensor for child in children for tensor in tensors_of(child)]


@EACH
@pytest.mark.parametrize("warm", [True, False], ids=["after steps", "before any step"])
@pytest.mark.parametrize("device", [None, "cpu"])
def test_steps_after_a_return_are_those_without_the_excursion(name, warm, device):
    straight, returned = Training(name), Training(name)
    snapshot = Snapshot(returned.optimizer, model=returned.model, device=device)
    for training in (straight, returned):
        if warm:
            training.steps(0)
    snapshot.take()
    parameters = list(returned.model.parameters())
    returned.steps(100, scale=50.0)
    snapshot.restore()
    assert same_bits(returned.everything(), straight.everything())
    for training in (straight, returned):
        training.steps(5)
    assert same_bits(returned.everything(), straight.everything())
    assert all(a is b for a, b in zip(parameters, returned.model.parameters(), strict=True))


@EACH
def test_a_snapshot_serves_again_and_again(name):
    training = Training(name)
    snapshot = Snapshot(training.optimizer, model=training.model)
    training.steps(0)
    snapshot.take()
    expected = training.everything()
    for first in (10, 20):
        training.steps(first, scale=1e20)  # nan and inf on the way
        snapshot.restore()
        assert same_bits(training.everything(), expected)


def test_state_is_restored_in_the_same_tensors():
    training = Training("adamw")
    training.steps(0)
    snapshot = Snapshot(training.optimizer)
    snapshot.take()
    before = [id(t) for t in tensors_of(list(training.optimizer.state.values()))]
    training.steps(5)
    snapshot.restore()
    assert [id(t) for t in tensors_of(list(training.optimizer.state.values()))] == before


def test_memory_is_allocated_once_and_counted():
    training = Training("adamw")
    snapshot = Snapshot(training.optimizer, model=training.model)
    assert snapshot.nbytes == 0 and not snapshot.taken
    snapshot.take()
    model = sum(t.nbytes for t in training.model.state_dict().values())
    assert snapshot.nbytes == model and snapshot.taken  # Adam has no state before its first step
    early = [t.data_ptr() for t in tensors_of(snapshot.state_dict()["copies"])]
    training.steps(0)
    snapshot.take()
    assert snapshot.nbytes == sum(t.nbytes for t in training.everything())
    places = [t.data_ptr() for t in tensors_of(snapshot.state_dict()["copies"])]
    assert set(early) < set(places)
    training.steps(5)
    snapshot.take()
    assert [t.data_ptr() for t in tensors_of(snapshot.state_dict()["copies"])] == places


def test_learning_rates_stay_and_other_entries_of_groups_return():
    training = Training("momentum")
    group = training.optimizer.param_groups[0]
    group["d"] = torch.tensor(1.0)  # as Prodigy and Schedule-Free keep state there
    group["k"] = 3
    distance = group["d"]
    snapshot = Snapshot(training.optimizer)
    snapshot.take()
    group["lr"], group["k"], group["new"] = 0.002, 9, 1.0
    group["d"].fill_(7.0)
    snapshot.restore()
    assert group["lr"] == 0.002 and group["k"] == 3 and group["new"] == 1.0
    assert group["d"] is distance and group["d"].item() == 1.0


def test_a_schedule_goes_on_after_a_return():
    training = Training("adamw")
    schedule = torch.optim.lr_scheduler.StepLR(training.optimizer, 1, gamma=0.5)
    snapshot = Snapshot(training.optimizer)
    snapshot.take()
    training.steps(0)
    schedule.step()
    snapshot.restore()
    training.steps(0)
    schedule.step()
    assert training.optimizer.param_groups[0]["lr"] == 0.01 / 4


@EACH
def test_a_saved_snapshot_restores_another_process(name):
    training = Training(name)
    training.steps(0)
    snapshot = Snapshot(training.optimizer, model=training.model)
    snapshot.take()
    file = io.BytesIO()
    torch.save(snapshot.state_dict(), file)
    file.seek(0)
    fresh = Training(name)
    other = Snapshot(fresh.optimizer, model=fresh.model)
    other.load_state_dict(torch.load(file, weights_only=True))
    other.restore()
    assert same_bits(fresh.everything(), training.everything())
    training.steps(5), fresh.steps(5)
    assert same_bits(fresh.everything(), training.everything())


def test_a_loaded_snapshot_is_a_copy():
    training = Training("momentum")
    snapshot = Snapshot(training.optimizer)
    snapshot.take()
    saved = snapshot.state_dict()
    other = Snapshot(training.optimizer)
    other.load_state_dict(saved)
    expected = copy.deepcopy(saved["copies"]["parameters"])
    training.steps(0)
    snapshot.take()  # writes into `saved`
    assert all(map(torch.equal, other.state_dict()["copies"]["parameters"], expected))


def test_the_layout_of_memory_is_kept():
    weight = torch.nn.Parameter(torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last))
    snapshot = Snapshot(torch.optim.SGD([weight], lr=0.1))
    snapshot.take()
    assert snapshot.state_dict()["copies"]["parameters"][0].stride() == weight.stride()


def test_what_cannot_be_restored_is_refused():
    training = Training("momentum")
    snapshot = Snapshot(training.optimizer, model=training.model)
    with pytest.raises(RuntimeError, match="Call `take` first"):
        snapshot.restore()
    with pytest.raises(ValueError, match=r"must come from `Snapshot.state_dict\(\)`"):
        snapshot.load_state_dict({})
    snapshot.take()
    training.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))]})
    with pytest.raises(ValueError, match="needs the parameters that were copied"):
        snapshot.restore()
    training.optimizer.state[training.model[0].weight]["preconditioner"] = object()
    with pytest.raises(TypeError, match="tensors and plain values"):
        snapshot.take()
    assert not snapshot.taken


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_copies_on_the_host_are_pinned_and_exact():
    weight = torch.nn.Parameter(torch.randn(1000, 100, device="cuda"))
    optimizer = torch.optim.AdamW([weight], lr=0.1, capturable=True)
    snapshot = Snapshot(optimizer, device="cpu")
    weight.square().sum().backward()
    optimizer.step()
    snapshot.take()
    copies = tensors_of(snapshot.state_dict()["copies"])
    assert all(t.device.type == "cpu" and t.is_pinned() for t in copies if t.dim())
    expected = weight.detach().clone()
    optimizer.step()
    snapshot.restore()
    assert torch.equal(weight.detach(), expected)
