"""Probes of the tests of curvature."""

from __future__ import annotations

import numpy as np

from nalr.curvature.probe_average import ProbeAverage
from nalr.curvature.probes import normal, rademacher

EPS = np.finfo(np.float64).eps
KINDS = [rademacher, normal]
LENGTHS = [1, 63, 64, 65, 1000]
MANY = 1_000_000


def averaged(hessian, indices, draw=rademacher, seed=0, **settings):
    average = ProbeAverage(**settings)
    for index in indices:
        probe = draw(len(hessian), seed=seed, index=index, dtype=np.float64)
        average.update(probe, hessian @ probe)
    return average
