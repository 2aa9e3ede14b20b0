"""Where stored runs are found, and how calibrations and plans are told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from log_samples import finish, manifest, result, write

from pytest_promptune.cli import main
from pytest_promptune.core.baseline import Baseline, BaselineMetric, Recorded
from pytest_promptune.core.errors import BaselineError, SettingsError, StoreError
from pytest_promptune.core.scoring import Score
from pytest_promptune.core.stats.calibration import FalseAlarms, power_of
from pytest_promptune.core.stats.interval import clopper_pearson
from pytest_promptune.core.stats.model import VarianceComponents
from pytest_promptune.core.stats.sizing import Size
from pytest_promptune.core.view import MetricName
from pytest_promptune.sizing.calibrating import (
    DROPS,
    Behaviour,
    Calibration,
    Questions,
    as_stored,
    calibrate,
)
from pytest_promptune.sizing.planning import Goals, Need, RunsPlan, plan_runs
from pytest_promptune.sizing.sources import Asked, Pool, StoredMetric, find
from pytest_promptune.sizing.telling import calibration_lines, plan_lines, sentence
from pytest_promptune.store.baselines import baseline_path, write_baseline
from pytest_promptune.store.log import Location

QUESTIONS = Questions(splits=20, seed=0, alpha=0.05, scope="suite")
GOALS = Goals(differences=[], power=0.8, alpha=0.05, variants=1)
NAME = MetricName(
    metric="test_a", test="test_m.py::test_a", module="test_m.py", app="", kind="binary", direction="higher"
)


def record(root: Path, module: str = "test_m.py", *, name: str = "main", runs: int = 4) -> Path:
    """A baseline with an assertion, a score, and what the app used."""
    kinds = {
        "test_a": "binary",
        "test_a::words": "score",
        "bot::latency_s": "latency",
        "bot::cost_usd": "cost",
    }
    values = {
        "test_a": [1.0, 0.0] * runs,
        "test_a::words": [3.0, 5.0] * runs,
        "bot::latency_s": [0.4, 0.5] * runs,
        "bot::cost_usd": [0.01, 0.01] * runs,
    }
    path = baseline_path(root, module, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    (root / module).parent.mkdir(parents=True, exist_ok=True)
    (root / module).touch()
    write_baseline(
        path,
        Baseline(
            recorded=Recorded(at="2026-01-01T00:00:00Z", commit=None, dirty=None, runs=runs, promptune="0.1"),
            cases={"c0": "sha256:0", "c1": "sha256:1"},
            metrics={
                metric: BaselineMetric(direction="higher", unit=None, kind=kind)
                for metric, kind in kinds.items()
            },
            scores={metric: {"c0": runs_[:runs], "c1": runs_[:runs]} for metric, runs_ in values.items()},
        ),
    )
    return path


def found(root: Path, *paths: str, **asked: object) -> list[str]:
    pool = find(Asked(root=root, paths=paths, **asked))
    return [f"{metric.name.module}::{metric.name.metric}" for metric in pool.metrics]


# --- baselines ------------------------------------------------------------------------------------------


def test_all_baselines_below_the_root(tmp_path):
    """Gated metrics of every module; neither other names nor folders that aren't the project's."""
    record(tmp_path)
    record(tmp_path, "deep/down/test_n.py")
    record(tmp_path, "test_other.py", name="old")
    for folder in (".hidden", "node_modules", "venv"):
        record(tmp_path, f"{folder}/test_no.py")
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    assert found(tmp_path) == [
        "test_m.py::test_a",
        "test_m.py::test_a::words",
        "deep/down/test_n.py::test_a",
        "deep/down/test_n.py::test_a::words",
    ]
    assert found(tmp_path, against="old") == ["test_other.py::test_a", "test_other.py::test_a::words"]


def test_paths_name_files_modules_and_folders(tmp_path):
    """A baseline file, the test module beside it, and a folder mean the same runs, each counted once."""
    path = record(tmp_path, "tests/test_m.py")
    record(tmp_path, "test_x.py")
    both = ["tests/test_m.py::test_a", "tests/test_m.py::test_a::words"]
    for text in (path.relative_to(tmp_path).as_posix(), "tests/test_m.py", "tests", str(path)):
        assert found(tmp_path, text) == both
    assert found(tmp_path, "tests", "tests/test_m.py") == both


def test_only_the_metrics_that_are_named(tmp_path):
    """By full name or last part; time and money only so."""
    record(tmp_path)
    assert found(tmp_path, metrics=["latency_s"]) == ["test_m.py::bot::latency_s"]
    assert found(tmp_path, metrics=["test_a::words"]) == ["test_m.py::test_a::words"]
    with pytest.raises(SettingsError, match=r"'wrods' is not in .*test_m.main.json. Valid: .*test_a::words"):
        found(tmp_path, metrics=["wrods"])


@pytest.mark.parametrize(
    ("paths", "more", "error", "says"),
    [
        (
            [],
            {},
            BaselineError,
            "No baseline named main in .* pytest --promptune-baseline --promptune-runs=10",
        ),
        ([], {"against": "v2"}, BaselineError, "--promptune-against=v2"),
        (["nowhere"], {}, SettingsError, "nowhere: no baseline file, test module or folder"),
        ([], {"variant": "polite"}, SettingsError, "--variant and --store are for --experiment"),
        ([], {"store": "sqlite:///x.db"}, SettingsError, "--variant and --store are for --experiment"),
        (["a"], {"experiment": "last"}, SettingsError, "--experiment and a contradict each other"),
        ([], {"experiment": "last"}, StoreError, "there is no experiment log. Run pytest first"),
        ([], {"experiment": "last", "store": ""}, SettingsError, "--store: is empty"),
    ],
)
def test_what_is_not_there_is_said(tmp_path, paths, more, error, says):
    with pytest.raises(error, match=says):
        find(Asked(root=tmp_path, paths=paths, **more))


def test_a_module_without_a_baseline_has_none(tmp_path):
    (tmp_path / "test_m.py").touch()
    with pytest.raises(BaselineError, match=r"No baseline named main in test_m\.py"):
        find(Asked(root=tmp_path, paths=["test_m.py"]))


def test_a_baseline_of_time_and_money_alone_has_no_gated_metric(tmp_path):
    """It says how to name one."""
    path = record(tmp_path)
    data = json.loads(path.read_text())
    for table in ("metrics", "scores"):
        data[table] = {"bot::latency_s": data[table]["bot::latency_s"]}
    path.write_text(json.dumps(data))
    with pytest.raises(BaselineError, match=r"has no gated metric. Name one with --metric"):
        find(Asked(root=tmp_path))


# --- experiments ----------------------------------------------------------------------------------------


@pytest.fixture
def log(tmp_path) -> Path:
    """An experiment with two variants of two cases and three runs."""
    location = Location(path=tmp_path / ".promptune" / "promptune.db", is_default=True)
    location.make_folder()
    writer = write(location)
    for variant, outcome in (("current", "passed"), ("polite", "missed")):
        for case in ("c0", "c1"):
            for run in (1, 2, 3):
                writer.result(
                    result(
                        case,
                        run,
                        variant=variant,
                        outcome=outcome,
                        gate=None,
                        scores={"words": Score(value=float(run), kind="score")},
                        classification=None,
                        sample=None,
                    )
                )
    finish(writer)
    return tmp_path


def test_an_experiment_gives_the_runs_of_one_variant(log):
    """Those of `current` unless another is named; the others are known, too."""
    pool = find(Asked(root=log, experiment="last"))
    assert pool.source == f"experiment {manifest().id} (current)"
    (metric, _) = pool.metrics
    assert metric.scores == {"c0": [1.0] * 3, "c1": [1.0] * 3}
    assert metric.others == {"polite": {"c0": [0.0] * 3, "c1": [0.0] * 3}}
    (metric, _) = find(Asked(root=log, experiment=manifest().id[:8], variant="polite")).metrics
    assert metric.scores == {"c0": [0.0] * 3, "c1": [0.0] * 3}


def test_unknown_experiments_and_variants_are_refused(log):
    with pytest.raises(SettingsError, match=r"'rude' is not in experiment .*Valid: current, polite"):
        find(Asked(root=log, experiment="last", variant="rude"))
    with pytest.raises(StoreError, match=r"there is no experiment 'zzz'"):
        find(Asked(root=log, experiment="zzz"))


def test_an_experiment_without_scores_is_refused(tmp_path):
    location = Location(path=tmp_path / ".promptune" / "promptune.db", is_default=True)
    location.make_folder()
    finish(write(location))
    with pytest.raises(StoreError, match=r"has no scores. Take another one"):
        find(Asked(root=tmp_path, experiment="last"))


# --- asking ---------------------------------------------------------------------------------------------


def test_margins_and_differences_of_no_metric_are_refused(tmp_path):
    """A slip in a name would otherwise go unnoticed."""
    record(tmp_path)
    pool = find(Asked(root=tmp_path))
    with pytest.raises(
        SettingsError, match=r"--margin: 'wrods' is not among the metrics judged. Valid: test_a"
    ):
        calibrate(pool, replace(QUESTIONS, margins=["wrods=0.1"]))
    with pytest.raises(SettingsError, match=r"--margin: 'words' is not valid; expected METRIC=VALUE"):
        calibrate(pool, replace(QUESTIONS, margins=["words"]))
    with pytest.raises(SettingsError, match=r"--difference: 'wrods' is not among the metrics judged"):
        plan_runs(pool, replace(GOALS, differences=[("wrods", 0.1)]))


def test_a_wider_margin_leaves_less_undecided(tmp_path):
    """The margin is that of the gate: with a huge one nothing stays inconclusive."""
    record(tmp_path, runs=8)
    pool = find(Asked(root=tmp_path))
    usual = calibrate(pool, QUESTIONS).metrics[0].verdicts
    wide = calibrate(pool, replace(QUESTIONS, margins=["test_a=1"])).metrics[0].verdicts
    assert usual.get("inconclusive", 0) > wide.get("inconclusive", 0) == 0


def test_what_is_tolerated_is_no_false_alarm(tmp_path):
    """The tolerance is that of the gate: with a huge one nothing regresses, whatever the halves say."""
    record(tmp_path, runs=8)
    pool = find(Asked(root=tmp_path, metrics=["words"]))
    strictly = replace(QUESTIONS, alpha=0.4, splits=100)
    assert calibrate(pool, strictly).alarms.failed > 0
    assert calibrate(pool, replace(strictly, tolerances=["words=10"])).alarms.failed == 0


def test_what_is_tolerated_is_not_found(tmp_path):
    """A drop within the tolerance passes the gate: power and smallest change know it."""
    record(tmp_path, runs=60)
    pool = find(Asked(root=tmp_path, metrics=["test_a"]))
    (strict,), (tolerant,) = (
        calibrate(pool, replace(QUESTIONS, tolerances=tolerances)).metrics
        for tolerances in ([], ["test_a=0.2"])
    )
    assert (strict.power[0.20] > 0.8, tolerant.power[0.20] < 0.1) == (True, True)
    assert strict.minimum < 0.2 < tolerant.minimum


@pytest.mark.parametrize("scope", ["suite", "population"])
def test_power_is_that_of_a_metric_in_its_family(scope):
    """Two metrics share the error level; level, seed and scope are those that were asked for."""
    coins = {f"c{number:02}": [1.0, 0.0] * 4 for number in range(12)}
    metrics = [
        StoredMetric(name=name, scores=coins, others={}) for name in (NAME, replace(NAME, metric="test_b"))
    ]
    pool = Pool(source="the baseline", metrics=metrics)
    asked = {"alpha": 0.3, "seed": 3, "scope": scope}
    answer = calibrate(pool, replace(QUESTIONS, **asked)).metrics[0]
    stored = as_stored(pool)[0]
    assert answer.power == {drop: power_of(stored, drop, family=2, **asked) for drop in DROPS}
    other = {"family": 1, "alpha": 0.05, "seed": 0, "scope": "suite" if scope != "suite" else "population"}
    for name, value in other.items():
        assert answer.power != {
            drop: power_of(stored, drop, **{"family": 2, **asked, name: value}) for drop in DROPS
        }, name
    assert (answer.minimum is None) is (scope == "population")


def test_too_few_runs_say_how_to_record_more(tmp_path):
    record(tmp_path, runs=3)
    with pytest.raises(
        BaselineError, match=r"has 3 runs .* Record with more runs: pytest --promptune-baseline"
    ):
        calibrate(find(Asked(root=tmp_path)), QUESTIONS)


def test_the_last_difference_counts_and_one_of_its_own_wins(tmp_path):
    """A change for all, and one for a metric by its short name."""
    record(tmp_path)
    goals = replace(GOALS, differences=[("", 0.3), ("words", 2.0), ("", 0.2)])
    plan = plan_runs(find(Asked(root=tmp_path)), goals)
    assert [need.size and need.size.difference for need in plan.needs] == [0.2, 2.0]


def test_variants_enlarge_the_family(tmp_path):
    """Three candidates of two metrics are six comparisons, and need more runs."""
    record(tmp_path)
    pool = find(Asked(root=tmp_path))
    one, three = plan_runs(pool, GOALS), plan_runs(pool, replace(GOALS, variants=3))
    assert (one.family, three.family) == (2, 6)
    runs = [plan.needs[0].size.runs_both for plan in (one, three) if plan.needs[0].size]
    assert runs[0] < runs[1]


# --- the command line -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["calibrate", "--splits=0"], "--splits: '0' is not valid; expected a whole number of at least 1"),
        (["calibrate", "--seed=-1"], "--seed: '-1' is not valid; expected a whole number of at least 0"),
        (["calibrate", "--alpha=2"], "--alpha: '2' is not valid; expected a number between 0 and 0.5"),
        (["calibrate", "--scope=all"], "--scope: 'all' is not valid; expected suite or population"),
        (["calibrate", "--against=a/b"], "--against: 'a/b' is not valid; expected one word"),
        (["calibrate", "--margin=x"], "--margin: 'x' is not valid; expected METRIC=VALUE"),
        (["calibrate", "--tolerance=x"], "--tolerance: 'x' is not valid; expected METRIC=VALUE"),
        (["plan-runs", "--difference=0"], "--difference: '0' is not valid; expected a change above 0"),
        (["plan-runs", "--difference==1"], "--difference: '=1' is not valid; expected a change above 0"),
        (["plan-runs", "--difference=nan"], "--difference: 'nan' is not valid"),
        (["plan-runs", "--power=1"], "--power: '1' is not valid; expected a number between 0.5 and 1"),
        (["plan-runs", "--variants=none"], "--variants: 'none' is not valid"),
        (["plan-runs", "no_such.json"], "no_such.json: no baseline file, test module or folder"),
    ],
)
def test_wrong_usage_is_status_2(tmp_path, capsys, words, says):
    """It names the option, what was given and what would be valid."""
    record(tmp_path)
    assert main([*words, "--root", str(tmp_path)]) == 2
    assert says in capsys.readouterr().err


def test_help_says_what_a_change_of_latency_is(capsys):
    """In seconds it would be another number."""
    assert main(["plan-runs", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "METRIC=VALUE is in the metric's own unit (a fraction for latency) or in %" in text


INI = """
promptune_alpha = 0.2
promptune_scope = population
promptune_margin =
    test_a=1
    elsewhere=0.2
promptune_gate_metrics =
    latency_s
"""


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("pytest.ini", f"[pytest]{INI}"),
        ("tox.ini", f"[pytest]{INI}"),
        (
            "pyproject.toml",
            "[tool.pytest.ini_options]\npromptune_alpha = '0.2'\npromptune_scope = 'population'\n"
            "promptune_margin = ['test_a=1', 'elsewhere=0.2']\npromptune_gate_metrics = ['latency_s']\n",
        ),
    ],
)
def test_the_ini_file_of_pytest_counts(tmp_path, capsys, file, text):
    """The commands judge as the sessions of the project do; what is typed wins."""
    record(tmp_path, runs=8)
    (tmp_path / file).write_text(text)
    arguments = ["calibrate", "--json", "--splits=20", "--root", str(tmp_path)]
    main(arguments)
    found = json.loads(capsys.readouterr().out)
    assert (found["alpha"], found["scope"]) == (0.2, "population")
    metrics = {row["metric"]: row for row in found["metrics"]}
    assert set(metrics) == {"test_a", "test_a::words", "bot::latency_s"}
    main([*arguments, "--scope=suite"])
    assert "inconclusive" not in json.loads(capsys.readouterr().out)["metrics"][0]["verdicts"]
    main([*arguments, "--alpha=0.05", "--scope=suite", "--margin=test_a=0.01"])
    found = json.loads(capsys.readouterr().out)
    assert (found["alpha"], found["scope"]) == (0.05, "suite")
    assert "inconclusive" in found["metrics"][0]["verdicts"]
    main(["plan-runs", "--json", "--root", str(tmp_path)])
    assert len(json.loads(capsys.readouterr().out)["metrics"]) == 3


def test_the_tolerance_of_the_ini_file_counts(tmp_path, capsys):
    """What the gate lets pass isn't found; a tolerance that is typed takes its place."""
    record(tmp_path, runs=60)
    (tmp_path / "pytest.ini").write_text("[pytest]\npromptune_tolerance =\n    test_a=0.2\n")
    arguments = ["calibrate", "--json", "--splits=5", "--metric=test_a", "--root", str(tmp_path)]
    found = []
    for more in ([], ["--tolerance=test_a=0"]):
        main([*arguments, *more])
        (row,) = json.loads(capsys.readouterr().out)["metrics"]
        found.append(row["power"][2]["power"])
    assert found[0] < 0.1 < 0.8 < found[1]


def test_the_baseline_of_the_ini_file_counts(tmp_path, capsys):
    """Another name than main, unless one is typed."""
    record(tmp_path, runs=4)
    record(tmp_path, runs=6, name="old")
    (tmp_path / "pytest.ini").write_text("[pytest]\npromptune_against = old\n")
    arguments = ["plan-runs", "--json", "--root", str(tmp_path)]
    found = []
    for more in ([], ["--against=main"]):
        main([*arguments, *more])
        found.append(json.loads(capsys.readouterr().out)["metrics"][0]["runs"])
    assert found == [6, 4]


def test_the_store_of_the_ini_file_counts(log, capsys):
    """Where the sessions of the project write, an experiment is looked for."""
    (log / ".promptune").rename(log / "elsewhere")
    arguments = ["plan-runs", "--json", "--experiment=last", "--root", str(log)]
    assert main(arguments) == 2
    assert "there is no experiment log" in capsys.readouterr().err
    (log / "pytest.ini").write_text("[pytest]\npromptune_store = sqlite:///elsewhere/promptune.db\n")
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["source"] == f"experiment {manifest().id} (current)"


@pytest.mark.parametrize(
    ("ini", "says"),
    [
        ("promptune_strict = true\npromptune_gate_cases = true\n", "promptune_strict, promptune_gate_cases"),
        ("promptune_gate = non-inferiority\n", "promptune_gate = non-inferiority"),
    ],
)
def test_rules_that_fail_more_are_told(tmp_path, capsys, ini, says):
    """The promise is that of regressions: who asks for more learns that it isn't judged."""
    record(tmp_path, runs=8)
    (tmp_path / "pytest.ini").write_text(f"[pytest]\n{ini}")
    arguments = ["calibrate", "--splits=5", "--root", str(tmp_path)]
    main(arguments)
    text = " ".join(capsys.readouterr().out.split())
    assert "Regressions alone are judged here. The ini file sets " in text
    assert f"sets {says}: sessions fail more often then." in text
    main([*arguments, "--json"])
    assert ", ".join(json.loads(capsys.readouterr().out)["rules_not_judged"]) == says


def test_without_other_rules_nothing_is_told_of_them(tmp_path, capsys):
    """The usual gate is the one that is judged; with none, nothing fails."""
    record(tmp_path, runs=8)
    arguments = ["calibrate", "--splits=5", "--root", str(tmp_path)]
    main(arguments)
    assert "Regressions alone" not in capsys.readouterr().out
    (tmp_path / "pytest.ini").write_text("[pytest]\npromptune_gate = off\npromptune_strict = true\n")
    main(arguments)
    text = " ".join(capsys.readouterr().out.split())
    assert "The ini file sets promptune_gate = off: nothing fails then." in text


def test_a_slip_in_the_ini_file_is_status_2(tmp_path, capsys):
    """As in a session: the key, what was given, and what would be valid."""
    record(tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\npromptune_alpha = 7\n")
    assert main(["calibrate", "--root", str(tmp_path)]) == 2
    assert "promptune_alpha: '7' is not valid; expected" in capsys.readouterr().err


# --- telling --------------------------------------------------------------------------------------------


def calibration(failed: int, **behaviour: object) -> Calibration:
    given = {
        "name": NAME,
        "cases": 20,
        "runs": (5, 5),
        "mean": 0.75,
        "half": (2, 2),
        "left_out": (),
        "verdicts": {"unchanged": 150, "inconclusive": 50},
        "power": {0.05: 0.25, 0.10: 0.5, 0.20: None},
        "minimum": 0.11,
    }
    return Calibration(
        source="the baseline",
        questions=QUESTIONS,
        simulations=400,
        alarms=FalseAlarms(
            splits=200,
            failed=failed,
            ci=clopper_pearson(failed, 200, alpha=0.05),
            promised=0.025,
            verdicts={},
        ),
        metrics=[Behaviour(**{**given, **behaviour})],
    )


def told(lines) -> str:
    return " ".join(" ".join(line.text for line in lines).split())


def test_a_kept_promise_is_told_with_its_interval():
    """How many failed, the interval, what is promised, and that the splits are of the same runs."""
    kept = calibration(3)
    text = told(calibration_lines(kept, width=100))
    assert kept.status == 0
    assert "200 random halves of the same runs (2 runs against 2), where nothing changed" in text
    assert "3 of 200 failed the gate: 1.5 % (95 % interval 0.3 to 4.3 %, Clopper–Pearson)." in text
    assert "Promised: at most 2.5 %." in text
    assert "All splits are of the same stored runs" in text
    assert "test_a 20 × 5 25 % 50 % – 11 points" in text
    assert "test_a 0 % 0 % 75 % 25 %" in text
    assert "broken" not in text


def test_cases_that_are_left_out_are_named():
    """Where some ran too rarely, the halves are of the others."""
    text = told(calibration_lines(calibration(3, left_out=("c7", "c9"), runs=(3, 9), half=(2, 4)), width=100))
    assert "200 random halves of the same runs (2 to 4 runs a side)" in text
    assert "test_a: without c7, c9, which ran fewer than 4 times" in text


def test_the_size_of_the_halves_is_that_of_the_cases_in_them(tmp_path):
    """Cases of 3, 5 and 9 runs: the first is left out, the halves of the others have 2 and 4."""
    path = record(tmp_path)
    data = json.loads(path.read_text())
    data["cases"]["c2"] = "sha256:2"
    data["scores"]["test_a"] = {"c0": [1, 0, 1], "c1": [1, 0] * 2 + [1], "c2": [1, 0] * 4 + [1]}
    path.write_text(json.dumps(data))
    found = calibrate(find(Asked(root=tmp_path, metrics=["test_a"])), QUESTIONS)
    assert (found.metrics[0].runs, found.metrics[0].half) == ((3, 9), (2, 4))
    assert "(2 to 4 runs a side)" in told(calibration_lines(found, width=100))


def test_a_broken_promise_is_said_and_is_status_1():
    broken = calibration(20)
    assert broken.status == 1
    assert "The promise is broken on these runs" in told(calibration_lines(broken, width=100))


def test_lines_fit_the_terminal():
    """At any width, with names of any length and kind."""
    odd = replace(NAME, metric="test_\x1b[31m" + "very_" * 30)
    for width in (20, 40, 80, 120):
        for line in calibration_lines(calibration(3, name=odd), width=width):
            assert len(line.text) <= width, line.text
            assert "\x1b" not in line.text


def size(**values: object) -> Size:
    given = {
        "cases": 20,
        "runs": 5.0,
        "mean": 0.75,
        "components": VarianceComponents(
            n_cases=20, within=0.06, between=0.13, icc=0.68, flaky_cases=("c1",)
        ),
        "difference": 0.1,
        "minimum": 0.12,
        "runs_both": 12,
        "runs_candidate": 30,
        "cases_like_these": 40,
        "change_variance": 0.01,
    }
    return Size(**{**given, **values})


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (
            {"difference": 0.0, "mean": 0.0},
            "its mean is 0, and a share of nothing is no change. Give one in its own unit: "
            "--difference=test_a=VALUE.",
        ),
        (
            {},
            "a change of 10 points needs 12 runs of each case on both sides (now 5), or 30 in a check "
            "against the stored ones. For inputs like these it takes 40 cases.",
        ),
        (
            {"runs_candidate": None},
            "no number of runs finds a change of 10 points against the stored ones (impossible: baseline too "
            "noisy). Record it again with 12 runs and measure as many. For inputs like these it takes 40 "
            "cases.",
        ),
        (
            {"runs_both": 5, "minimum": 0.08, "change_variance": None},
            "5 runs are enough for a change of 10 points; the smallest found is 8.0 points. For inputs like "
            "these it takes at least 40 cases.",
        ),
        (
            {"runs_both": None, "runs_candidate": None, "cases_like_these": None},
            "each case ran once, so that nothing is known of the noise between runs. Measure with more: "
            "--promptune-runs=5.",
        ),
    ],
)
def test_what_a_metric_needs_in_a_sentence(values, says):
    assert sentence(Need(name=NAME, size=size(**values))) == says


def test_a_metric_without_values_says_so():
    assert sentence(Need(name=NAME, size=None)) == "has no value in these runs."


def test_a_plan_is_two_tables_and_sentences():
    """Noise, need, and what a bound means, only where there is one."""
    needs = [
        Need(name=NAME, size=size(runs_candidate=None)),
        Need(name=replace(NAME, module="test_n.py"), size=None),
    ]
    plan = RunsPlan(source="the baseline", goals=GOALS, family=4, needs=needs)
    text = told(plan_lines(plan, width=100))
    assert "4 gated comparisons at an error level of 0.05 in all; a change is to be found in 80 %" in text
    assert "test_m.py::test_a 20 × 5 0.060 0.13 0.68 12 points" in text
    assert "test_m.py::test_a 10 points 12 impossible 40" in text
    assert "test_n.py::test_a – – – –" in text
    assert "≥" not in text
    bound = replace(plan, needs=[Need(name=NAME, size=size(change_variance=None))])
    assert "≥: if all cases change alike" in told(plan_lines(bound, width=100))
    for width in (20, 60):
        assert all(len(line.text) <= width for line in plan_lines(plan, width=width))
