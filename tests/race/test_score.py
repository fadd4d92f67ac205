"""The race's score: an example worked by hand, what is clipped, what is missing, and the interval."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nalr_bench.race.engine.plan import SCORED
from nalr_bench.race.engine.result import Key
from nalr_bench.race.scoring.score import Score
from tests.race.example import (
    CONSTANT,
    ENTRIES,
    EPSILONS,
    EXAMPLE,
    FIELD,
    FREE,
    LINEAR,
    OURS,
    SCHEDULES,
    entry,
    result,
    runs,
)


def standing(results, method=OURS, group="all", entries=ENTRIES, epsilons=EPSILONS):
    standings = Score(results, entries, epsilons, FIELD).standings()
    return next(s for s in standings if s.method == method.name and s.group == group)


def test_an_example_worked_by_hand():
    both = standing(EXAMPLE)
    assert both.score == pytest.approx((1 * 4 * 4 * 0.5) ** 0.25)
    assert standing(EXAMPLE, group="tuning").score == pytest.approx(2.0)
    assert standing(EXAMPLE, group="held-out").score == pytest.approx(math.sqrt(2.0))
    assert both.score_constant == pytest.approx(((4 * 16) / 8**2 * (4 * 0.5) / 2**2) ** 0.25)
    assert standing(EXAMPLE, FREE).score == pytest.approx(math.sqrt(0.25 * 2))
    assert both.worst.regret == pytest.approx(4.0) and both.worst[1:] == ("bowl", 1.0)
    assert both.problems == pytest.approx({"bowl": 2.0, "valley": math.sqrt(2.0)})
    assert [factor for factor, _ in both.profile] == [0.1, 1.0, 10.0]
    assert [regret for _, regret in both.profile[:2]] == pytest.approx([2.0, math.sqrt(2.0)])
    assert (both.num_cells, both.expected) == (4, 10)
    free = standing(EXAMPLE, FREE)
    assert (free.num_cells, free.expected) == (2, 2) and math.isnan(free.worst.factor)
    assert (both.tuning_free, both.optimizer, both.takes_rate, free.takes_rate) == (True, "sgd", True, False)


def test_the_tuned_schedule_is_the_best_factor_of_each_problem_and_says_when_it_is_the_last():
    found = {(t.problem, t.method): t for t in Score(EXAMPLE, ENTRIES, EPSILONS, FIELD).tuned()}
    assert len(found) == 4
    linear = found["bowl", "sgd linear"]
    assert linear.factor == 1.0 and linear.loss == pytest.approx(4.0) and linear.at_edge
    constant = found["bowl", "sgd constant"]  # at 10 one of the seeds diverged
    assert constant.factor == 1.0 and constant.loss == pytest.approx(8.0)
    inner = {**EXAMPLE, **runs("bowl", "sgd linear", {10.0: [20, 20]})}
    assert not Score(inner, ENTRIES, EPSILONS, FIELD).tuned()[0].at_edge


def test_a_tuned_schedule_has_no_regret_at_its_best_factor():
    only_best = {k: r for k, r in SCHEDULES.items() if k.factor == {"bowl": 1.0, "valley": 0.1}[k.problem]}
    assert standing(only_best, LINEAR).score == pytest.approx(1.0)
    assert standing(only_best, LINEAR).low <= 1.0 <= standing(only_best, LINEAR).high


@pytest.mark.parametrize("loss, regret", [(1e9, 1e3), (math.inf, 1e3), (-1.0 + 1e-9, 1e-2)])
def test_regret_of_each_run_is_clipped(loss, regret):
    results = {**SCHEDULES, **runs("bowl", "ours", {1.0: [loss, 3]})}  # the other seed has regret 1
    assert standing(results).score == pytest.approx(math.sqrt(regret))


def test_shares_of_diverged_runs():
    both = standing(EXAMPLE)
    assert both.diverged == 0.0 and both.diverged_extreme == 0.5  # what was run at 10: the bowl alone
    assert math.isnan(standing(EXAMPLE, group="held-out").diverged_extreme)
    results = {**EXAMPLE, **runs("valley", "ours", {1.0: [math.inf, 0]})}
    assert standing(results).diverged == 1 / 8
    assert standing(results).worst.regret == pytest.approx(math.sqrt(1e3 * 0.5))


def test_steps_until_the_tuned_loss_is_near():
    # The goal on the bowl is a loss of 1.1 · 4 - 1 = 3.4.
    curves = [((1, 5, 9), (9.0, 3.3, 8.0)), ((1, 5, 9), (9.0, 3.5, 3.4)), ((1, 5), (9.0, math.inf))]
    results = dict(SCHEDULES)
    for seed, curve in enumerate(curves):
        results[Key("bowl", "ours", 1.0, seed)] = result(2.0, curve=curve)
    assert standing(results).steps == 9
    results[Key("bowl", "ours", 0.1, 0)] = result(2.0, curve=curves[2])
    assert math.isinf(standing(results).steps)


def test_escape_counts_where_a_constant_rate_ever_escaped():
    entries = [entry("easy", judged_escape=True), entry("hopeless", judged_escape=True), entry("not judged")]
    epsilons = dict.fromkeys(["easy", "hopeless", "not judged"], 1.0)
    results = {}
    for each in entries:
        results |= runs(each.name, "sgd constant", {1.0: [1, 1], 46.4: [1, 1]}, solved=False)
        results |= runs(each.name, "sgd linear", {1.0: [1, 1]}, solved=False)
        results |= runs(each.name, "ours", {0.1: [1, 1], 1.0: [1, 1]}, solved=False)
    results[Key("easy", "sgd constant", 46.4, 1)] = result(1.0, solved=True)
    results[Key("easy", "ours", 1.0, 0)] = result(1.0, solved=True)
    assert standing(results, entries=entries, epsilons=epsilons).escape == 0.25
    assert math.isnan(standing(EXAMPLE).escape)


def test_a_race_that_is_not_complete_is_scored_over_what_is_there():
    one_seed = {key: r for key, r in EXAMPLE.items() if key.method != "ours" or key.seed == 0}
    assert standing(one_seed).score == pytest.approx(((4 / 4) * (8 / 4) * 2 * 0.5) ** 0.25)
    without = {key: r for key, r in EXAMPLE.items() if key.method != "sgd linear"}
    assert math.isnan(standing(without).score) and standing(without).num_cells == 0
    assert standing(without).worst is None and math.isnan(standing(without).steps)
    assert standing(without).score_constant == standing(EXAMPLE).score_constant
    everywhere_lost = {**EXAMPLE, **runs("bowl", "sgd linear", {0.1: [math.inf, 1], 1.0: [1, math.inf]})}
    assert standing(everywhere_lost).num_cells == 2
    assert Score({}, ENTRIES, EPSILONS, FIELD).standings() == []
    only_bowl = Score(EXAMPLE, ENTRIES[:1], EPSILONS, FIELD).standings()
    assert {s.group for s in only_bowl} == {"tuning", "all"}


def big_race(rng, num_problems=30, num_seeds=5):
    entries = [entry(f"p{p}", ("tuning", "held-out")[p % 2]) for p in range(num_problems)]
    grid = (*SCORED, 10.0)
    results = {}
    for each in entries:
        for facts in (LINEAR, CONSTANT, OURS):
            for f, factor in enumerate(grid):
                level = 1.0 if facts is OURS else 1.0 + (f - 3) ** 2
                losses = level * np.exp(0.5 * rng.normal(size=num_seeds))
                results |= runs(each.name, facts.name, {factor: losses.tolist()})
    return results, entries, {each.name: 1e-3 for each in entries}


def test_the_interval_holds_the_score_and_is_reproducible(rng):
    results, entries, epsilons = big_race(rng)
    for found in Score(results, entries, epsilons, FIELD).standings():
        assert found.low < found.score < found.high < 2.0 * found.low
    first, again = (standing(results, entries=entries, epsilons=epsilons) for _ in range(2))
    assert (first.low, first.high) == (again.low, again.high)
    alone = {key: r for key, r in results.items() if key.seed == 0}
    assert math.isnan(standing(alone, entries=entries, epsilons=epsilons).low)


def test_the_interval_is_as_wide_as_scores_of_races_scatter(rng):
    scores, widths = [], []
    for _ in range(30):
        results, entries, epsilons = big_race(rng, num_problems=4)
        found = standing(results, entries=entries, epsilons=epsilons)
        scores.append(math.log(found.score))
        widths.append(math.log(found.high / found.low) / (2 * 1.96))
    # A bootstrap of 5 seeds is narrow by √(4/5); a standard deviation of 30 is known to 13 %.
    ratio = np.mean(widths) / np.std(scores, ddof=1)
    assert 0.5 < ratio < 1.5
