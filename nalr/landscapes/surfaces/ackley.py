"""Ackley's funnel, whose tip is a cone: the one surface that is not smooth, with what that takes."""

from __future__ import annotations

import math

import numpy as np

from nalr.landscapes.surfaces.surface import Array, Surface


class Ackley(Surface):
    """20 (1 − exp(−0.2 r)) + e − exp(mean cos 2πx_j), r the RMS of x: a funnel in a rippled plain.

    Ackley (1987). The optimum, 0, is the tip of a cone: the gradient there is set to 0, the subgradient of
    smallest norm, and the cone's part of the Hessian, infinite there, to 0.
    """

    def __init__(self, dim: int) -> None:
        super().__init__(dim, np.full(dim, 5.0), np.zeros(dim))

    def value(self, x: Array) -> Array:
        """Return funnel plus ripples, both exactly 0 at the optimum."""
        radius = np.sqrt((x**2).mean(axis=-1))
        ripples = np.cos(2.0 * np.pi * x).mean(axis=-1) - 1.0
        return np.asarray(-20.0 * np.expm1(-0.2 * radius) - math.e * np.expm1(ripples))

    def gradient(self, x: Array) -> Array:
        """Return the funnel's pull towards 0 plus the ripples' slope."""
        radius = np.sqrt((x**2).mean(axis=-1, keepdims=True))
        safe = np.where(radius > 0.0, radius, 1.0)  # x is 0 where it matters
        funnel = 4.0 * np.exp(-0.2 * radius) * x / (self.dim * safe)
        return np.asarray(funnel + self._ripple_slope(x))

    def hessian_vector(self, x: Array, v: Array) -> Array:
        """Return the derivative of the gradient along `v`."""
        wave = 2.0 * np.pi * x
        height = np.exp(np.cos(wave).mean())
        slope = self._ripple_slope(x)
        ripples = height * (2.0 * np.pi) ** 2 * np.cos(wave) * v / self.dim - slope * (slope @ v) / height
        radius = np.sqrt((x**2).mean())
        if radius == 0.0:
            return np.asarray(ripples)
        unit = x / (self.dim * radius)  # gradient of the radius
        pull = 4.0 * np.exp(-0.2 * radius)
        funnel = pull * (v / (self.dim * radius) - (0.2 + 1.0 / radius) * unit * (unit @ v))
        return np.asarray(funnel + ripples)

    def smoothed(self, x: Array, width: float) -> Array:
        """Return smoothed funnel plus smoothed ripples, each to rounding in any dimension."""
        if width == 0.0:
            return self.value(x)
        funnel = _smoothed_exponential(x, width, 0.2 / math.sqrt(self.dim))
        return np.asarray(20.0 * (1.0 - funnel) + math.e - self._smoothed_ripples(x, width))

    def _ripple_slope(self, x: Array) -> Array:
        wave = 2.0 * np.pi * x
        height = np.exp(np.cos(wave).mean(axis=-1, keepdims=True))
        return np.asarray(height * 2.0 * np.pi * np.sin(wave) / self.dim)

    def _smoothed_ripples(self, x: Array, width: float) -> Array:
        """Return E Π exp(cos(2πz_j)/D): a product of one-dimensional Fourier series, each term faded."""
        grid = 2.0 * np.pi * np.arange(64) / 64
        amplitudes = np.fft.rfft(np.exp(np.cos(grid) / self.dim)).real[:17] / 64  # the 17th is below 1e-19
        series = np.full_like(x, amplitudes[0])
        for k in range(1, 17):
            fade = math.exp(-2.0 * (math.pi * k * width) ** 2)
            series += 2.0 * amplitudes[k] * fade * np.cos(2.0 * np.pi * k * x)
        return np.asarray(series.prod(axis=-1))


def _smoothed_exponential(x: Array, width: float, rate: float) -> Array:
    """Return E exp(−rate·|x + width·z|), z standard normal, in any dimension.

    exp(−ar) is a mixture of Gaussians, ∫ a/(2√π) s^{−3/2} exp(−a²/4s) exp(−s r²) ds (the Lévy subordinator),
    and a Gaussian smoothed is a Gaussian. The integral over log s is summed by the trapezoidal rule, which
    converges exponentially here; a product rule over z would need nodes^D points and fail at the cone's tip.
    """
    step = 0.2
    s = np.exp(np.arange(math.log(rate**2 / 180.0), 70.0, step))
    spread = 1.0 + 2.0 * s * width**2
    weight = step * rate / (2.0 * math.sqrt(math.pi)) * np.exp(-(rate**2) / (4.0 * s)) / np.sqrt(s)
    weight = weight * spread ** (-0.5 * x.shape[-1])
    squared_radius = (x**2).sum(axis=-1)
    total = np.zeros_like(squared_radius)
    for j in np.flatnonzero(weight > 1e-18):
        total += weight[j] * np.exp(-s[j] / spread[j] * squared_radius)
    return np.asarray(total)
