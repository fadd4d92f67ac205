"""Calls of a training loop, smoothing of whole arrays, and random signs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nalr.controller import NoiseAdaptiveLR
from nalr.curvature.probes import rademacher
from nalr.loss.butterworth import low_pass_sections, steady_state
from nalr.loss.smoother import LossSmoother
from nalr_bench.kernels.baselines import PlainAverage
from nalr_bench.kernels.data import Pool, truth
from nalr_bench.machine import installed
from nalr_bench.workload import OURS, Against, Job, Runnable, Workload, WrongAnswer, agree

ROWS, DIMENSION = 16, 1000

LOSS = 1e9
"""So large that no step is shortened."""

SETTLED = 300
"""Steps before timing: the first ones compile, and take other branches."""

LOSSES, LOOP = 5000, 512
"""Losses after which the smoother's gains are constant; losses timed together."""

CUTOFF, ORDER = 0.05, 4


def whole_step(pool: Pool, dtype: str, threads: int) -> Workload:
    """Return the workload of `get_adapted_lr`, against NumPy's variance alone."""

    def prepare() -> Job:
        rows = pool.rows(ROWS, DIMENSION).astype(dtype)
        controller = NoiseAdaptiveLR(0.01)

        def check() -> None:
            for _ in range(SETTLED):
                controller.get_adapted_lr(rows, LOSS)
            expected = (truth(rows)[0] / DIMENSION) ** 0.5
            agree("noise scale", controller.reading().noise_scale, expected, 1e-5)
            agree("that of NumPy", float(rows.var(axis=0, ddof=1).mean()) ** 0.5, expected, 1e-4)

        runnables = {
            OURS: Runnable(lambda: controller.get_adapted_lr(rows, LOSS)),
            "NumPy": Runnable(lambda: rows.var(axis=0, ddof=1)),
        }
        return Job(runnables, check)

    against = (Against("NumPy", 1.0),)
    return Workload("step", f"get_adapted_lr {dtype}", ROWS, DIMENSION, threads, against, prepare)


def updates(threads: int) -> Workload:
    """Return the workload of `LossSmoother.update`, against a hand-written average."""

    def prepare() -> Job:
        ours, plain = LossSmoother(alpha=0.9), PlainAverage(0.9)
        losses = np.linspace(3.0, 1.0, LOSSES).tolist()

        def check() -> None:
            for loss in losses:
                agree("smoothed loss", ours.update(loss), plain.update(loss), 0.0)

        def loop(update: Callable[[float], float]) -> Callable[[], None]:
            def run() -> None:
                for loss in losses[:LOOP]:
                    update(loss)

            return run

        return Job({OURS: Runnable(loop(ours.update)), "by hand": Runnable(loop(plain.update))}, check)

    return Workload("loss", "update, one by one", 0, LOOP, threads, (Against("by hand", 1 / 3),), prepare)


def average(count: int, threads: int) -> Workload:
    """Return the workload of an exponential average of an array, against pandas."""

    def prepare() -> Job:
        losses = _losses(count)
        smoother = LossSmoother(alpha=0.9)
        runnables = {OURS: Runnable(lambda: smoother.smooth(losses), 2 * losses.nbytes)}
        pandas = installed("pandas")
        if pandas is not None:
            average = pandas.Series(losses).ewm(alpha=0.1, adjust=False)
            runnables["pandas"] = Runnable(average.mean, 2 * losses.nbytes)
        return Job(runnables, lambda: _same(runnables))

    return Workload("loss", "smooth, average", 0, count, threads, (Against("pandas", 1.0),), prepare)


def low_pass(count: int, threads: int) -> Workload:
    """Return the workload of the low-pass over an array, against SciPy with the same sections."""

    def prepare() -> Job:
        losses = _losses(count)
        smoother = LossSmoother(alpha=0.0, cutoff=CUTOFF, order=ORDER)
        runnables = {OURS: Runnable(lambda: smoother.smooth(losses), 2 * losses.nbytes)}
        signal = installed("scipy.signal")
        if signal is not None:
            sections = low_pass_sections(ORDER, CUTOFF)
            rows = np.array([(b0, b1, b2, 1.0, a1, a2) for b0, b1, b2, a1, a2 in sections])
            memory = np.array(steady_state(sections, float(losses[0]))).reshape(-1, 2)
            filtered = signal.sosfilt
            runnables["scipy"] = Runnable(lambda: filtered(rows, losses, zi=memory)[0], 2 * losses.nbytes)
        return Job(runnables, lambda: _same(runnables))

    return Workload("loss", "smooth, low-pass", 0, count, threads, (Against("scipy", 1.0),), prepare)


def signs(count: int, threads: int, reuse: bool) -> Workload:
    """Return the workload of random signs; with `reuse` ours are written to one array."""

    def prepare() -> Job:
        random = np.random.default_rng(0)
        out = np.ones(count, np.float32) if reuse else None
        calls: dict[str, Callable[[], Any]] = {
            OURS: lambda: rademacher(count, seed=1, out=out),
            "NumPy": lambda: random.choice([-1, 1], count),
        }
        torch = installed("torch")
        if torch is not None:
            calls["torch"] = lambda: torch.randint(0, 2, (count,))

        def check() -> None:
            for name, call in calls.items():
                drawn = np.asarray(call(), dtype=np.float64)
                _check_signs(name, 2.0 * drawn - 1.0 if name == "torch" else drawn)

        return Job({name: Runnable(call) for name, call in calls.items()}, check)

    against = (Against("NumPy", 20.0), Against("torch", 5.0))
    title = "signs, array reused" if reuse else "signs, new array"
    return Workload("probes", title, 0, count, threads, against, prepare)


def _check_signs(name: str, drawn: Any) -> None:
    if not (np.abs(drawn) == 1.0).all():
        raise WrongAnswer(f"signs of {name} are not all 1 or -1")
    if abs(drawn.sum()) > 6.0 * drawn.size**0.5:  # six standard deviations
        raise WrongAnswer(f"signs of {name} add up to {drawn.sum():g} of {drawn.size}")


def _losses(count: int) -> Any:
    random = np.random.default_rng(0)
    return np.linspace(3.0, 1.0, count) + 0.1 * random.standard_normal(count)


def _same(runnables: dict[str, Runnable]) -> None:
    ours = runnables[OURS].call()
    for name, rival in runnables.items():
        error = float(np.abs(np.asarray(rival.call()) - ours).max())
        if not error <= 1e-9:
            raise WrongAnswer(f"smoothed losses are off from those of {name} by {error:g}")
