"""Settings are checked; resuming is exact."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from nalr.loss.smoother import BLOCK, LossSmoother
from tests.loss.cases import SETTINGS, fed, noisy_losses


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"alpha": 1.0}, ValueError, r"`alpha` must be in \[0, 1\), got 1.0."),
        ({"alpha": -0.1}, ValueError, r"`alpha` must be in \[0, 1\), got -0.1."),
        ({"alpha": math.nan}, ValueError, r"`alpha` must be in \[0, 1\), got nan."),
        ({"alpha": "0.9"}, TypeError, r"`alpha` must be a real number in \[0, 1\), got '0.9'."),
        ({"cutoff": 0.5}, ValueError, r"`cutoff` must be in \[1e-05, 0.49999\], got 0.5."),
        ({"cutoff": 0.0}, ValueError, r"`cutoff` must be in \[1e-05, 0.49999\], got 0.0."),
        ({"order": 0}, ValueError, "`order` must be a whole number of at least 1, got 0."),
        ({"order": 2.0}, TypeError, "`order` must be a whole number of at least 1, got 2.0."),
        ({"window": 2}, ValueError, "`window` must be a whole number of at least 3, got 2."),
    ],
)
def test_bad_settings_are_refused_in_one_sentence(settings, error, message):
    with pytest.raises(error, match=message):
        LossSmoother(**settings)


def test_repr_shows_the_settings():
    text = "LossSmoother(alpha=0.5, cutoff=0.1, order=3, window=7)"
    assert repr(LossSmoother(0.5, cutoff=0.1, order=3, window=7)) == text


def test_reset_gives_a_fresh_smoother(rng):
    losses = noisy_losses(rng)
    smoother, smoothed = fed(losses, cutoff=0.1, window=5)
    smoother.reset()
    assert smoother.state_dict() == LossSmoother(cutoff=0.1, window=5).state_dict()
    np.testing.assert_array_equal([smoother.update(loss) for loss in losses], smoothed)


@pytest.mark.parametrize("settings", [{"alpha": 0.2}, {"window": 6, "cutoff": 0.1, "order": 3}], ids=str)
def test_resuming_at_any_step_gives_the_same_bits(rng, settings):
    losses = np.concatenate([noisy_losses(rng), rng.normal(size=BLOCK)])
    whole, smoothed = fed(losses, **settings)
    first = LossSmoother(**settings)
    for cut, loss in enumerate(losses[:-1], start=1):
        first.update(loss)
        if cut > 40 and cut % 23:
            continue  # every cut of the start, then some
        second = LossSmoother(**settings)
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        np.testing.assert_array_equal([second.update(later) for later in losses[cut:]], smoothed[cut:])
        assert second.state_dict() == whole.state_dict()
        assert second.reading() == whole.reading()


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_state_dict_holds_plain_types_only_and_is_a_copy(rng, settings):
    smoother, _ = fed(np.float32(noisy_losses(rng)), **settings)
    saved = smoother.state_dict()
    for value in (saved | {"settings": None}).values():
        for item in value if type(value) is list else [value]:
            assert item is None or type(item) in (int, float)
    again = LossSmoother(**settings)
    again.load_state_dict(saved)
    again.update(1e3)
    assert saved == smoother.state_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"settings": repr(LossSmoother(0.5, window=5, cutoff=0.1))},
            "with alpha=0.9, got one with alpha=0.5.$",
        ),
        ({"extra": 1}, r"`state` must come from `LossSmoother.state_dict\(\)`, got keys "),
        ({"count": 1.5}, "`state` must hold a whole number under 'count', got 1.5."),
        ({"trend_slope": math.nan}, "`state` must hold a finite float under 'trend_slope', got nan."),
        ({"recent": [1.0]}, "`state` must hold 5 numbers under 'recent', got 1."),
        ({"memory": [1.0, "a"]}, "`state` must hold a list of finite floats under 'memory', got "),
        (
            {"smoothed": None},
            "`state` must hold a smoothed loss once there is a count, got None with count 30.",
        ),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(rng, change, message):
    settings = {"window": 5, "cutoff": 0.1}
    smoother, _ = fed(rng.normal(size=30), **settings)
    before = smoother.state_dict()
    with pytest.raises(ValueError, match=message):
        smoother.load_state_dict({**before, **change})
    assert smoother.state_dict() == before


@pytest.mark.parametrize("state", [None, {}, [1]])
def test_what_is_no_state_is_refused(state):
    with pytest.raises(ValueError, match=r"`state` must have been saved by LossSmoother\("):
        LossSmoother().load_state_dict(state)
