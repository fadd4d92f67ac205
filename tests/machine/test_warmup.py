"""After a warm-up nothing is left to compile."""

from __future__ import annotations

import sys

import pytest

import nalr.machine.warmup
from nalr.cli import main
from nalr.machine.warmup import WarmupReport, cache_directory, compiled_functions, warmup
from tests.helpers import run_python

USE = """
import numpy as np
import nalr
random = np.random.default_rng(0)
for dtype in (np.float16, np.float32, np.float64):
    for count in (1, 2, 3, 8, 16, 33):
        wide = random.normal(size=(count, 30)).astype(dtype)
        for rows in (wide, wide[:, :20], wide[:, ::2], np.asfortranarray(wide), list(wide.astype(float))):
            adapt = nalr.NoiseAdaptiveLR(0.1)
            for _ in range(3):
                adapt.get_adapted_lr(rows, 1.0)
            adapt = nalr.NoiseAdaptiveLR(0.1)
            for _ in range(3):
                adapt.get_adapted_lr(rows, 1.0, rows[0])
            estimator = nalr.NoiseEstimator(per_coordinate=True)
            for weights in (None, [1] * count):
                estimator.update(rows, weights).reading()
            if count > 1:
                estimator.estimate_noise(rows), estimator.compute_variance(rows)
            for row in rows:
                estimator.accumulate(row)
            estimator.update()
for settings in ({}, {"window": 7}, {"cutoff": 0.2, "order": 3}):
    smoother = nalr.LossSmoother(**settings)
    smoother.smooth(np.ones(100, np.float32)), [smoother.update(1.0) for _ in range(1000)], smoother.reading()
import torch, nalr.torch
for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
    weight, frozen = (torch.nn.Parameter(torch.ones(n, dtype=dtype)) for n in (300, 3))
    optimizer = torch.optim.SGD([weight, frozen], lr=1e-3)
    scheduler = nalr.torch.NoiseAdaptiveLR(optimizer)
    for _ in range(3):
        optimizer.zero_grad()
        loss = (weight * weight).sum()
        loss.backward(), (0.5 * (weight * weight).sum()).backward()
        optimizer.step(), scheduler.step(loss)
from nalr.machine.warmup import compiled_functions
print({k.__name__: dict(k.stats.cache_misses) for k in compiled_functions() if k.stats.cache_misses})
"""
"""What people do: other counts, sizes and layouts than the warm-up's."""

TRACE = """
import importlib, os, pkgutil, sys, types
os.environ["NUMBA_DISABLE_JIT"] = "1"  # kernels then are functions that can be seen to be called
import nalr.kernels, nalr.machine.warmup
kernels = {
    value.__code__
    for module in pkgutil.iter_modules(nalr.kernels.__path__) if not module.name.startswith("_")
    for value in vars(importlib.import_module(f"nalr.kernels.{module.name}")).values()
    if isinstance(value, types.FunctionType) and value.__module__ == f"nalr.kernels.{module.name}"
}
called = set()
sys.setprofile(lambda frame, event, argument: called.add(frame.f_code))
nalr.machine.warmup.warmup()
sys.setprofile(None)
# What a kernel calls is compiled with it, be the call made or not.
compiled_too = {name for code in kernels & called for name in code.co_names}
print([code.co_name for code in kernels - called if code.co_name not in compiled_too])
"""


def python(*arguments):
    result = run_python(*arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.slow
# The directory of the whole test run, since an empty one would take a minute to fill here.
def test_after_a_warm_up_other_processes_compile_nothing():
    line = python("-m", "nalr", "warmup")
    assert line.split(" kernels ready in ")[1].endswith(f" s, cache {cache_directory(compiled_functions())}")
    assert python("-c", USE) == "{}"


@pytest.mark.slow
def test_every_kernel_is_warmed_up():
    assert python("-W", "ignore", "-c", TRACE) == "[]"


def test_the_report_says_how_many_how_long_and_where(monkeypatch):
    monkeypatch.setattr(nalr.machine.warmup, "_steps", lambda: [list, dict])
    seen = []
    report = warmup(progress=lambda steps: seen.extend(steps) or steps)
    assert seen == [list, dict]
    assert report.kernels == len(compiled_functions()) > 40
    assert report.seconds >= 0.0
    assert report.cache_directory == cache_directory(compiled_functions())


@pytest.mark.parametrize(
    ("directory", "end"), [("/some/where", "cache /some/where"), (None, "not cached on disk")]
)
def test_the_command_prints_one_line(monkeypatch, capsys, directory, end):
    monkeypatch.setattr(nalr.machine.warmup, "warmup", lambda progress: WarmupReport(41, 12.34, directory))
    assert main(["warmup"]) == 0
    assert capsys.readouterr().out == f"41 kernels ready in 12.3 s, {end}\n"


def test_the_bar_is_left_out_where_tqdm_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert nalr.machine.warmup._progress_bar() is None
