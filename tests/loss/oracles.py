"""Smoothing done slowly: every number from the whole history, by definition or by scipy."""

from __future__ import annotations

import numpy as np
from scipy import signal


def moving_average(losses, alpha):
    """Every loss weighted by its age; the first stands for all that came before."""
    losses = np.asarray(losses, dtype=float)
    result = []
    for t in range(losses.size):
        weights = (1 - alpha) * alpha ** np.arange(t, -1, -1.0)
        weights[0] = alpha**t
        result.append(weights @ losses[: t + 1])
    return np.array(result)


def low_pass(losses, order, cutoff):
    losses = np.asarray(losses, dtype=float)
    sections = signal.butter(order, 2 * cutoff, output="sos")
    return signal.sosfilt(sections, losses, zi=signal.sosfilt_zi(sections) * losses[0])[0]


def without_spikes(losses, window, fewest):
    losses = np.asarray(losses, dtype=float)
    result = losses.copy()
    for t in range(losses.size):
        recent = losses[max(0, t + 1 - window) : t + 1]
        if recent.size < fewest:
            continue
        median = np.median(recent)
        deviation = np.median(np.abs(recent - median))
        if deviation > 0 and abs(losses[t] - median) > 3 * 1.4826 * deviation:
            result[t] = median
    return result


def line(losses, decay):
    """(height at the newest, slope, weighted residual sum of squares, slope variance at unit noise)."""
    losses = np.asarray(losses, dtype=float)
    ages = np.arange(losses.size - 1, -1, -1.0)
    roots = np.sqrt(decay**ages)
    design = np.column_stack([np.ones_like(ages), -ages]) * roots[:, None]
    offset = losses[-1]
    height, slope = np.linalg.lstsq(design, (losses - offset) * roots, rcond=None)[0]
    residuals = losses - offset - height + slope * ages
    inverse = np.linalg.inv(design.T @ design)
    sandwich = inverse @ (design.T @ (design * (roots**2)[:, None])) @ inverse
    return height + offset, slope, float(np.sum(decay**ages * residuals**2)), sandwich[1, 1]
