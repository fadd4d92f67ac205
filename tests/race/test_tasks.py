"""Tasks are ordinary training loops: repeatable, stored, compared and judged from what was run."""

from __future__ import annotations

import json
import math
from importlib.util import find_spec

import pytest
import torch
from torch.nn.functional import cross_entropy

from nalr.cli import main
from nalr_bench.parallel import Workers
from nalr_bench.race.engine import store
from nalr_bench.race.engine.fingerprint import fingerprint
from nalr_bench.race.engine.plan import SCORED, factors
from nalr_bench.race.engine.race import RunFailed, race
from nalr_bench.race.engine.result import Key, Result
from nalr_bench.race.engine.run import Start, run
from nalr_bench.race.engine.store import Store
from nalr_bench.race.engine.training import evaluate, train
from nalr_bench.race.methods import roster
from nalr_bench.race.methods.method import TASK
from nalr_bench.race.methods.ours import Nalr
from nalr_bench.race.methods.schedules import Scheduled
from nalr_bench.race.problems.catalog import ENTRIES
from nalr_bench.race.problems.letters import text
from nalr_bench.race.reports.tasks import render, rows_of
from nalr_bench.race.scoring.tables import tables_of
from nalr_bench.race.scoring.verdict import verdicts
from nalr_bench.race.tasks.catalog import TASKS
from nalr_bench.race.tasks.convolutions import ConvNet
from nalr_bench.race.tasks.transformer import CharTransformer

METHODS = {name: method for name, method in roster.METHODS.items() if TASK in method.kinds}
LETTERS = CharTransformer(width=8, context=8, heads=2, layers=1, batch_size=4)
DIGITS = ConvNet(channels=2, batch_size=8)
LINEAR = Scheduled("adamw", "linear")
STEPS = 10


def start(method=LINEAR, lr=1e-2, seed=0, task=LETTERS, num_steps=STEPS, offset=0.0):
    factor = lr / task.natural(method.optimizer) if method.takes_rate else math.nan
    return Start(task, method, factor, seed, num_steps, offset)


def untimed(result):
    """Return a result without its seconds, in a form where nan is equal to nan."""
    return repr(result._replace(seconds=0.0))


def result(loss, held_out=None):
    diverged = math.isinf(loss)
    return Result(loss, diverged, None, [1], [loss], [0.1], 0.0, loss if held_out is None else held_out, loss)


class TestRuns:
    @pytest.mark.slow
    @pytest.mark.parametrize("task", [LETTERS, DIGITS], ids=lambda task: task.name)
    @pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
    def test_the_same_start_gives_the_same_result(self, method, task):
        first, again = (train(start(method, task=task)) for _ in range(2))
        assert untimed(first) == untimed(again)
        assert first.steps[-1] == STEPS and not first.diverged

    def test_another_seed_gives_another_result(self):
        for task in (LETTERS, DIGITS):
            first, other = (train(start(task=task, seed=seed)) for seed in range(2))
            assert first.losses[0] != other.losses[0] and first.final_loss != other.final_loss

    def test_it_is_the_loop_that_one_would_write(self):
        torch.manual_seed(3)
        model = LETTERS.model()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for _, (inputs, targets) in zip(range(STEPS), LETTERS.minibatches(3), strict=False):
            optimizer.zero_grad()
            cross_entropy(model(inputs).flatten(0, 1), targets.flatten()).backward()
            optimizer.step()
        found = train(start(Scheduled("momentum", "constant"), lr=0.1, seed=3))
        assert found.final_loss == evaluate(model, LETTERS.training_set())  # 5 % of 10 steps: the last
        assert found.held_out == evaluate(model, LETTERS.held_out())

    def test_training_lowers_both_losses(self):
        before = evaluate(LETTERS.model(), LETTERS.held_out())
        found = train(start(num_steps=100))
        assert found.final_loss < before - 0.5 and found.held_out < before - 0.5
        assert found.training == pytest.approx(found.final_loss, abs=0.5)

    def test_a_run_that_blows_up_is_a_result(self):
        found = train(start(Scheduled("momentum", "constant"), lr=1e6))
        assert found.diverged and found.final_loss == found.held_out == math.inf

    def test_an_offset_is_shown_to_methods_and_not_judged(self):
        plain, lifted = (train(start(offset=offset)) for offset in (0.0, 100.0))
        assert untimed(plain) == untimed(lifted)  # a schedule never looks at the loss

    def test_each_kind_of_entry_has_its_own_loop(self):
        with pytest.raises(TypeError, match="must be on a problem, got the task 'transformer'"):
            run(start())
        with pytest.raises(TypeError, match="must be on a task, got the problem 'one-row'"):
            train(Start(ENTRIES["one-row"], LINEAR, 0.1, 0, STEPS))

    def test_microbatches_leave_the_gradient_and_the_loss_of_the_whole(self):
        first, other = (train(start(Nalr("momentum", microbatches=k), num_steps=1)) for k in (1, 2))
        assert first.losses == pytest.approx(other.losses, rel=1e-6)
        assert first.final_loss == pytest.approx(other.final_loss, rel=1e-3)

    def test_a_look_at_the_average_changes_nothing(self):
        model = LETTERS.model()
        training = METHODS["schedule-free adamw given lr"].begin_training(model, 1e-2, STEPS)
        for samples, _ in zip(LETTERS.minibatches(0), range(3), strict=False):
            loss = cross_entropy(model(samples.inputs).flatten(0, 1), samples.targets.flatten())
            loss.backward()
            training.step(loss.detach())
        before = [p.detach().clone() for p in model.parameters()]
        with training.judged() as judged:
            assert any(not torch.equal(p, b) for p, b in zip(judged.parameters(), before, strict=True))
        assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))

    def test_the_callers_random_numbers_are_left_alone(self):
        torch.manual_seed(5)
        expected = torch.rand(3)
        torch.manual_seed(5)
        train(start(num_steps=2))
        assert torch.equal(torch.rand(3), expected)

    def test_held_out_text_is_never_trained_on(self):
        training, held_out = ("".join(map(chr, part + 31)) for part in text())
        assert held_out[-200:] not in training and 0.09 < len(held_out) / len(training) < 0.13


class TestKeeping:
    def test_what_was_run_is_not_run_again(self, tmp_path):
        starts = [start(seed=seed) for seed in range(2)]
        with Store(tmp_path / "race.sqlite") as kept:
            first = race(starts[:1], kept, Workers(1))
        counts = []
        with Store(tmp_path / "race.sqlite") as kept:
            both = race(starts, kept, Workers(1), counts.append)
        assert counts == [1, 1]  # one at once from the file, one made
        assert both[starts[0].key] == first[starts[0].key]  # its seconds too

    def test_only_our_runs_are_made_again_when_nalr_changes(self):
        def depends(name, on):
            modules = [store.TRAIN, f"nalr_bench.race.methods.{name}"]
            return fingerprint(modules) == fingerprint([*modules, on])

        for part in ("nalr.torch", "nalr.controller", "nalr.policies.noise_adaptive.policy"):
            assert depends("ours", part)
            assert not depends("schedules", part) and not depends("peers", part)

    def test_every_setting_counts(self):
        names = [
            Store(None).name(each)
            for each in (
                start(),
                start(lr=2e-2),
                start(seed=1),
                start(num_steps=11),
                start(task=CharTransformer(width=16)),
                start(Scheduled("adamw", "cosine")),
            )
        ]
        assert len(set(names)) == len(names)

    def test_a_failure_names_the_run(self):
        class Broken(Scheduled):
            def begin_training(self, model, base_lr, num_steps):
                raise KeyError("nothing")

        with pytest.raises(RunFailed, match=r"adamw linear on transformer, b = 0.1, seed 0: KeyError"):
            race([start(Broken("adamw", "linear"))], Store(None), Workers(1))


def example(outer=1.0, momentum=True):
    """Return runs on the transformer: hand-tuned linear is at 2 (1 · 4), ours at 2 · `outer` at the ends."""
    found = {}
    for optimizer in ("adamw", "momentum") if momentum else ("adamw",):
        linear, ours = METHODS[f"{optimizer} linear"], METHODS[f"nalr {optimizer}"]
        grid = factors(linear, TASKS["transformer"])
        for b in grid:
            losses = (1.0, 4.0) if b == grid[4] else (5.0, math.inf) if b == grid[10] else (8.0, 8.0)
            found |= {Key("transformer", linear.name, b, s): result(x, 2 * x) for s, x in enumerate(losses)}
        for b in SCORED:
            level = 2.0 * (outer if b in (SCORED[0], SCORED[-1]) else 0.5)
            found |= {Key("transformer", ours.name, b, s): result(level) for s in range(2)}
    return found


def tables(results):
    methods = [METHODS[name] for name in dict.fromkeys(key.method for key in results)]
    return tables_of(results, [TASKS["transformer"]], methods)


class TestScores:
    def test_cells_are_ratios_to_the_best_linear_decay(self):
        heading, ours, linear = rows_of(tables(example())[0])
        assert heading == ("adamw, transformer", "tuned", "1e-05", "0.0001", "0.001", "0.01", "0.1")
        assert ours == ("nalr adamw", "-", "1.00", "0.50", "0.50", "0.50", "1.00")
        assert linear == ("adamw linear", "1.00 (0.001)", "4.00", "4.00", "1.00", "4.00", "diverged 1/2")

    def test_held_out_losses_are_compared_at_the_same_rate(self):
        _, ours, linear = rows_of(tables(example())[0], held_out=True)
        assert ours[2:4] == ("0.50", "0.25") and linear[1] == "1.00 (0.001)"

    def test_a_method_without_a_rate_has_the_same_cell_everywhere(self):
        runs = {
            **example(),
            **{Key("transformer", "dog momentum", math.nan, s): result(3.0) for s in range(2)},
        }
        row = rows_of(tables(runs)[1])[-1]
        assert row == ("dog momentum", "-", *["1.50"] * 5)

    def test_a_best_rate_at_the_edge_is_reported(self):
        assert "edge" not in render(tables(example()))
        lowest = Key("transformer", "adamw linear", 1e-4, 0)
        assert "edge of the rates that were tried: adamw linear on the transformer (1e-05)." in render(
            tables({**example(), lowest: result(0.01)})
        )

    @pytest.mark.parametrize(
        ("outer", "momentum", "met", "word"),
        [
            (1.099, True, True, "adamw 1e-05: 1.10, adamw 0.1: 1.10, momentum 0.0001: 1.10"),
            (1.2, True, False, "momentum 1: 1.20. Target: at most 1.1 in each, none diverged: missed."),
            (math.inf, True, False, "momentum 1: diverged. Target"),
            (1.0, False, None, "momentum: not run. Target: at most 1.1 in each, none diverged: not judged."),
        ],
    )
    def test_the_verdict_follows_from_the_runs(self, outer, momentum, met, word):
        (verdict,) = verdicts(tables(example(outer, momentum)))
        assert verdict.method == "nalr" and verdict.met is met and word in str(verdict)

    def test_without_the_transformer_there_is_no_verdict(self):
        assert list(verdicts([])) == []


class TestCommand:
    @pytest.fixture
    def small(self, monkeypatch):
        monkeypatch.setitem(TASKS, "transformer", LETTERS)
        monkeypatch.setitem(TASKS, "conv-net", DIGITS)

    @pytest.mark.slow
    def test_it_prints_tables_and_a_verdict_and_writes_files(self, small, tmp_path, capsys):
        report, plot = tmp_path / "real.md", tmp_path / "real.png"
        words = ["race", "--task", "all", "--steps", "4", "--seeds", "1", "--jobs", "1"]
        words += ["--method", "nalr adamw,momentum linear,dog momentum"]
        words += ["--cache", str(tmp_path / "kept"), "--report", str(report), "--plot", str(plot)]
        assert main(words) == 0
        out = capsys.readouterr().out
        assert "adamw, transformer" in out and "momentum, conv-net" in out and "adamw linear" in out
        assert "momentum: not run. Target: at most 1.1" in out
        assert plot.stat().st_size > 10_000
        written = report.read_text()
        made_by = "nalr race --task transformer,conv-net --method 'nalr adamw,momentum linear,dog momentum' "
        assert f"Made by `{made_by}--seeds 1 --steps 4`: 2 tasks, 4 methods" in written
        assert written.count("| nalr adamw |") == 4  # two tasks, final and held-out loss

    def test_json_is_strict_and_nothing_else(self, small, capsys):
        words = ["race", "--quick", "--steps", "2", "--task", "conv-net", "--optimizer", "momentum"]
        assert main([*words, "--jobs", "1", "--cache", "none", "--json"]) == 0
        found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
        rows = found["tables"][0]["rows"]
        assert [row["method"] for row in rows] == [
            "nalr momentum",
            "nalr momentum microbatches",
            "nalr momentum anytime",
            "momentum linear",
        ]
        assert found["command"].endswith("--task conv-net --optimizer momentum --steps 2 --quick")

    def test_a_missing_peer_is_one_sentence(self, small, monkeypatch, capsys):
        monkeypatch.setattr(roster, "find_spec", lambda name: None if name == "momo" else find_spec(name))
        assert roster.missing(METHODS["momo given lr"]) == "momo-opt"
        words = [
            "race",
            "--method",
            "momo given lr,nalr momentum",
            "--task",
            "conv-net",
            "--steps",
            "2",
        ]
        assert main([*words, "--seeds", "1", "--jobs", "1", "--cache", "none"]) == 0
        out, said = capsys.readouterr()
        assert "Left out: momo given lr: needs the package momo-opt.\n" in said and "\nmomo " not in out
        assert main(["race", "--task", "all", "--method", "momo given lr"]) == 2
        assert (
            "The options leave no method; momo given lr: needs the package momo-opt."
            in capsys.readouterr().err
        )

    def test_problems_and_tasks_go_together(self, small, tmp_path, capsys):
        words = ["race", "--task", "transformer", "--problem", "transformer", "--method", "nalr adamw"]
        words += ["--seeds", "1", "--steps", "2", "--jobs", "1", "--cache", "none", "--json"]
        report = tmp_path / "both.md"
        assert main([*words, "--report", str(report)]) == 0
        found = json.loads(capsys.readouterr().out)
        assert {s["method"] for s in found["standings"]} == {"nalr adamw", "adamw linear", "adamw constant"}
        assert [row["method"] for row in found["tables"][0]["rows"]] == ["nalr adamw", "adamw linear"]
        written = report.read_text()
        assert "# A race of learning rates" in written and "# A race on networks in PyTorch" in written

    def test_a_race_goes_on_where_it_was_stopped(self, small, tmp_path, monkeypatch, capsys):
        words = ["race", "--task", "conv-net", "--method", "nalr momentum", "--seeds", "1", "--steps", "2"]
        words += ["--jobs", "1", "--cache", str(tmp_path / "kept")]
        made = []

        def stopped(task_start):
            if len(made) == 3:
                raise KeyboardInterrupt
            made.append(task_start.key)
            return train(task_start)

        monkeypatch.setattr("nalr_bench.race.engine.race.train", stopped)
        assert main(words) == 130
        assert "run the same command again to go on" in capsys.readouterr().err
        monkeypatch.setattr("nalr_bench.race.engine.race.train", lambda s: made.append(s.key) or train(s))
        assert main(words) == 0
        assert len(made) == len(set(made)) == 5 + 14  # ours and the linear decay, no run made twice

    def test_unknown_names_are_refused_with_the_nearest(self, capsys):
        with pytest.raises(SystemExit):
            main(["race", "--task", "transfomer"])
        assert "'transfomer' is not a task: did you mean 'transformer'" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--ablate"], "--ablate compares rules on problems: leave out --task."),
            (["--plot-rates", "rates.png"], "--plot-rates draws runs on a problem: name --problem."),
            (
                ["--problem", "one-row", "--plot", "b.png"],
                "--plot draws problems or tasks: leave out --problem or",
            ),
            (["--optimizer", "sgd"], "The options leave no method."),
        ],
    )
    def test_options_that_do_not_go_with_tasks_are_refused(self, capsys, words, message):
        assert main(["race", "--task", "all", *words]) == 2
        assert message in capsys.readouterr().err


def test_schedules_are_tuned_beyond_the_base_rates_and_over_them():
    task = TASKS["transformer"]
    for optimizer in task.natural_rates:
        grid = factors(METHODS[f"{optimizer} cosine"], task)
        assert set(SCORED) < set(grid) and list(grid) == sorted(grid) and grid[-1] == 10 * SCORED[-1]
    assert (
        math.isnan(*factors(METHODS["dog momentum"], task)) and factors(METHODS["nalr adamw"], task) == SCORED
    )


def test_base_rates_have_three_digits():
    rates = [TASKS["conv-net"].base_lr("adamw", b) for b in factors(LINEAR, TASKS["conv-net"])]
    assert rates[:5] == [1e-05, 0.0001, 0.000215, 0.000464, 0.001] and rates[-1] == 1.0
