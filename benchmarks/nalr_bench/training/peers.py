"""Other packages that measure noise while training, used as documented and with checked answers.

To keep the installed torch: ``pip install --no-deps`` of backpack-for-pytorch,
einops and unfoldNd; of cockpit-for-pytorch, json-tricks and seaborn; of adaptdl, autograd, portpicker, redis,
requests and semver. Cockpit and AdaptDL need pkg_resources, which setuptools has before version 82.
"""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from nalr_bench.training.oracles import gradient, pair_variance, total_variance
from nalr_bench.training.run import Setup
from nalr_bench.training.steps import plain, same_way, twice
from nalr_bench.training.study import Step
from nalr_bench.workload import WrongAnswer, agree

ROUNDING = 1e-3
"""Relative error of float32 variances."""


def attempt(name: str, make: Callable[[Setup], Step], setup: Setup) -> Step | str:
    """Return the peer's step, or a line that says why it cannot run.

    Raises
    ------
    WrongAnswer
        If it runs and does not say what is right.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of theirs, at their import
            return make(setup)
    except WrongAnswer as error:
        raise WrongAnswer(f"{name}: {error}") from None
    except ImportError as error:
        return f"{name}: cannot be imported ({error})"
    except Exception as error:
        return f"{name}: does not run with this torch ({type(error).__name__}: {str(error).splitlines()[0]})"


def backpack_variance(setup: Setup) -> Step:
    """BackPACK's `Variance` of every parameter."""
    backpack, extensions = _load("backpack"), _load("backpack.extensions")
    run = setup.fresh()
    model, criterion = backpack.extend(run.model), backpack.extend(run.criterion)

    def step() -> None:
        inputs, targets = next(run.batches)
        run.optimizer.zero_grad()
        loss = criterion(model(inputs), targets)
        with backpack.backpack(extensions.Variance()):
            loss.backward()
        run.optimizer.step()

    step()
    rows = len(setup.batches[0][0])
    parameters: list[Any] = run.parameters()
    found = sum(float(p.variance.double().sum()) for p in parameters)
    found *= rows**3 / (rows - 1)  # BackPACK has that of gᵢ/B, divided by B
    agree("tr Σ", found, total_variance(setup.fresh(), setup.batches[0]), ROUNDING)
    same_way(setup, run, 1)
    return step


def cockpit(setup: Setup, interval: int) -> Step:
    """Cockpit in its "economy" configuration, every `interval` steps."""
    package, extend = _load("cockpit"), _load("backpack").extend
    configuration = _load("cockpit.utils.configuration").configuration
    schedule = _load("cockpit.utils.schedules").linear(interval)
    losses_of = _load("torch.nn").CrossEntropyLoss(reduction="none")
    run = setup.fresh()
    model, criterion = extend(run.model), extend(run.criterion)
    pit = package.Cockpit(run.parameters(), quantities=configuration("economy", track_schedule=schedule))
    count = 0

    def step() -> None:
        nonlocal count
        inputs, targets = next(run.batches)
        run.optimizer.zero_grad()
        scores = model(inputs)
        loss = criterion(scores, targets)
        info = {
            "batch_size": len(inputs),
            "individual_losses": losses_of(scores, targets),
            "loss": loss,
            "optimizer": run.optimizer,
        }
        with pit(count, info=info):
            loss.backward(create_graph=pit.create_graph(count))
        run.optimizer.step()
        count += 1

    step()
    (norms,) = (q.get_output() for q in pit.quantities if type(q).__name__ == "GradNorm")
    expected = float(gradient(setup.fresh(), setup.batches[0]).norm())
    agree("norm of the gradient", sum(x**2 for x in norms[0]) ** 0.5, expected, ROUNDING)
    same_way(setup, run, 1)
    return step


def adaptdl(setup: Setup) -> Step:
    """AdaptDL's estimator of one replica and one backward: by the difference from the previous gradient."""
    module = _load("adaptdl.torch.gradient_noise_scale")
    run, other = setup.fresh(), setup.fresh()
    replica = SimpleNamespace(require_backward_grad_sync=True)  # what it needs of a parallel model
    estimator = module.AdamGradientNoiseScale(replica, run.optimizer, num_replicas=1)

    def step() -> None:
        inputs, targets = next(run.batches)
        estimator.reset_accumulation()  # which zeroes the gradients
        run.criterion(run.model(inputs), targets).backward()  # type: ignore[no-untyped-call]
        run.optimizer.step()

    first = gradient(other, setup.batches[0])
    plain(other)()
    second = gradient(other, setup.batches[1])
    step()
    step()
    agree("tr Σ", estimator.var_avg(), pair_variance(first, second), ROUNDING)
    same_way(setup, run, 2)
    return step


def adascale(setup: Setup) -> Step:
    """Fairscale's AdaScale around the optimizer, two backwards a step."""
    scale = _load("fairscale.optim").AdaScale
    run = setup.fresh()
    optimizer: Any = scale(run.optimizer, num_gradients_to_accumulate=2)

    def step() -> None:
        optimizer.zero_grad()
        twice(run)
        optimizer.step()

    inputs, targets = setup.batches[0]
    halves = zip(inputs.chunk(2), targets.chunk(2), strict=True)
    first, second = (gradient(setup.fresh(), half) for half in halves)
    step()
    agree("tr Σ", float(optimizer._grad_var_avg()), pair_variance(first, second), ROUNDING)
    return step


def _load(name: str) -> Any:
    """Import an optional module by name; restore the logging that some of them change."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    try:
        return importlib.import_module(name)
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers
