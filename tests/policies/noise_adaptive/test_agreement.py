"""Whether the loss follows its gradients."""

from __future__ import annotations

import numpy as np
import pytest

from nalr.policies.noise_adaptive.agreement import Agreement, AgreementSettings
from nalr.policies.noise_adaptive.loss_level import LossLevel

SETTINGS = AgreementSettings()
WINDOW = 20.0


def compare(losses, changes):
    """Return, step by step, whether losses follow the changes that their gradients account for."""
    level, agreement, follows = LossLevel(), Agreement(), []
    for loss, change in zip(losses, changes, strict=True):
        level.update(loss, change)
        agreement.update(SETTINGS, level, WINDOW)
        follows.append(agreement.follows)
    return np.array(follows)


def falling(share, steps=200, noise=0.0, seed=0):
    """Return losses that show this share of an account which falls by one a step."""
    rng = np.random.default_rng(seed)
    return 10.0 - share * np.arange(steps) + noise * rng.normal(size=steps), np.full(steps, -1.0)


@pytest.mark.parametrize(("noise", "least"), [(0.0, 1.0), (1.0, 1.0), (100.0, 0.9)])
def test_a_loss_that_falls_as_its_gradients_say_follows_them(noise, least):
    assert compare(*falling(1.0, noise=noise)).mean() >= least


def test_a_loss_divided_by_four_microbatches_still_follows():
    assert compare(*falling(0.25)).all()


@pytest.mark.parametrize(
    "share", [0.0, 0.5 * SETTINGS.agreement, -0.5], ids=["constant", "next to constant", "raised by another"]
)
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_a_loss_that_shows_nothing_of_its_gradients_does_not_follow(share, noise):
    follows = compare(*falling(share, noise=noise))
    assert not follows[round(WINDOW) :].any()


def test_a_player_that_raises_the_loss_again_makes_it_disagree_and_one_that_rests_does_not():
    # min over x, max over y of (x − y)²/2: x descends, and y keeps its distance or stays.
    found = {}
    for other in (1.0, 0.0):
        x, y, rate, losses, changes, before = 3.0, 0.0, 0.02, [], [], None
        for _ in range(200):
            slope = x - y
            losses.append(0.5 * slope * slope)
            changes.append(0.0 if before is None else -rate * before * slope)
            before, x, y = slope, x - rate * slope, y - other * rate * slope
        found[other] = compare(losses, changes)
    assert not found[1.0][round(WINDOW) :].any()
    assert found[0.0].all()


def test_begin_compares_anew():
    level, agreement = LossLevel(), Agreement()
    for _ in range(100):
        level.update(1.0, -1.0)
        agreement.update(SETTINGS, level, WINDOW)
    assert not agreement.follows
    agreement.begin()
    assert agreement.follows
    level.update(1.0, 0.0)
    agreement.update(SETTINGS, level, WINDOW)
    assert agreement.follows  # one step promises nothing beyond itself


def stationary_bowls(runs, steps=120, dim=4, rows=8, rate=0.1):
    """Hold bowls up by their own noise: losses of fresh batches, and the gradients' account of each step."""
    rng = np.random.default_rng(3)
    x, before = rng.normal(size=(runs, 1, dim)) * 0.07, np.zeros((runs, dim))
    for _ in range(steps):
        apart = x - rng.normal(size=(runs, rows, dim))  # f = |x − d|²/2 over samples d
        gradient = apart.mean(axis=1)
        yield 0.5 * (apart**2).sum(axis=2).mean(axis=1), -rate * (gradient * before).sum(axis=1)
        before, x = gradient, x - rate * gradient[:, None]


def alarms(settings, runs):
    """Return which steps of stationary runs do not follow, one row a step."""
    level, agreement = [LossLevel() for _ in range(runs)], [Agreement() for _ in range(runs)]
    for losses, changes in stationary_bowls(runs):
        for one, other, loss, change in zip(level, agreement, losses.tolist(), changes.tolist(), strict=True):
            one.update(loss, change)
            other.update(settings, one, WINDOW)
        yield [not one.follows for one in agreement]


def test_noise_alone_hardly_ever_makes_a_stationary_run_disagree():
    # Two standard errors are .023 of a normal distribution; the fall in the account must beat these besides.
    # While the averages are short the noise of a loss is hardly known, and its allowance not either.
    found = np.array(list(alarms(SETTINGS, 1000)))
    assert np.mean(found[2 * round(WINDOW) :]) < 0.023
    assert np.mean(found) < 0.06


def test_without_an_allowance_for_noise_it_would_often_disagree():
    found = np.array(list(alarms(AgreementSettings(agreement_errors=0.0), 100)))
    assert np.mean(found[2 * round(WINDOW) :]) > 4.0 * 0.023
