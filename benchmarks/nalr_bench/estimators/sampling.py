"""Random rows of gradients with a known mean and known variances."""

from __future__ import annotations

import math
import zlib

import numpy as np
from numpy.typing import NDArray

from nalr.curvature import probes
from nalr_bench.estimators.truth import Rows


def stream(seed: int, name: str, block: int) -> int:
    """Return the seed of one block of draws of the cell called `name`."""
    words = np.random.SeedSequence((seed, zlib.crc32(name.encode()), block)).generate_state(1, np.uint64)
    return int(words[0])


def deviations(dim: int) -> Rows:
    """Return standard deviations (D,); the variance of coordinate j falls as 1/√j."""
    found: Rows = (np.arange(1, dim + 1) ** -0.25).astype(np.float32)
    return found


def mean_of(ratio: float, total_variance: float, dim: int) -> Rows:
    """Return a mean gradient (D,) whose squared norm is `ratio` times `total_variance`."""
    return np.full(dim, math.sqrt(ratio * total_variance / dim), dtype=np.float32)


def noise(shape: tuple[int, ...], scale: Rows, seed: int, index: int = 0) -> Rows:
    """Return independent normals of mean 0 and standard deviations `scale` along the last axis."""
    found: Rows = probes.normal(math.prod(shape), seed=seed, index=index).reshape(shape)
    found *= scale
    return found


def population(num_rows: int, dim: int) -> Rows:
    """Return the rows (N, D) of a finite population, normals as above, with mean 0."""
    rows = noise((num_rows, dim), deviations(dim), seed=num_rows)
    rows -= rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    return rows


def with_replacement(draws: int, count: int, num_rows: int, seed: int) -> NDArray[np.intp]:
    """Return `draws` samples of `count` of the first `num_rows` numbers, with replacement."""
    return np.random.default_rng(seed).integers(num_rows, size=(draws, count))


def without_replacement(draws: int, count: int, num_rows: int, seed: int) -> NDArray[np.intp]:
    """Return `draws` samples of `count` different ones of the first `num_rows` numbers, in random order."""
    keys = np.random.default_rng(seed).random((draws, num_rows))
    return keys.argsort(axis=1)[:, :count]
