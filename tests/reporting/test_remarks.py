"""Claims about remarks: each appears where its evidence is, and nowhere else."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

import nalr
from nalr.reporting.history import Entry, History
from nalr.reporting.remarks import RULES
from tests.reporting.test_report import trained

STEPS = 400


def report_of(reason=(), lr=None, loss=None, fractions=None, **settings):
    """Return the report of a run in which nothing stands out, but for what is given.

    It holds a rate of 0.1 while the loss falls and comes to rest; half of the gradient is signal.
    """
    rng = np.random.default_rng(0)
    steps = np.arange(STEPS)
    losses = 1.0 + np.exp(-steps / 30.0) + 0.01 * rng.normal(size=STEPS) if loss is None else loss
    rates = np.full(STEPS, 0.1) if lr is None else lr
    reasons = dict(enumerate(reason)) if not isinstance(reason, dict) else reason
    shares = np.full(STEPS, 0.5) if fractions is None else fractions
    history = History()
    for step in range(STEPS):
        share = shares[step]
        history.append(
            Entry(
                step,
                losses[step],
                losses[step],
                rates[step],
                reasons.get(step, "hold"),
                noise_scale=1.0,
                gradient_noise_scale=16.0 * (1.0 / share - 1.0) if share > 0.0 else math.nan,
                signal_fraction=share,
                batch_size=16.0,
            )
        )
    known = {"base_lr": 0.1, "min_lr": 1e-9, "max_lr": 1e7, "total_steps": STEPS} | settings
    return nalr.report(SimpleNamespace(history=history, **known))


def names(report):
    return [remark.name for remark in report.remarks]


def only(report):
    (remark,) = report.remarks
    return remark


def spread(reason, count, first=0, last=STEPS):
    """The reason at `count` steps, evenly from `first` to `last`."""
    return {int(step): reason for step in np.linspace(first, last - 1, count)}


def test_a_run_without_anything_of_note_has_no_remarks():
    report = report_of()
    assert report.remarks == ()
    assert str(report).endswith("none: nothing stands out")


# -- harm ---------------------------------------------------------------------------------------------


def test_one_skipped_step_is_reported():
    remark = only(report_of({123: "skip"}))
    assert remark.name == "skipped steps"
    assert "once in 400 steps" in remark.evidence and "first at step 123" in remark.evidence


@pytest.mark.parametrize(("count", "expected"), [(2, []), (3, ["many cuts"])])
def test_three_cuts_are_many(count, expected):
    assert names(report_of(spread("cut", count, 100))) == expected
    assert names(report_of(spread("blow-up", count, 100))) == expected


def test_cuts_are_the_base_rates_doing_at_the_start_and_the_problems_later():
    early, late = only(report_of(spread("blow-up", 4, 0, 30))), only(report_of(spread("cut", 4, 200)))
    assert "4 times: 0 for a rise of the loss, 4 for an exploding gradient, most of them at" in early.evidence
    assert "smaller base rate" in early.suggestion
    assert "4 for a rise of the loss, 0 for" in late.evidence and "gradient clipping" in late.suggestion


@pytest.mark.parametrize(("count", "expected"), [(19, []), (20, ["clipped often"])])
def test_clips_at_every_twentieth_step_are_a_habit(count, expected):
    assert names(report_of(spread("clip", count))) == expected


def test_a_loss_that_became_another_is_told_and_the_rate_not_blamed():
    remark = only(report_of({150: "level", 300: "level"}))
    assert remark.name == "another level"
    assert "2 times in 400 steps" in remark.evidence and "first at step 150" in remark.evidence
    assert "data changed" in remark.suggestion


# -- loss ---------------------------------------------------------------------------------------------


def test_a_loss_that_ends_above_its_start_is_reported():
    rng = np.random.default_rng(1)
    noise = 0.01 * rng.normal(size=STEPS)
    assert names(report_of(loss=np.linspace(1.0, 1.2, STEPS) + noise)) == ["loss rose"]
    assert names(report_of(loss=1.0 + noise)) == []  # up and down by chance


def test_a_loss_that_still_falls_is_reported_with_what_the_horizon_makes_of_it():
    rng = np.random.default_rng(2)
    falling = np.linspace(2.0, 1.0, STEPS) + 0.01 * rng.normal(size=STEPS)
    assert only(report_of(loss=falling)).name == "still falling"
    assert "25 % of all" in only(report_of(loss=falling)).evidence
    assert "A longer run would pay" in only(report_of(loss=falling)).suggestion
    open_end = only(report_of(loss=falling, total_steps=None))
    assert open_end.name == "no horizon" and "give `total_steps`" in open_end.suggestion
    assert names(report_of(total_steps=None)) == []  # at rest, it has nothing to gain
    annealed = report_of(loss=falling, lr=np.r_[np.full(200, 0.1), np.geomspace(0.1, 1e-4, 200)])
    assert "the falling rate's own doing" in only(annealed).suggestion


def test_a_record_alone_knows_of_no_horizon():
    falling = np.linspace(2.0, 1.0, STEPS)
    columns = {"step": range(STEPS), "loss": falling, "lr": [0.1] * STEPS}
    assert only(nalr.report(columns)).name == "still falling"


def test_a_slope_must_be_beyond_chance_and_worth_the_steps():
    rng = np.random.default_rng(3)
    steps = np.arange(STEPS)
    chance = np.exp(-steps / 10.0) + 1.0 * rng.normal(size=STEPS) - 1e-4 * steps
    tiny = 100.0 * np.exp(-steps / 10.0) - 1e-4 * steps  # without noise, and of no account
    assert names(report_of(loss=chance)) == names(report_of(loss=tiny)) == []


def test_noise_alone_hardly_ever_seems_to_fall():
    falls = sum(
        "still falling" in names(report_of(loss=1.0 + np.random.default_rng(seed).normal(size=STEPS)))
        for seed in range(100)
    )
    assert falls <= 3  # one in 740 is expected beyond three standard errors


def test_a_short_run_does_not_know_where_it_is_going():
    columns = {"step": range(60), "loss": np.linspace(2.0, 1.0, 60), "lr": [0.1] * 60}
    assert nalr.report(columns).remarks == ()


# -- rate ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "expected"), [(19, []), (20, ["at a bound"])])
def test_a_rate_that_is_held_at_a_bound_is_reported(count, expected):
    assert names(report_of(spread("bound", count))) == expected


def test_a_policy_that_keeps_to_the_bound_by_itself_is_reported_as_well():
    growing = dict.fromkeys(range(100, 200), "grow")
    remark = only(report_of(growing, max_lr=0.1))
    assert remark.name == "at a bound" and "`max_lr` = 0.1 in 25 %" in remark.evidence
    shrinking = dict.fromkeys(range(100, 200), "shrink")
    assert "`min_lr` = 0.1 in 25 %" in only(report_of(shrinking, min_lr=0.1)).evidence
    assert names(report_of(growing)) == []  # far from it
    assert names(report_of(dict.fromkeys(range(STEPS), "constant"), max_lr=0.1)) == []  # asks for nothing


def test_a_rate_that_still_rises_is_reported_and_one_that_has_arrived_is_not():
    ramp = dict.fromkeys(range(STEPS), "ramp")
    remark = only(report_of(ramp, lr=np.geomspace(1e-3, 1.0, STEPS), base_lr=1e-3))
    assert remark.name == "rate still rising" and "base_lr=1" in remark.suggestion
    arrived = np.r_[np.geomspace(0.02, 0.1, 10), np.full(STEPS - 10, 0.1)]
    assert names(report_of(dict.fromkeys(range(10), "ramp"), lr=arrived, base_lr=0.02)) == []


def test_a_base_rate_far_below_is_reported_if_the_search_took_long():
    def run(length, base_lr):
        rates = np.r_[np.geomspace(base_lr, 0.3, length), np.full(STEPS - length, 0.3)]
        return report_of(dict.fromkeys(range(length), "ramp"), lr=rates, base_lr=base_lr)

    remark = only(run(100, 1e-3))
    assert remark.name == "low base rate" and "300x the base rate" in remark.evidence
    assert "base_lr=0.1:" in remark.suggestion
    assert names(run(15, 1e-3)) == []  # soon found
    assert names(run(100, 0.1)) == []  # not far


@pytest.mark.parametrize(
    ("end", "name", "part"),
    [
        ("kick kept", "kick kept", "for 30 steps and found lower ground at step 80"),
        ("kick rolled back", "kick rolled back", "for 30 steps and found nothing lower"),
    ],
)
def test_what_became_of_a_kick_is_reported(end, name, part):
    remark = only(report_of(dict.fromkeys(range(50, 80), "kick") | {80: end}))
    assert remark.name == name and part in remark.evidence


# -- noise --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [
        (0.0, ["mostly noise"]),
        (0.09, ["mostly noise"]),
        (0.11, []),
        (0.89, []),
        (0.91, ["mostly signal"]),
        (1.0, ["mostly signal"]),
    ],
)
def test_noise_or_signal_that_dominates_is_reported(fraction, expected):
    assert names(report_of(fractions=np.full(STEPS, fraction))) == expected


def test_the_larger_batch_that_is_suggested_is_the_balanced_one():
    remark = only(report_of(fractions=np.full(STEPS, 0.05)))
    assert "up to about 19x this one" in remark.suggestion  # 1/ρ − 1


def test_a_few_fractions_are_no_evidence():
    fractions = np.full(STEPS, math.nan)
    fractions[:29] = 0.01
    assert names(report_of(fractions=fractions)) == []
    fractions[29] = 0.01
    assert names(report_of(fractions=fractions)) == ["mostly noise"]


# -- all together -------------------------------------------------------------------------------------


def test_every_remark_has_evidence_with_numbers_and_a_suggestion_in_whole_sentences():
    harms = {1: "skip"} | spread("cut", 4, 10) | spread("clip", 50, 100) | spread("bound", 40, 51)
    harms |= {300: "level"}
    seen = [
        *report_of(harms).remarks,
        *report_of(loss=np.linspace(1.0, 5.0, STEPS), fractions=np.full(STEPS, 0.01)).remarks,
    ]
    assert len({remark.name for remark in seen}) == 7
    for remark in seen:
        assert any(letter.isdigit() for letter in remark.evidence), remark
        assert remark.evidence.endswith(".") and remark.suggestion.endswith("."), remark
    assert len(RULES) == len(set(RULES)) == 12


def test_real_runs_get_the_remarks_that_they_earn():
    assert "at a bound" in names(nalr.report(trained(max_lr=2e-3)))
    assert "rate still rising" in names(nalr.report(trained(30, None, base_lr=1e-5)))
    assert "mostly signal" in names(nalr.report(trained(60, None, base_lr=0.01, batch_size=4096)))
    assert "low base rate" in names(nalr.report(trained(base_lr=1e-4)))
    good = names(nalr.report(trained(base_lr=0.3)))
    assert not set(good) - {"mostly noise", "mostly signal", "still falling"}
