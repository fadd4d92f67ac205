"""Losses and settings of the tests of smoothing."""

from __future__ import annotations

import math

import numpy as np
from scipy import signal

from nalr.loss.smoother import LossSmoother

SETTINGS = [
    {},
    {"alpha": 0.0},
    {"alpha": 0.99},
    {"cutoff": 0.1},
    {"cutoff": 0.02, "order": 5, "alpha": 0.5},
    {"window": 3},
    {"window": 8},
    {"window": 11, "cutoff": 0.05, "order": 3},
]
EPS = np.finfo(np.float64).eps


def fed(losses, **settings):
    """A smoother that has seen `losses`, and what it returned."""
    smoother = LossSmoother(**settings)
    return smoother, np.array([smoother.update(loss) for loss in losses])


def noisy_losses(rng, size=500):
    """A falling loss with spikes, gaps and repeats."""
    losses = 2.0 + 3.0 * np.exp(-np.arange(size) / 100.0) + 0.1 * rng.normal(size=size)
    losses[rng.random(size) < 0.03] = 50.0
    losses[rng.random(size) < 0.02] = np.nan
    losses[rng.random(size) < 0.01] = np.inf
    losses[300:310] = losses[300]
    return losses


def trends(rng, runs, steps, phi, slope=-0.01):
    """`runs` straight lines of height 1000 under AR(1) noise of standard deviation 1."""
    noise = signal.lfilter([math.sqrt(1 - phi * phi)], [1.0, -phi], rng.normal(size=(runs, steps + 100)))
    return 1000.0 + slope * np.arange(steps) + noise[:, 100:]


def filter_rounding(cutoff):
    """One rounding as a filter amplifies it: its poles lie K = tan(π·cutoff) from 1, or 1/K from -1."""
    stretch = math.tan(math.pi * cutoff)
    return EPS / min(stretch, 1.0 / stretch) ** 2


def coverage(rng, phi, steps, alpha=0.9):
    """Share of 2000 trends within 1.96 standard errors: ours, and with the formula for independent noise."""
    ours = independent = 0
    for losses in trends(rng, 2000, steps, phi):
        smoother = LossSmoother(alpha)
        smoother._trend.fold(losses.tolist())
        slope, error, _ = smoother._trend.reading()
        correlation = smoother._trend.correlation()
        ours += abs(slope + 0.01) < 1.96 * error
        independent += abs(slope + 0.01) < 1.96 * error * math.sqrt((1 - correlation) / (1 + correlation))
    return ours / 2000, independent / 2000
