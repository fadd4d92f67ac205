"""Data sets of the race."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nalr_bench.race.problems import digits
from nalr_bench.race.problems.problem import Array


class DataSet(NamedTuple):
    """N samples of F features, the last of which is 1 for the bias, and what to predict."""

    features: Array  # (N, F)
    targets: NDArray[Any]  # (N,) class numbers, or values


@lru_cache(maxsize=1)
def cancer() -> DataSet:
    """Return scikit-learn's breast cancer data as measured: 30 features, of sizes from 0.01 to 1000.

    Raises
    ------
    ImportError
        If scikit-learn is missing; it comes with the demo extra.
    """
    try:
        from sklearn.datasets import load_breast_cancer as load
    except ImportError as error:
        raise ImportError(
            "The breast cancer data need scikit-learn, which comes with the demo extra: "
            'pip install "nalr[demo]".'
        ) from error
    features, labels = load(return_X_y=True)
    return DataSet(_with_bias(features), labels.astype(np.int64))


@lru_cache(maxsize=1)
def cancer_scaled() -> DataSet:
    """Return the breast cancer data, each feature with mean 0 and standard deviation 1."""
    features, labels = cancer()
    return DataSet(_with_bias(_standardised(features[:, :-1])), labels)


@lru_cache(maxsize=1)
def images() -> DataSet:
    """Return the training images of the digits, pixels in [0, 1]."""
    data = digits.load_digits()
    return DataSet(_with_bias(data.train_images), data.train_labels)


@lru_cache(maxsize=1)
def images_scaled() -> DataSet:
    """Return the training images, each pixel with mean 0 and standard deviation 1, or 0 if it is constant."""
    data = digits.load_digits()
    return DataSet(_with_bias(_standardised(data.train_images)), data.train_labels)


@lru_cache(maxsize=1)
def bags_of_words() -> DataSet:
    """Return 2000 made-up texts, as the words of 200 that occur in them, and the values they add up to.

    A text has about 10 words drawn with Zipf's frequencies: the j-th word is j times rarer than the first.
    The value is the sum of its words' weights, standard normal, and normal noise of standard deviation 1/2.
    """
    rng = np.random.default_rng(7)
    frequency = 1.0 / np.arange(1, 201)
    expected = 10.0 * frequency / frequency.sum()
    features = (rng.random((2000, 200)) < -np.expm1(-expected)).astype(np.float64)
    values = features @ rng.standard_normal(200) + 0.5 * rng.standard_normal(2000)
    return DataSet(_with_bias(features), values)


def _with_bias(features: Array) -> Array:
    return np.column_stack([features, np.ones(len(features))])


def _standardised(features: Array) -> Array:
    spread = features.std(axis=0)
    return np.asarray((features - features.mean(axis=0)) / np.where(spread > 0.0, spread, 1.0))
