"""`torch.compile` of the model and of the step: the same decisions, and one graph break of ours at most."""

from __future__ import annotations

import contextlib
import logging

import pytest
import torch
import torch._dynamo

import nalr.torch
from tests.torch.training import Training, effective

pytestmark = [
    pytest.mark.slow,
    # The compiler of torch 2.13 calls it itself.
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning"),
]
STEPS = 50
BACKENDS = ["eager", "aot_eager", "inductor"]


@contextlib.contextmanager
def compiling(backend: str):
    """Skip where a backend finds no compiler; leave no compiled code behind."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    logging.getLogger("torch._logging").setLevel(logging.ERROR)
    try:
        yield torch._dynamo.utils.counters
    except torch._dynamo.exc.BackendCompilerFailed as error:
        pytest.skip(f"{backend} cannot compile here: {error}")
    finally:
        torch._dynamo.reset()


def train(
    backend: str | None, model: bool, step: bool, tensor: bool = False, ours: bool = True
) -> list[float]:
    rate = torch.tensor(0.001) if tensor else 0.001
    training = Training(lambda t: torch.optim.AdamW(t.model.parameters(), lr=rate, foreach=False))
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer) if ours else None
    seen = effective(training.optimizer) if ours else []

    def make() -> None:
        training.optimizer.step()

    if backend is not None and model:
        training.model = torch.compile(training.model, backend=backend)
    made = torch.compile(make, backend=backend) if backend is not None and step else make
    for i in range(STEPS):
        loss = training.backward(i)
        made()
        if scheduler is not None:
            scheduler.step(loss)
    if scheduler is not None:
        assert len(scheduler.history) == STEPS
        assert float(training.optimizer.param_groups[0]["lr"]) == pytest.approx(0.001)
        return scheduler.history.to_numpy()["lr"].tolist()
    return [row[0] for row in seen]


@pytest.mark.slow
@pytest.mark.parametrize(("model", "step"), [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("backend", BACKENDS)
def test_compiled_training_decides_as_plain(backend, model, step):
    with compiling(backend):
        rates = train(backend, model, step)
    assert rates == pytest.approx(train(None, False, False), rel=1e-4)
    assert len(set(rates)) > 10


def test_a_compiled_model_is_one_graph_with_us_too():
    with compiling("aot_eager") as counters:
        train("aot_eager", True, False)
        assert counters["stats"]["unique_graphs"] == 1 and not counters["graph_break"]


@pytest.mark.parametrize("tensor", [True, False], ids=["rate in a tensor", "rate a float"])
def test_a_compiled_step_breaks_once_and_is_not_compiled_anew_at_each_rate(tensor):
    with compiling("eager") as counters:
        train("eager", False, True, tensor, ours=False)
        plain = counters["stats"]["unique_graphs"]
    with compiling("eager") as counters:
        rates = train("eager", False, True, tensor)
        breaks = [reason for reason in counters["graph_break"] if "StepHooks." in reason]
        graphs = counters["stats"]["unique_graphs"]
    assert len(breaks) == 1 and len(set(rates)) > 10
    assert graphs <= plain + (0 if tensor else 1)  # the second float makes it a variable of the graph
