"""Models of data: logistic and softmax regression, least squares on sparse rows, and a small network."""

from __future__ import annotations

from nalr_bench.race.problems import data_sets
from nalr_bench.race.problems.digits import DigitsMLP
from nalr_bench.race.problems.length import length
from nalr_bench.race.problems.linear_models import LeastSquares, LogisticRegression, SoftmaxRegression


def cancer(num_steps: int | None = None) -> LogisticRegression:
    """Return breast cancer from raw measurements: the largest of them alone sets the rate that is stable."""
    return LogisticRegression(
        "logistic-cancer",
        "Logistic regression, raw features",
        data_sets.cancer,
        batch_size=16,
        num_steps=length(num_steps),
        epsilon=0.1,
    )


def cancer_scaled(num_steps: int | None = None) -> LogisticRegression:
    """Return breast cancer from standardised measurements."""
    return LogisticRegression(
        "logistic-cancer-scaled",
        "Logistic regression, scaled features",
        data_sets.cancer_scaled,
        batch_size=16,
        num_steps=length(num_steps),
        epsilon=1e-2,
    )


def images(num_steps: int | None = None) -> SoftmaxRegression:
    """Return softmax regression of the digits on their pixels."""
    return SoftmaxRegression(
        "logistic-digits",
        "Softmax regression, digits",
        data_sets.images,
        minimum=0.2633596286,  # by Newton's method, rounded down
        batch_size=32,
        num_steps=length(num_steps),
        epsilon=1e-4,
    )


def images_scaled(num_steps: int | None = None) -> SoftmaxRegression:
    """Return softmax regression of the digits on standardised pixels, rare ones among them very large."""
    return SoftmaxRegression(
        "logistic-digits-scaled",
        "Softmax regression, scaled digits",
        data_sets.images_scaled,
        minimum=0.0843706790,  # by Newton's method, rounded down
        batch_size=32,
        num_steps=length(num_steps),
        epsilon=1e-4,
    )


def words(num_steps: int | None = None) -> LeastSquares:
    """Return least squares on bags of words: most coordinates of most rows are 0."""
    return LeastSquares(
        "sparse",
        "Least squares, bags of words",
        data_sets.bags_of_words,
        batch_size=16,
        num_steps=length(num_steps),
        epsilon=1e-4,
    )


def network(num_steps: int | None = None) -> DigitsMLP:
    """Return the small network on digits, its rows the means of 8 samples each, as that is faster."""
    problem = DigitsMLP(batch_size=32, microbatch_size=8, num_steps=length(num_steps))
    problem.name = "mlp-digits"
    return problem
