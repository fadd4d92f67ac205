"""A race is whole: every run is planned, made once, kept, and told of."""

from __future__ import annotations

import dataclasses
import json
import math
from functools import partial

import numpy as np
import pytest

from nalr.cli import main
from nalr_bench.parallel import Workers
from nalr_bench.race import options
from nalr_bench.race.engine import fingerprint, store
from nalr_bench.race.engine.plan import EXTREME, SCORED, TUNED, factors, plan
from nalr_bench.race.engine.race import RunFailed, race
from nalr_bench.race.engine.result import Result
from nalr_bench.race.engine.run import Start, run
from nalr_bench.race.engine.store import Store
from nalr_bench.race.methods import ablated
from nalr_bench.race.methods.averaged import AveragedSchedule
from nalr_bench.race.methods.ours import Nalr
from nalr_bench.race.methods.roster import METHODS
from nalr_bench.race.methods.schedules import Scheduled
from nalr_bench.race.problems import entry
from nalr_bench.race.problems.catalog import ENTRIES
from nalr_bench.race.tasks.catalog import TASKS

EASY, ROUGH = ENTRIES["quadratic-easy"], ENTRIES["rugged-2d-noise-3"]
LINEAR = Scheduled("sgd", "linear")
STEPS = 60
SUBSET = (
    "race",
    "--problem",
    "quadratic-easy,one-row",
    "--method",
    "nalr sgd",
    "--seeds",
    "2",
    "--steps",
    "60",
)


def start(method=LINEAR, factor=0.1, seed=0, problem=EASY, **settings):
    return Start(problem, method, factor, seed, STEPS, **settings)


def untimed(results):
    """Return results without the seconds, which no two runs share, in a form where nan is equal to nan."""
    return {key: repr(result._replace(seconds=0.0)) for key, result in results.items()}


class TestRuns:
    @pytest.mark.slow
    def test_the_same_start_gives_the_same_result(self):
        for method in (LINEAR, Nalr("sgd", horizon=False, averaged=True)):
            first, again = (run(start(method)) for _ in range(2))
            assert first._replace(seconds=0.0) == again._replace(seconds=0.0)

    def test_a_run_that_blows_up_is_a_result(self):
        result = run(start(Scheduled("sgd", "constant"), factor=1e4, problem=ROUGH))
        assert result.diverged and result.final_loss == math.inf and result.solved is False

    def test_an_offset_changes_nothing_for_a_schedule(self):
        plain, lifted = run(start()), run(start(offset=100.0))
        assert plain._replace(seconds=0.0) == lifted._replace(seconds=0.0)

    @pytest.mark.slow
    def test_one_process_and_two_agree(self):
        starts = plan([EASY, ROUGH], [LINEAR, Nalr("sgd")], [0], num_steps=STEPS)[::3]
        results = []
        for jobs in (1, 2):
            with Store(None) as kept, Workers(jobs) as workers:
                results.append(untimed(race(starts, kept, workers)))
        assert results[0] == results[1] and len(results[0]) == len(starts)

    def test_what_raises_is_named(self):
        broken = Nalr("sgd", settings=(("nonsense", 1.0),))
        with Store(None) as kept, Workers(1) as workers:
            with pytest.raises(RunFailed, match="nalr sgd on quadratic-easy, b = 0.1, seed 4: TypeError"):
                race([start(broken, seed=4)], kept, workers)


class TestPlan:
    def test_counts(self):
        everyone = [*SCORED, EXTREME]
        assert factors(Nalr("sgd"), EASY) == tuple(everyone)
        assert set(factors(LINEAR, EASY)) == {*everyone, *TUNED}
        (none,) = factors(METHODS["dog"], EASY)
        assert math.isnan(none)
        starts = plan([EASY, ROUGH], [LINEAR, Nalr("sgd"), METHODS["dog"]], range(3))
        assert len(starts) == 2 * 3 * (len({*everyone, *TUNED}) + len(everyone) + 1)
        assert len({repr(each.key) for each in starts}) == len(starts)

    def test_schedules_alone_are_not_shown_the_offset(self):
        shown = {
            each.method.name for each in plan([EASY], list(METHODS.values()), [0], offset=5.0) if each.offset
        }
        blind = {name for name, each in METHODS.items() if isinstance(each, Scheduled)}
        assert shown == set(METHODS) - blind
        assert {"sgd plateau", "nalr sgd", "dog"} <= shown


class TestStore:
    RESULT = Result(math.inf, True, None, [1, 2], [3.0, math.inf], [math.nan, 0.1], 0.5)

    def test_gives_back_what_it_was_given(self, tmp_path):
        with Store(tmp_path / "deep" / "race.sqlite") as kept:
            assert kept.get(start()) is None
            kept.put(start(), self.RESULT)
        with Store(tmp_path / "deep" / "race.sqlite") as kept:
            assert repr(kept.get(start())) == repr(self.RESULT)
            for other in (start(seed=1), start(factor=0.2), start(offset=1.0), start(problem=ROUGH)):
                assert kept.get(other) is None

    def test_a_race_that_goes_on_makes_only_what_is_missing(self, tmp_path, monkeypatch):
        made = []
        monkeypatch.setattr("nalr_bench.race.engine.race.run", lambda each: made.append(each) or self.RESULT)
        starts = plan([EASY], [LINEAR], [0], num_steps=STEPS)
        counts = []
        with Store(tmp_path / "race.sqlite") as kept, Workers(1) as workers:
            race(starts[:5], kept, workers)
            race(starts, kept, workers, counts.append)
        assert made == starts
        assert counts == [5, *[1] * (len(starts) - 5)]

    def test_other_code_makes_the_run_anew(self, tmp_path, monkeypatch):
        with Store(tmp_path / "race.sqlite") as kept:
            kept.put(start(), self.RESULT)
        monkeypatch.setattr(store, "fingerprint", lambda modules: "changed")
        with Store(tmp_path / "race.sqlite") as kept:
            assert kept.get(start()) is None

    def test_a_natural_rate_is_part_of_the_start_and_a_group_is_not(self, tmp_path):
        with Store(None) as kept:
            name = kept.name(start())
            assert kept.name(start(problem=dataclasses.replace(EASY, group="held-out"))) == name
            assert kept.name(start(problem=dataclasses.replace(EASY, natural_sgd=3.0))) != name
            assert kept.name(start(problem=dataclasses.replace(EASY, make=partial(EASY.make)))) == name
            assert kept.name(start(AveragedSchedule("sgd", "linear"))) != name


class TestFingerprint:
    PROBLEMS = "nalr_bench.race.problems"

    @pytest.fixture
    def edit(self, monkeypatch):
        """Return what edits a file in memory and tells which of the modules notice."""

        def noticed(file, change, modules):
            before = {module: fingerprint.fingerprint([module]) for module in modules}
            read_bytes = fingerprint.Path.read_bytes
            with monkeypatch.context() as patch:
                patch.setattr(
                    fingerprint.Path,
                    "read_bytes",
                    lambda path: (
                        change(read_bytes(path))
                        if path == fingerprint.ROOTS[file.split("/")[0]].parent / file
                        else read_bytes(path)
                    ),
                )
                fingerprint._read.cache_clear()
                after = {module: fingerprint.fingerprint([module]) for module in modules}
            fingerprint._read.cache_clear()
            return {module for module in modules if before[module] != after[module]}

        return noticed

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("file", "who"),
        [
            ("nalr_bench/race/problems/convolutions.py", {"convolutions"}),
            ("nalr_bench/race/problems/network.py", {"convolutions", "transformer"}),
            ("nalr_bench/race/problems/valleys.py", {"valleys"}),
            ("nalr_bench/race/problems/data_sets.py", {"learning"}),
            ("nalr_bench/race/problems/digits.py", {"learning", "convolutions"}),
            ("nalr/landscapes/noise.py", {"valleys", "learning", "schedules", "ours"}),
            ("nalr/policies/noise_adaptive/policy.py", {"ours"}),
            ("nalr/kernels/path.py", {"ours"}),
            ("nalr/statistics/averages.py", {"ours"}),
            ("nalr_bench/race/methods/ours.py", {"ours"}),
            ("nalr_bench/race/methods/movers.py", {"ours", "schedules"}),
            ("nalr_bench/race/problems/catalog.py", set()),
            ("nalr_bench/race/methods/roster.py", set()),
        ],
    )
    def test_those_notice_who_depend_on_it(self, edit, file, who):
        modules = {
            name: f"{self.PROBLEMS}.{name}" for name in ("convolutions", "transformer", "valleys", "learning")
        }
        modules |= {name: f"nalr_bench.race.methods.{name}" for name in ("ours", "schedules")}
        noticed = edit(file, lambda source: source + b"\nX = 1\n", modules.values())
        assert noticed == {modules[name] for name in who}

    def test_comments_and_docstrings_do_not_count(self, edit):
        text = b'"""Other words."""\n# and a comment\n'
        file, module = "nalr_bench/race/problems/rugged.py", f"{self.PROBLEMS}.rugged"
        assert edit(file, lambda source: text + source.split(b"\n", 1)[1], [module]) == set()


class TestCommand:
    @pytest.mark.slow
    def test_prints_a_table_of_both_groups(self, capsys, tmp_path):
        arguments = [*SUBSET, "--cache", str(tmp_path / "race.sqlite"), "--jobs", "1"]
        assert main(arguments) == 0
        out, err = capsys.readouterr()
        assert "tuning" in out and "held-out" in out and "nalr sgd" in out and "sgd linear" in out
        assert err == ""
        pictures = [tmp_path / "b.svg", tmp_path / "rates.png"]
        more = [
            "--report",
            str(tmp_path / "race.md"),
            "--plot",
            str(pictures[0]),
            "--plot-rates",
            str(pictures[1]),
        ]
        assert main([*arguments, "--json", *more]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (
            found["command"]
            == "nalr race --problem quadratic-easy,one-row --method 'nalr sgd' --seeds 2 --steps 60"
        )
        assert {s["method"] for s in found["standings"]} == {"nalr sgd", "sgd linear", "sgd constant"}
        assert all(picture.stat().st_size for picture in pictures)
        written = (tmp_path / "race.md").read_text(encoding="utf-8")
        assert found["command"] in written and str(tmp_path) not in written
        assert "| quadratic-easy |" in written and "## Worst cells" in written

    @pytest.mark.slow
    def test_quick_runs_problems_of_both_groups(self, capsys, monkeypatch):
        monkeypatch.setattr("nalr_bench.race.choice.QUICK_PROBLEMS", ("quadratic-easy", "one-row"))
        assert main(["race", "--quick", "--steps", "20", "--cache", "none", "--jobs", "1"]) == 0
        out = capsys.readouterr().out
        assert "nalr sgd anytime averaged" in out and "adamw" not in out

    @pytest.mark.slow
    def test_ablate_holds_each_rule_against_the_full_one(self, capsys, tmp_path, monkeypatch):
        monkeypatch.setattr(ablated, "ABLATIONS", {"no clip": (("clip", 1e12),)})
        base = ["race", "--ablate", "--problem", "quadratic-easy,one-row", "--seeds", "1", "--steps", "40"]
        arguments = [*base, "--cache", str(tmp_path / "race.sqlite"), "--jobs", "1"]
        assert main(arguments) == 0
        out = capsys.readouterr().out
        assert out.count("full rule") == 2 and out.count("no clip") == 1  # once more in the legend
        assert main([*arguments, "--json", "--report", str(tmp_path / "race.md")]) == 0
        records = json.loads(capsys.readouterr().out)["ablations"]
        assert [record["groups"]["all"]["ratio"] for record in records][::2] == [1.0]
        assert "ingredient" in (tmp_path / "race.md").read_text(encoding="utf-8")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (
                ["--problem", "quadratic-eazy"],
                "'quadratic-eazy' is not a problem: did you mean 'quadratic-easy'",
            ),
            (["--method", "nalr sdg"], "'nalr sdg' is not a method: did you mean 'nalr sgd'"),
            (["--optimizer", "adam"], "'adam' is not an optimizer: did you mean 'adamw'"),
            (["--group", "heldout"], "'heldout' is not a group: did you mean 'held-out'"),
            (["--problem", "%%"], "nalr race --list names all"),
            (["--seeds", "0"], "must be a whole number of at least 1, got '0'"),
            (["--offset", "nan"], "must be a finite number, got 'nan'"),
            (["--report", "race.txt"], "must end with .md, got 'race.txt'"),
            (["--plot", "nowhere/race.png"], "must be in a directory that exists"),
        ],
    )
    def test_wrong_options_are_refused_in_one_line(self, capsys, arguments, message):
        with pytest.raises(SystemExit) as refusal:
            main(["race", *arguments])
        err = capsys.readouterr().err
        assert refusal.value.code == 2 and message in err and err.count("\n") == 1

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--problem", "one-row", "--group", "tuning"], "The options leave no problem."),
            (["--method", "dog", "--optimizer", "adamw"], "The options leave no method."),
            (["--ablate", "--method", "dog"], "--ablate chooses the methods itself: leave out --method."),
            (["--rates-problem", "drift", "--problem", "jump"], "--rates-problem drift is not raced."),
        ],
    )
    def test_options_that_leave_nothing_are_refused(self, capsys, arguments, message):
        assert main(["race", *arguments, "--cache", "none"]) == 2
        assert capsys.readouterr().err == f"nalr race: {message}\n"

    def test_methods_that_are_not_installed_are_named(self, capsys, monkeypatch):
        monkeypatch.setattr(
            "nalr_bench.race.choice.missing", lambda method: "dog-optimizer" if method.name == "dog" else None
        )
        monkeypatch.setattr(
            "nalr_bench.race.main.race", lambda starts, *_: {each.key: run(each) for each in starts}
        )
        arguments = ["--method", "dog,nalr sgd", "--problem", "one-row", "--seeds", "1", "--steps", "20"]
        assert main(["race", *arguments, "--cache", "none"]) == 0
        assert capsys.readouterr().err == "Left out: dog: needs the package dog-optimizer.\n"

    def test_an_interrupted_race_says_how_to_go_on(self, capsys, monkeypatch, tmp_path):
        def interrupted(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr("nalr_bench.race.main.race", interrupted)
        assert main([*SUBSET, "--cache", str(tmp_path / "race.sqlite")]) == 130
        err = capsys.readouterr().err
        assert "run the same command again to go on" in err and err.endswith("Interrupted.\n")

    def test_a_cache_that_is_none_is_said(self, capsys, tmp_path):
        (tmp_path / "race.sqlite").write_text("not a database, but long enough to be looked at as one" * 20)
        assert main([*SUBSET, "--cache", str(tmp_path / "race.sqlite")]) == 2
        assert "results cannot be kept in" in capsys.readouterr().err

    def test_the_hash_is_of_our_rates_and_of_nothing_else(self, capsys):
        def hash_of(*words):
            assert main([*SUBSET, "--hash", "--cache", "none", "--jobs", "1", *words]) == 0
            return capsys.readouterr().out.strip()

        found = hash_of()
        assert len(found) == 64 and hash_of() == found == hash_of("--method", "sgd linear,dog")
        assert json.loads(hash_of("--json"))["hash"] == found
        assert hash_of("--offset", "1000000") != found and hash_of("--steps", "61") != found

    def test_list_names_everything(self, capsys):
        assert main(["race", "--list"]) == 0
        out = capsys.readouterr().out
        assert all(name in out for name in (*ENTRIES, *TASKS, *METHODS))

    def test_sets_stand_for_their_methods(self):
        names = options.methods("ours,peers,schedules,published")
        assert set(names) == set(METHODS) and len(names) == len(METHODS)

    def test_the_options_know_the_groups_and_optimizers(self):
        assert (*entry.GROUPS, "all") == options.GROUPS
        assert entry.OPTIMIZERS == options.OPTIMIZERS
        assert options.RATES_PROBLEM in ENTRIES


@pytest.mark.parametrize("rule", ablated.ablated(["sgd"]), ids=lambda rule: rule.name)
def test_every_ablation_is_a_rule_that_runs(rule):
    assert np.isfinite(run(start(rule)).rates).all()
