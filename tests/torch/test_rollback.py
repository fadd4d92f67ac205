"""With a copy to return to, a run that blew up recovers."""

from __future__ import annotations

import pytest
import torch

import nalr.torch
from tests.torch.training import OPTIMIZERS, Training

pytestmark = pytest.mark.filterwarnings("ignore:The learning rate has sunk")  # and may, here

EACH = pytest.mark.parametrize("name", OPTIMIZERS)


@pytest.mark.slow
@EACH
@pytest.mark.parametrize("poison", ["nan", 1e3, 1e12])
def test_a_run_that_blows_up_returns_and_recovers(name, poison):
    final = {}
    for rollback in (False, True):
        training = Training(OPTIMIZERS[name])
        wrapper = nalr.torch.NoiseAdaptiveOptimizer(training.optimizer, rollback=rollback)
        for step in range(250):
            loss = training.backward(step)
            if step == 120 and poison == "nan":
                training.model[0].weight.grad.mul_(torch.nan)
            if step == 120 and poison != "nan":
                training.optimizer.param_groups[0]["lr"] *= poison  # a bug in somebody's schedule
            wrapper.step(loss=loss)
            training.optimizer.param_groups[0]["lr"] = training.optimizer.defaults["lr"]
        final[rollback] = training.loss(1000).item()
        if rollback:
            assert wrapper.engine.rollback.returns >= 1
            assert wrapper.engine.rollback.snapshot.nbytes > 0
    fine = Training(OPTIMIZERS[name]).loss(1000).item()
    assert final[True] < fine
    if poison == "nan":
        assert final[False] != final[False]  # without a copy there is no way back
