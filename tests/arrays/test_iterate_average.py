"""The companion that averages iterates."""

import numpy as np
import pytest

from nalr import IterateAverage


def slow_average(iterates, power):
    """Weights of Shamir and Zhang's recursion written out: each step's share, times what later ones leave."""
    count = len(iterates)
    shares = np.array([(power + 1.0) / (t + power) for t in range(1, count + 1)])
    weights = [share * np.prod(1.0 - shares[t + 1 :]) for t, share in enumerate(shares)]
    assert np.isclose(sum(weights), 1.0)
    return np.tensordot(weights, iterates, axes=1)


@pytest.mark.parametrize("power", [0.0, 1.0, 8.0])
@pytest.mark.parametrize("dimension", [1, 3, 70_000])
def test_equals_the_weights_written_out(power, dimension):
    iterates = np.random.default_rng(1).normal(size=(7, dimension))
    averaged = IterateAverage(power)
    for params in iterates:
        averaged.update(params)
    np.testing.assert_allclose(averaged.average, slow_average(iterates, power), rtol=0, atol=1e-14)


def test_power_zero_is_the_plain_mean():
    averaged = IterateAverage(0.0)
    for value in (1.0, 2.0, 6.0):
        averaged.update([value])
    assert averaged.average[0] == pytest.approx(3.0, rel=1e-15)


def test_layers_and_one_vector_give_the_same():
    layers = [np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([5.0], dtype=np.float32)]
    flat = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    together, apart = IterateAverage(), IterateAverage()
    for factor in (1.0, -2.0):
        together.update(factor * flat)
        apart.update([factor * layer for layer in layers])
    np.testing.assert_array_equal(together.average, apart.average)


def test_it_beats_the_last_iterate_at_a_constant_rate():
    """The claim: far below the noise floor η tr Σ/4 of a run at a constant rate."""
    last, mean = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        params, averaged = np.full(10, 3.0), IterateAverage()
        for _ in range(1000):
            params = params - 0.2 * (params + rng.normal(size=10))
            averaged.update(params)
        last.append(0.5 * params @ params)
        mean.append(0.5 * averaged.average @ averaged.average)
    assert np.mean(mean) < 0.15 * np.mean(last)


def test_resumes_to_the_bit():
    rng = np.random.default_rng(3)
    iterates = rng.normal(size=(20, 5))
    whole, first, second = IterateAverage(), IterateAverage(), IterateAverage()
    for params in iterates:
        whole.update(params)
    for params in iterates[:9]:
        first.update(params)
    second.load_state_dict(first.state_dict())
    for params in iterates[9:]:
        second.update(params)
    np.testing.assert_array_equal(second.average, whole.average)


def test_errors_are_sentences_and_change_nothing():
    averaged = IterateAverage()
    with pytest.raises(ValueError, match="no average before the first"):
        _ = averaged.average
    averaged.update([1.0, 2.0])
    with pytest.raises(ValueError, match="must have 2 values"):
        averaged.update([1.0])
    assert averaged.num_steps == 1
    with pytest.raises(ValueError, match="read-only"):
        averaged.average[0] = 0.0
    with pytest.raises(ValueError, match="`power` must be at least 0"):
        IterateAverage(-1.0)
    with pytest.raises(ValueError, match="saved by IterateAverage with power=1.0, got one with power=8.0.$"):
        IterateAverage(1.0).load_state_dict(averaged.state_dict())
