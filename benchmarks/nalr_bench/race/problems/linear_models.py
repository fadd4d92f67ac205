"""Linear models of data, by the minibatch: their curvature is the data's, their noise the data's spread."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from nalr import _checks
from nalr_bench.race.problems.data_sets import DataSet
from nalr_bench.race.problems.digits import CLASSES, log_probabilities
from nalr_bench.race.problems.passes import Passes
from nalr_bench.race.problems.problem import Array


class LinearModel(ABC):
    """A model of F · `outputs` parameters, from zero on, of a data set that is not pickled along.

    Parameters
    ----------
    name, title : str
        Identifier and heading.
    load : callable
        Returns the data; a module's function, so that it pickles, and a cached one, as every step asks it.
    batch_size : int
        Samples of a minibatch, at least 1.
    num_steps : int
        Length of a run, at least 1.
    epsilon : float
        Added to losses before logarithms and ratios, positive.
    """

    outputs = 1

    def __init__(
        self,
        name: str,
        title: str,
        load: Callable[[], DataSet],
        *,
        batch_size: int,
        num_steps: int,
        epsilon: float,
    ) -> None:
        self.name = name
        self.title = title
        self.load = load
        self.batch_size = _checks.count("batch_size", batch_size, 1)
        self.num_steps = _checks.count("num_steps", num_steps, 1)
        self.epsilon = _checks.positive("epsilon", epsilon)

    def start(self, seed: int) -> Array:
        """Begin a fresh pass over the data, from zero parameters."""
        features = self.load().features
        self._passes = Passes(len(features), self.batch_size, seed)
        return np.zeros(features.shape[1] * self.outputs)

    def draw(self) -> DataSet:
        """Return the next minibatch of the pass."""
        features, targets = self.load()
        chosen = self._passes.draw()
        return DataSet(features[chosen], targets[chosen])

    @abstractmethod
    def sample(self, params: Array) -> tuple[float, Array]:
        """Draw the next minibatch of the pass: mean loss, and its gradient rows."""

    @abstractmethod
    def full_loss(self, params: Array) -> float:
        """Return the mean loss over the data, 0 at best."""

    def metrics(self, params: Array) -> dict[str, float]:
        """Return nothing: the full loss says it all."""
        return {}

    def solved(self, params: Array) -> bool | None:
        """Return None: a fit is better or worse, not right or wrong."""
        return None


class LogisticRegression(LinearModel):
    """Two classes: log(1 + exp(−margin)), one row per sample.

    The data here are separable by a plane, so that 0 is the infimum and no parameters reach it.
    """

    def sample(self, params: Array) -> tuple[float, Array]:
        """Draw the next minibatch of the pass: mean loss, and one row per sample."""
        features, labels = self.draw()
        signs = 2.0 * labels - 1.0
        margins = signs * (features @ params)
        errors = -signs * np.exp(-np.logaddexp(0.0, margins))  # no overflow, whatever the margins
        return float(np.logaddexp(0.0, -margins).mean()), errors[:, None] * features

    def full_loss(self, params: Array) -> float:
        """Return the mean loss over the data."""
        features, labels = self.load()
        return float(np.logaddexp(0.0, (1.0 - 2.0 * labels) * (features @ params)).mean())


class SoftmaxRegression(LinearModel):
    """Ten classes: cross-entropy in nats plus a ridge; a row is the mean over a fourth of the minibatch.

    Parameters
    ----------
    name, title, load, batch_size, num_steps, epsilon
        As of `LinearModel`; the batch size is a multiple of 4.
    minimum : float
        The least value of the mean loss with the ridge, so that the full loss is 0 at best.

    Notes
    -----
    Without the ridge the classes are separable, the infimum is at infinity, and the best rate is the largest
    one that does not overflow: no contest.
    """

    outputs = CLASSES
    num_rows = 4
    ridge = 1e-3

    def __init__(
        self,
        name: str,
        title: str,
        load: Callable[[], DataSet],
        *,
        minimum: float,
        batch_size: int,
        num_steps: int,
        epsilon: float,
    ) -> None:
        super().__init__(name, title, load, batch_size=batch_size, num_steps=num_steps, epsilon=epsilon)
        self.minimum = minimum

    def sample(self, params: Array) -> tuple[float, Array]:
        """Draw the next minibatch of the pass: mean loss, and one row per fourth."""
        features, labels = self.draw()
        logits = features @ params.reshape(-1, CLASSES)
        logits -= logits.max(axis=1, keepdims=True)
        errors = np.exp(logits)
        totals = errors.sum(axis=1, keepdims=True)
        samples = np.arange(labels.size)
        loss = float((np.log(totals[:, 0]) - logits[samples, labels]).mean())
        errors /= totals
        errors[samples, labels] -= 1.0
        errors *= self.num_rows / labels.size
        groups = features.reshape(self.num_rows, -1, features.shape[1]).transpose(0, 2, 1)
        rows = (groups @ errors.reshape(self.num_rows, -1, CLASSES)).reshape(self.num_rows, -1)
        rows += self.ridge * params
        return loss + self._penalty(params), rows

    def full_loss(self, params: Array) -> float:
        """Return the mean loss over the data and the ridge, less their minimum."""
        features, labels = self.load()
        fit = -log_probabilities(features @ params.reshape(-1, CLASSES), labels).mean()
        return float(fit) + self._penalty(params) - self.minimum

    def _penalty(self, params: Array) -> float:
        return 0.5 * self.ridge * float(params @ params)


class LeastSquares(LinearModel):
    """Half the squared residual, one row per sample; the full loss is above the best fit's."""

    def sample(self, params: Array) -> tuple[float, Array]:
        """Draw the next minibatch of the pass: mean loss, and one row per sample."""
        features, values = self.draw()
        residuals = features @ params - values
        return 0.5 * float(residuals @ residuals) / residuals.size, residuals[:, None] * features

    def full_loss(self, params: Array) -> float:
        """Return the mean loss over the data less that of the best fit: half the mean squared distance."""
        features = self.load().features
        return 0.5 * float(((features @ (params - _best_fit(self.load))) ** 2).mean())


@lru_cache(maxsize=1)
def _best_fit(load: Callable[[], DataSet]) -> Array:
    features, values = load()
    return np.asarray(np.linalg.lstsq(features, values, rcond=None)[0])
