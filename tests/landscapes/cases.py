"""Landscapes of the tests."""

from __future__ import annotations

import numpy as np
import pytest

# kind, dim, settings, half-width of the box that test points are drawn from
SURFACES = [
    ("quadratic", 1, {}, 5.0),
    ("quadratic", 5, {"condition": 1e3}, 5.0),
    ("quadratic", 3, {"spectrum": [4.0, 1.0, 0.0], "rotate": True, "optimum": [1.0, -2.0, 0.5]}, 5.0),
    ("rugged", 2, {}, 5.0),
    ("rugged", 10, {"amplitude": 0.3, "frequency": 4.0, "curvature": 2.0}, 5.0),
    ("double_well", 1, {}, 2.0),
    ("double_well", 4, {"tilt": 0.3}, 2.0),
    ("rosenbrock", 2, {}, 2.0),
    ("rosenbrock", 6, {"narrowness": 10.0}, 2.0),
    ("beale", 2, {}, 3.0),
    ("rastrigin", 1, {}, 5.0),
    ("rastrigin", 3, {}, 5.0),
    ("ackley", 1, {}, 5.0),
    ("ackley", 4, {}, 5.0),
    ("griewank", 1, {}, 50.0),
    ("griewank", 5, {}, 50.0),
    ("drifting", 2, {"drift": 0.1, "jump_every": 3}, 5.0),
    ("drifting", 3, {"drift": [0.1, 0.0, -0.2], "condition": 10.0, "rotate": True}, 5.0),
]
NOISES = [
    ("gaussian", {}),
    (
        "student_t",
        {"degrees_of_freedom": 9.0},
    ),  # above 8 the sampling error of a variance is itself measurable
    ("spikes", {"spike_probability": 0.05, "spike_size": 10.0}),
    ("spikes", {"spike_probability": 0.5, "spike_size": 2.0}),  # few tails, so a small error of scale shows
    ("multiplicative", {}),
    ("gaussian", {"noise_covariance": "hessian"}),
    ("student_t", {"degrees_of_freedom": 9.0, "noise_covariance": "hessian"}),
]


def _names(cases):
    return [f"{case[0]}-{'-'.join(str(part) for part in case[1:3])}" for case in cases]


every_surface = pytest.mark.parametrize("kind, dim, settings, reach", SURFACES, ids=_names(SURFACES))
every_noise = pytest.mark.parametrize("noise, settings", NOISES, ids=_names(NOISES))
ADDITIVE = [case for case in NOISES if case[0] != "multiplicative"]
additive_noise = pytest.mark.parametrize("noise, settings", ADDITIVE, ids=_names(ADDITIVE))


def central_difference(function, x, step):
    """Slope of `function` along each coordinate: rows of the derivative. Error O(step²)."""
    return np.array([(function(x + e) - function(x - e)) / (2.0 * step) for e in step * np.eye(x.size)])
