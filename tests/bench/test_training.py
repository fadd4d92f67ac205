"""`nalr bench training`: answers are asserted before the clock starts, and ratios are paired by round."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from nalr.cli import main
from nalr_bench import machine
from nalr_bench.measure import Effort, interleave
from nalr_bench.report import Report
from nalr_bench.training import main as command
from nalr_bench.training import oracles, peers, samples, steps
from nalr_bench.training.memory import memory
from nalr_bench.training.plan import Sizes, plan
from nalr_bench.training.report import render
from nalr_bench.training.study import PLAIN, Beats, Job, Result, Study, Variant
from nalr_bench.workload import Fact, WrongAnswer

torch = pytest.importorskip("torch")

NAN = math.nan
SMALL = Sizes(widths=(12, 16, 5), batch=8, letters=11, context=6, width=8, num_layers=1, texts=4)
BRIEF = Effort(rounds=3, block=1e-4, budget=1.0)


@pytest.fixture
def setup():
    return plan(sizes=SMALL).memory


@pytest.fixture
def little(monkeypatch):
    """Small models, and little memory to read for the bandwidth."""
    monkeypatch.setattr(machine, "READ", 1 << 20)
    monkeypatch.setattr(command, "plan", lambda quick, only: plan(quick, only, SMALL))
    monkeypatch.setattr(command, "QUICK", BRIEF)


def result(variants, rounds):
    return Result(Study("mlp", "an MLP", lambda: Job([])), variants, rounds)


# -- the command, end to end --------------------------------------------------------------------------


@pytest.mark.slow
def test_json_is_all_that_is_printed_with_json(capsys, little):
    assert main(["bench", "training", "--quick", "--json", "--threads", "1"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err == ""
    assert [row["study"] for row in found["results"]] == ["mlp", "accumulation", "transformer", "samples"]
    assert [fact["group"] for fact in found["facts"]] == ["memory"] * 2 + ["sampling"] * 3
    for row in found["results"]:
        assert row["variants"][PLAIN]["ratio"]["median"] == 1.0
    assert found["wrong"] == []


@pytest.mark.slow
def test_a_table_is_printed(capsys, little):
    assert main(["bench", "training", "--only", "accumulation,memory", "--quick", "--threads", "1"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "the same MLP, batch 8, AdamW, in 2 backwards" in out
    assert "noise='auto'" in out and "held by the controller" in out
    assert "transformer" not in out


def test_options_before_the_part_count_for_it(capsys, little):
    assert main(["bench", "--json", "--quick", "training", "--only", "memory", "--threads", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["results"] == []


@pytest.mark.parametrize("option", [("--size", "10"), ("--only", "batch"), ("--plot", "x.svg")])
def test_options_of_the_kernels_are_refused(capsys, option):
    assert main(["bench", *option, "training"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--only", "fly"), "argument --only: must be one of mlp, accumulation,"),
        (("--rounds", "0"), "argument --rounds: must be a whole number of at least 1, got '0'"),
        (("--loud",), "unrecognized arguments: --loud"),
    ],
)
def test_wrong_options_are_refused_in_one_line(capsys, arguments, message):
    with pytest.raises(SystemExit) as refusal:
        main(["bench", "training", *arguments])
    out, err = capsys.readouterr()
    assert (refusal.value.code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_without_torch_the_extra_is_named(capsys, monkeypatch):
    monkeypatch.setattr(machine, "installed", lambda name: None)
    assert main(["bench", "training"]) == 2
    assert capsys.readouterr().err == 'nalr bench training needs torch: pip install "nalr[torch]".\n'


@pytest.mark.parametrize("json_too", [[], ["--json"]])
def test_a_wrong_answer_ends_with_1_and_is_named(capsys, little, monkeypatch, json_too):
    right = oracles.total_variance
    monkeypatch.setattr(samples, "total_variance", lambda run, batch: 1.01 * right(run, batch))
    assert main(["bench", "training", "--quick", "--only", "samples", "--threads", "1", *json_too]) == 1
    out, err = capsys.readouterr()
    assert "WRONG ANSWER: tr Σ beside forward and backward, MLP 12-16-5: tr Σ by norms" in (
        err if json_too else out
    )


# -- answers ------------------------------------------------------------------------------------------


def test_the_slow_total_variance_is_that_of_numpy(setup):
    run, (inputs, targets) = setup.fresh(), setup.batches[0]
    rows = [oracles.gradient(run, (inputs[i : i + 1], targets[i : i + 1])).numpy() for i in range(8)]
    expected = np.var(rows, axis=0, ddof=1).sum()
    assert oracles.total_variance(run, setup.batches[0]) == pytest.approx(expected, rel=1e-6)
    pair = oracles.pair_variance(torch.from_numpy(rows[0]), torch.from_numpy(rows[1]))
    assert pair == pytest.approx(np.var(rows[:2], axis=0, ddof=1).sum())


def test_runs_begin_alike_and_plain_steps_lead_to_one_place(setup):
    first, second = setup.fresh(), setup.fresh()
    assert steps.distance(first, second) == 0.0
    for run in (first, second):
        steps.plain(run)()
    steps.same_way(setup, first, 1)
    with pytest.raises(WrongAnswer, match="parameters are off by"):
        steps.same_way(setup, first, 2)


def test_steps_at_another_rate_are_a_wrong_answer(setup):
    run = setup.fresh()
    run.optimizer.param_groups[0]["lr"] *= 1.01
    steps.plain(run)()
    with pytest.raises(WrongAnswer, match="parameters are off by"):
        steps.same_way(setup, run, 1)


def test_noise_of_another_source_is_a_wrong_answer(setup):
    with pytest.raises(WrongAnswer, match="noise comes from steps, not from samples"):
        steps.scheduled(setup.fresh(), source="samples")


def test_two_backwards_make_the_gradient_of_one(setup):
    one, two = setup.fresh(), setup.fresh()
    losses = float(steps.once(one).detach()), float(steps.twice(two))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_every_sample_at_once_says_the_same(setup):
    expected = oracles.total_variance(setup.fresh(), setup.batches[0])
    for variance in (samples.by_norms(setup.fresh()), samples.by_vmap(setup.fresh())):
        assert variance() == pytest.approx(expected, rel=samples.ROUNDING)


def test_gradients_of_every_sample_are_left_out_where_memory_is_short(setup, monkeypatch):
    monkeypatch.setattr(samples, "available_memory", lambda: 1000)
    job = samples.samples(setup)
    assert [each.name for each in job.variants] == [PLAIN, samples.GHOST]
    assert job.left_out == ["vmap(grad): would take more than half of the memory that is free"]


def test_memory_counts_copies_of_the_parameters(setup):
    controller, alone = memory(setup)
    assert 3.9 < controller.value < 4.5  # of a small model all is read: four values each
    assert alone.value == 0.0


# -- peers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("package", "make"),
    [
        ("fairscale", peers.adascale),
        ("backpack", peers.backpack_variance),
        ("adaptdl.torch.gradient_noise_scale", peers.adaptdl),
        ("cockpit", lambda setup: peers.cockpit(setup, 2)),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_peer_says_what_is_right(setup, package, make):
    pytest.importorskip(package, exc_type=ImportError)
    step = peers.attempt(package, make, setup)
    assert callable(step), step
    step()
    step()


def test_a_peer_that_cannot_run_is_left_out_with_the_reason(setup, monkeypatch):
    def refuse(error):
        def load(name):
            raise error

        return load

    monkeypatch.setattr(peers, "_load", refuse(ImportError("No module named 'fairscale'")))
    (left_out,) = plan(only=["accumulation"], sizes=SMALL).studies[0].prepare().left_out
    assert left_out == "fairscale AdaScale: cannot be imported (No module named 'fairscale')"
    monkeypatch.setattr(peers, "_load", refuse(AttributeError("no `old_name`\nhere")))
    (left_out,) = plan(only=["accumulation"], sizes=SMALL).studies[0].prepare().left_out
    assert left_out == "fairscale AdaScale: does not run with this torch (AttributeError: no `old_name`)"


def test_a_peer_that_is_wrong_is_named(setup):
    def wrong(setup):
        raise WrongAnswer("tr Σ is 2")

    with pytest.raises(WrongAnswer, match=r"Peer: tr Σ is 2"):
        peers.attempt("Peer", wrong, setup)


# -- timing -------------------------------------------------------------------------------------------


def test_each_round_times_each_variant_after_a_step_of_its_own():
    made = []
    calls = {name: lambda name=name: made.append(name) for name in "abc"}
    seconds = interleave(calls, Effort(rounds=4, block=0.0, budget=1.0))
    assert all(len(times) == 4 and not np.isnan(times).any() for times in seconds.values())
    assert made[:6] == list("aabbcc")  # trials
    blocks = [made[k : k + 6] for k in range(6, len(made), 6)]
    assert len(blocks) == 4
    for block in blocks:
        assert sorted(block[::2]) == list("abc") and block[::2] == block[1::2]
    assert len({tuple(block) for block in blocks}) > 1


def test_steps_of_a_period_are_timed_together_and_dear_ones_sit_rounds_out():
    made = []
    calls, periods = {"rare": lambda: made.append(1)}, {"rare": 8}
    interleave(calls, Effort(rounds=1, block=0.0, budget=1.0), periods)
    assert len(made) == (1 + 8) + (1 + 8)
    seconds = interleave(calls, Effort(rounds=9, block=0.0, budget=0.0), periods)
    assert [math.isnan(x) for x in seconds["rare"]] == [False] * 3 + [True] * 6


def test_ratios_are_of_the_same_round():
    found = result([], {PLAIN: [1.0, 10.0, 100.0, 1.0], "ours": [2.0, 20.0, 200.0, NAN]})
    assert found.ratio("ours") == (2.0, 2.0, 2.0)
    assert found.seconds("ours") == 20.0
    single = result([], {PLAIN: [1.0], "ours": [1.5]})
    assert single.ratio("ours") == (1.5, 1.5, 1.5)


def test_figures_are_a_limit_for_ours_and_a_distance_for_rivals():
    ours, shown = Variant("ours", print, most=1.25), Variant("shown", print)
    rival = Variant("rival", print, beaten=Beats("ours", 4.0))
    orphan = Variant("orphan", print, beaten=Beats("nobody"))
    rounds = {PLAIN: [1.0], "ours": [1.5], "shown": [9.0], "rival": [3.0], "orphan": [1.0]}
    found = result([ours, shown, rival, orphan], rounds)
    assert found.miss(ours) == pytest.approx(0.2)
    assert found.miss(rival) == pytest.approx(0.5)
    assert found.miss(shown) is None and found.miss(orphan) is None
    text = render(
        Report(
            {"cpu": "A", "threads": 2, "versions": {}, "bandwidth": {"1": 9.0}},
            [found],
            [Fact("memory", "held", 3, "c", 2)],
            [],
            ["x"],
        )
    )
    assert "over by 20.0%" in text and "short by 50.0%" in text and "over by 50%" in text
    assert text.endswith("Left out:\n  x\n\n0 of 3 figures are reached.")
