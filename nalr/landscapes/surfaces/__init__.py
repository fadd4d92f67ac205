"""Noise-free loss surfaces: value, gradient, curvature, optimum and smoothed value in closed form."""

from __future__ import annotations

from collections.abc import Callable

from nalr.landscapes.surfaces.ackley import Ackley
from nalr.landscapes.surfaces.bowls import Drifting, Quadratic
from nalr.landscapes.surfaces.bumpy import Griewank, Rastrigin, Rugged
from nalr.landscapes.surfaces.surface import Surface
from nalr.landscapes.surfaces.valleys import Beale, Rosenbrock
from nalr.landscapes.surfaces.wells import DoubleWell

__all__ = ["SURFACES", "Drifting", "Quadratic", "Surface"]

SURFACES: dict[str, Callable[..., Surface]] = {
    "quadratic": Quadratic,
    "rugged": Rugged,
    "double_well": DoubleWell,
    "rosenbrock": Rosenbrock,
    "beale": Beale,
    "rastrigin": Rastrigin,
    "ackley": Ackley,
    "griewank": Griewank,
    "drifting": Drifting,
}
