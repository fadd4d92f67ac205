"""A small network on handwritten digits, with one gradient row per sample, in plain NumPy."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nalr import _checks
from nalr_bench.race.problems.passes import Passes

Array = NDArray[np.float64]
INPUTS, HIDDEN, CLASSES = 64, 32, 10
NUM_PARAMETERS = INPUTS * HIDDEN + HIDDEN + HIDDEN * CLASSES + CLASSES
SIZES = (INPUTS * HIDDEN, HIDDEN, HIDDEN * CLASSES, CLASSES)
NUM_TEST = 360


class Digits(NamedTuple):
    """1797 images of 8 × 8 pixels in [0, 1], cut once into a training and a test set."""

    train_images: Array  # (1437, 64)
    train_labels: NDArray[np.int64]  # (1437,)
    test_images: Array  # (360, 64)
    test_labels: NDArray[np.int64]  # (360,)


class Layers(NamedTuple):
    """The parameters of the network, as views of one vector or of one row per group (...)."""

    first: Array  # (..., 64, 32)
    first_bias: Array  # (..., 32)
    second: Array  # (..., 32, 10)
    second_bias: Array  # (..., 10)


@lru_cache(maxsize=1)
def load_digits() -> Digits:
    """Return scikit-learn's digits; the cut is the same for every seed.

    Raises
    ------
    ImportError
        If scikit-learn is missing; it comes with the demo extra.
    """
    try:
        from sklearn.datasets import load_digits as load
    except ImportError as error:
        raise ImportError(
            'The digits need scikit-learn, which comes with the demo extra: pip install "nalr[demo]".'
        ) from error
    images, labels = load(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    images, labels = images[order] / 16.0, labels[order].astype(np.int64)
    return Digits(images[NUM_TEST:], labels[NUM_TEST:], images[:NUM_TEST], labels[:NUM_TEST])


class DigitsMLP:
    """Softmax network 64-32-10 with ReLU on the digits: D = 2410 parameters, cross-entropy in nats.

    Each run draws its first weights (normal, standard deviation √(2/inputs); zero biases) and its shuffled
    passes over the training set from the seed.

    Parameters
    ----------
    batch_size : int
        Samples of a minibatch, 1 to 1437. What is left over at the end of a pass is skipped.
    microbatch_size : int
        Samples behind one gradient row, a divisor of `batch_size`: 1, the default, gives per-sample rows.
    num_steps : int
        Length of a run, at least 1.
    epsilon : float
        Added to losses before logarithms and ratios, positive.

    Notes
    -----
    A step costs O(B·D) time and memory for the rows, about 0.1 ms at B = 32.

    Examples
    --------
    >>> problem = DigitsMLP(batch_size=32)
    >>> params = problem.start(seed=0)
    >>> loss, rows = problem.sample(params)
    >>> rows.shape, bool(abs(problem.full_loss(params) - np.log(10)) < 0.5)
    ((32, 2410), True)
    """

    name = "digits"

    def __init__(
        self,
        batch_size: int = 32,
        *,
        microbatch_size: int = 1,
        num_steps: int = 2000,
        epsilon: float = 1e-3,
    ) -> None:
        self.batch_size = _checks.count("batch_size", batch_size, 1)
        self.microbatch_size = _checks.count("microbatch_size", microbatch_size, 1)
        if self.batch_size % self.microbatch_size:
            raise ValueError(f"`microbatch_size` must divide {batch_size}, got {microbatch_size!r}.")
        self.num_steps = _checks.count("num_steps", num_steps, 1)
        self.epsilon = _checks.positive("epsilon", epsilon)
        self.title = "Digits, a 64-32-10 network"

    def start(self, seed: int) -> Array:
        """Draw the first weights and begin a fresh pass over the training set."""
        self._passes = Passes(len(load_digits().train_labels), self.batch_size, seed)
        params = np.zeros(NUM_PARAMETERS)
        layers = layers_of(params)
        weights = np.random.default_rng([seed, 1])
        layers.first[...] = weights.standard_normal((INPUTS, HIDDEN)) * np.sqrt(2.0 / INPUTS)
        layers.second[...] = weights.standard_normal((HIDDEN, CLASSES)) * np.sqrt(2.0 / HIDDEN)
        return params

    def sample(self, params: Array) -> tuple[float, Array]:
        """Draw the next minibatch of the pass: mean loss, and one row per sample or microbatch."""
        digits = load_digits()
        chosen = self._passes.draw()
        return loss_and_rows(
            params, digits.train_images[chosen], digits.train_labels[chosen], self.microbatch_size
        )

    def full_loss(self, params: Array) -> float:
        """Return the mean loss over the training set."""
        digits = load_digits()
        hidden, logits = forward(layers_of(params), digits.train_images)
        return float(-log_probabilities(logits, digits.train_labels).mean())

    def metrics(self, params: Array) -> dict[str, float]:
        """Return the share of test images whose likeliest class is the right one."""
        digits = load_digits()
        hidden, logits = forward(layers_of(params), digits.test_images)
        return {"test_accuracy": float((logits.argmax(axis=1) == digits.test_labels).mean())}

    def solved(self, params: Array) -> bool | None:
        """Return None: a fit is better or worse, not right or wrong."""
        return None


def layers_of(vectors: Array) -> Layers:
    """Return the layers that `vectors` (..., 2410) hold, as views: writing to them writes to the vectors."""
    first, first_bias, second, second_bias = np.split(vectors, np.cumsum(SIZES)[:-1], axis=-1)
    groups = vectors.shape[:-1]
    return Layers(
        first.reshape(*groups, INPUTS, HIDDEN),
        first_bias,
        second.reshape(*groups, HIDDEN, CLASSES),
        second_bias,
    )


def forward(layers: Layers, images: Array) -> tuple[Array, Array]:
    """Return the hidden activations (N, 32) and the logits (N, 10) of `images` (N, 64)."""
    hidden = np.maximum(images @ layers.first + layers.first_bias, 0.0)
    return hidden, hidden @ layers.second + layers.second_bias


def log_probabilities(logits: Array, labels: NDArray[np.int64]) -> Array:
    """Return the log-probability (N,) that softmax of `logits` (N, 10) gives to `labels` (N,)."""
    shifted = logits - logits.max(axis=1, keepdims=True)  # no overflow in exp, whatever the logits
    return np.asarray(shifted[np.arange(labels.size), labels] - np.log(np.exp(shifted).sum(axis=1)))


def loss_and_rows(
    params: Array, images: Array, labels: NDArray[np.int64], microbatch_size: int
) -> tuple[float, Array]:
    """Return the mean loss of (images, labels) and its gradient rows (N / microbatch_size, 2410).

    A row is the mean gradient of its microbatch. Backpropagation is done for all samples at once; only the
    last product, activations times errors, is summed within microbatches instead of over the batch.
    """
    layers = layers_of(params)
    hidden, logits = forward(layers, images)
    picked = log_probabilities(logits, labels)
    errors = np.exp(logits - logits.max(axis=1, keepdims=True))
    errors /= errors.sum(axis=1, keepdims=True)  # softmax
    errors[np.arange(labels.size), labels] -= 1.0
    hidden_errors = (errors @ layers.second.T) * (hidden > 0.0)

    groups = labels.size // microbatch_size
    rows = np.empty((groups, NUM_PARAMETERS))
    to = layers_of(rows)
    images, hidden, errors, hidden_errors = (
        array.reshape(groups, microbatch_size, -1) for array in (images, hidden, errors, hidden_errors)
    )
    if microbatch_size > 1:  # a product of matrices each: ten times as fast as einsum
        np.matmul(images.transpose(0, 2, 1), hidden_errors, out=to.first)
        np.matmul(hidden.transpose(0, 2, 1), errors, out=to.second)
    else:  # outer products, where einsum is the faster
        np.einsum("gni,gnj->gij", images, hidden_errors, out=to.first)
        np.einsum("gni,gnj->gij", hidden, errors, out=to.second)
    hidden_errors.sum(axis=1, out=to.first_bias)
    errors.sum(axis=1, out=to.second_bias)
    if microbatch_size > 1:
        rows /= microbatch_size
    return float(-picked.mean()), rows
