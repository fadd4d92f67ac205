"""Claims about the phases of a report: hand-made courses of the rate with known answers."""

from __future__ import annotations

import numpy as np
import pytest

import nalr
from nalr.reporting.rate import MOST_PHASES, NOTABLE


def columns(lr, reason):
    """A run with these rates and reasons."""
    return {"step": range(len(lr)), "loss": [1.0] * len(lr), "lr": list(lr), "reason": list(reason)}


def course(lr, reason):
    """Kind, first and last step of each phase."""
    return [(p.kind, p.first_step, p.last_step) for p in nalr.report(columns(lr, reason)).phases]


def geometric(start, end, count):
    """Rates that follow `start` on the way to `end`, which is the last."""
    return list(start * (end / start) ** (np.arange(1, count + 1) / count))


def test_the_whole_life_of_a_run_in_four_phases():
    lr = [
        0.001,
        *geometric(0.001, 1.0, 100),
        *[1.0] * 400,
        *geometric(1.0, 0.2, 200),
        *geometric(0.2, 1e-4, 300),
    ]
    reason = ["start", *["ramp"] * 100, *["hold"] * 400, *["shrink"] * 200, *["anneal"] * 300]
    report = nalr.report(columns(lr, reason))
    assert [(p.kind, p.first_step, p.last_step) for p in report.phases[:2]] == [
        ("ramped", 0, 100),
        ("held", 100, 500),
    ]
    assert report.phases[-1].last_step == 1000 and report.phases[-1].lr_to == 1e-4
    assert report.phases[0].reasons == {"ramp": 100, "start": 1}
    assert (report.rate.start, report.rate.peak, report.rate.end) == (0.001, 1.0, 1e-4)


def test_neighbours_that_go_the_same_way_are_one_phase():
    """An anneal is curved on a logarithmic axis: several lines, one name."""
    lr = np.r_[np.ones(200), (1.0 - np.arange(300) / 300) ** 3]
    (held, *before), (annealed, first, last) = course(lr, ["hold"] * 200 + ["anneal"] * 300)
    assert (held, *before) == ("held", 0, first) and (annealed, last) == ("annealed", 499)
    assert first == pytest.approx(200, abs=0.1 * 300)


@pytest.mark.parametrize(
    ("reason", "up", "kind"),
    [
        ("ramp", True, "ramped"),
        ("grow", True, "grew"),
        ("kick", True, "kicked"),
        ("formula", True, "rose"),
        ("", True, "rose"),
        ("shrink", False, "shrank"),
        ("edge", False, "backed off"),
        ("cut", False, "was cut"),
        ("blow-up", False, "was cut"),
        ("stall", False, "stepped down"),
        ("kick rolled back", False, "went back"),
        ("cool", False, "cooled"),
        ("anneal", False, "annealed"),
        ("hold", False, "annealed"),  # which never lowers a rate by itself
        ("formula", False, "fell"),
    ],
)
def test_a_move_is_named_by_the_reason_that_made_it(reason, up, kind):
    lr = [1.0, *geometric(1.0, 10.0 if up else 0.1, 50)]
    assert course(lr, [reason] * 51) == [(kind, 0, 50)]


def test_the_reason_that_moved_the_rate_names_it_and_not_the_most_frequent():
    lr = [1.0] * 20 + [0.3] * 20 + [0.09] * 20
    reason = ["hold"] * 20 + ["blow-up"] + ["hold"] * 19 + ["blow-up"] + ["hold"] * 19
    kinds = [kind for kind, _, _ in course(lr, reason)]
    assert set(kinds) == {"held", "was cut"} and kinds.count("was cut") == 2


def test_clipped_and_skipped_steps_are_no_phases():
    lr, reason = [1.0] * 100, ["hold"] * 100
    lr[40], reason[40], lr[70], reason[70] = 0.01, "clip", 0.5, "skip"
    assert course(lr, reason) == [("held", 0, 99)]


def test_small_changes_are_none(rng):
    wobble = np.exp(0.9 * NOTABLE * (rng.random(300) - 0.5))
    assert course(wobble, ["hold"] * 300) == [("held", 0, 299)]


def test_a_wild_course_is_reported_coarsely_and_not_called_held(rng):
    lr = np.exp(rng.normal(size=2000))
    phases = nalr.report(columns(lr, ["formula"] * 2000)).phases
    assert len(phases) <= MOST_PHASES
    assert "held" not in [phase.kind for phase in phases]


def test_a_long_record_is_reported_as_a_short_one():
    shape = [*geometric(0.001, 1.0, 2000), *[1.0] * 8000, *geometric(1.0, 0.001, 10_000)]
    reason = ["ramp"] * 2000 + ["hold"] * 8000 + ["anneal"] * 10_000
    phases = course(shape, reason)
    assert [kind for kind, _, _ in phases] == ["ramped", "held", "annealed"]
    assert phases[0][2] == pytest.approx(2000, abs=100) and phases[1][2] == pytest.approx(10_000, abs=100)
    assert phases[-1][2] == 19_999


def test_phases_follow_each_other_without_a_gap(rng):
    lr = np.exp(np.cumsum(0.2 * rng.normal(size=1000)))
    phases = nalr.report(columns(lr, ["formula"] * 1000)).phases
    assert phases[0].first_step == 0 and phases[-1].last_step == 999
    for before, after in zip(phases, phases[1:], strict=False):
        assert (before.last_step, before.lr_to) == (after.first_step, after.lr_from)
    assert sum(sum(phase.reasons.values()) for phase in phases) == 1000
