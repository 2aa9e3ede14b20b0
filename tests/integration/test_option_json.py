"""``--promptune-json``: results for machines, format 1."""

# ruff: noqa: E501  # the suites in strings keep their lines whole

from __future__ import annotations

import json

EXPERIMENT = [
    "id",
    "started",
    "finished",
    "commit",
    "dirty",
    "runs",
    "cases",
    "variants",
    "samples",
    "errored",
    "reused",
    "conditions",
]
METRIC = [
    "metric",
    "test",
    "variant",
    "kind",
    "direction",
    "unit",
    "n_cases",
    "n_samples",
    "mean",
    "sd",
    "between_case_sd",
    "within_case_sd",
    "sd_of_runs",
    "min",
    "max",
    "ci",
    "p50",
    "p95",
    "p99",
    "pass_all_runs",
    "flaky_cases",
]
COMPARISON = [
    "metric",
    "test",
    "reference",
    "candidate",
    "n_cases",
    "difference",
    "relative",
    "ci",
    "p",
    "p_adjusted",
    "p_worse_adjusted",
    "cliffs_delta",
    "hedges_g",
    "margin",
    "minimum_detectable",
    "scope",
    "verdict",
    "reason",
    "gate",
    "cases",
]
CASES = ["improved", "regressed", "suspect", "changed", "only_reference", "only_candidate"]


def test_all_keys_are_there(tuned):
    """Every key of the format, in each mode; the exit code is the session's."""
    baseline = tuned.record(p=0.8)
    check = tuned.run(p=0.8)
    compare = tuned.run("--promptune-compare", p=0.8)
    assert compare.code == 1
    for ran, mode in ((baseline, "baseline"), (check, "check"), (compare, "compare")):
        data = ran.json
        assert (data["format"], data["mode"], data["exit_code"]) == (1, mode, ran.code)
        assert {"metrics", "comparisons", "goals", "nodes", "usage", "decision"} <= set(data)
        assert set(EXPERIMENT) <= set(data["experiment"])
        assert {"cases", "tests"} <= set(data["experiment"]["conditions"])
        assert all(set(METRIC) <= set(row) for row in data["metrics"])
        assert all(set(COMPARISON) <= set(row) for row in data["comparisons"])
        assert all(set(CASES) <= set(row["cases"]) for row in data["comparisons"])
        assert {"action", "variant", "reason"} <= set(data["decision"])
    assert (baseline.json["experiment"]["cases"], baseline.json["experiment"]["samples"]) == (6, 18)
    assert compare.json["experiment"]["samples"] == 36
    row = compare.row("test_answer", "worse")
    assert row["test"] == "test_bot.py::test_answer"
    assert row["reference"] == "current"
    assert row["scope"] == "suite"


def test_the_numbers_are_those_of_the_samples(bot):
    """Means, passes of all runs and flaky cases, recomputed from the recorded scores."""
    ran = bot.record(p=0.7)
    scores = bot.baseline_json()["scores"]["test_answer"]
    values = [value for runs in scores.values() for value in runs]
    row = ran.metric("test_answer")
    assert abs(row["mean"] - sum(values) / len(values)) < 1e-9
    assert row["n_samples"] == len(values) == 18
    assert row["flaky_cases"] == sorted(case for case, runs in scores.items() if 0 < sum(runs) < len(runs))
    assert abs(row["pass_all_runs"] - sum(all(runs) for runs in scores.values()) / 6) < 1e-9
    assert row["flaky_cases"], "the bot should be flaky here"
    assert abs(row["pass_at"]["3"] - sum(any(runs) for runs in scores.values()) / 6) < 1e-9
    assert abs(row["pass_hat"]["3"] - row["pass_all_runs"]) < 1e-9
    passes = {case: group["passes"] for group in row["pass_cases"] for case in group["cases"]}
    assert passes == {case: sum(runs) for case, runs in scores.items()}
    assert ran.metric("bot::error_rate")["pass_at"] is None
    told = " ".join(bot.run("-v", p=0.7).out.split())
    assert "test_answer: at least one of k runs passes (pass@k): " in told


def test_unknown_is_null(bot):
    """What isn't known is null, never 0 or NaN: tokens and cost of an app without model calls."""
    ran = bot.record("-k", "c00", "--promptune-runs=1")
    assert ran.json["usage"]["input_tokens"] is None
    assert ran.json["usage"]["cost_usd"] is None
    assert ran.metric("test_answer")["sd"] is None
    assert not [row for row in ran.json["metrics"] if row["metric"] == "bot::cost_usd"]


def test_an_interrupted_session_says_so(bot):
    """After ``-x`` there are results, marked as interrupted, without comparisons or gates."""
    bot.record()
    suite = (bot.path / "test_bot.py").read_text()
    bot.write(test_bot=suite.replace("    sample.score", "    raise OSError\n    sample.score"))
    ran = bot.run("-x")
    assert ran.code == 1
    assert ran.json["interrupted"] is True
    assert ran.json["comparisons"] == []
    assert ran.json["exit_code"] == 1


def test_typed_paths_are_relative_to_where_they_were_typed(bot):
    """Folders are made."""
    (bot.path / "deep").mkdir()
    bot.run("..", "-k", "c00", "--promptune-json=out/r.json", json_file=False, cwd=bot.path / "deep")
    assert json.loads((bot.path / "deep" / "out" / "r.json").read_text())["format"] == 1


def test_without_the_option_there_is_none(bot):
    """No results file unless asked for."""
    bot.run("-k", "c00", json_file=False)
    assert not list(bot.path.glob("*.json"))


def test_an_empty_path_is_refused(bot):
    """An empty shell variable is a slip."""
    assert bot.run("--promptune-json=", json_file=False).refused("--promptune-json")


def test_unicode_stays_readable(project):
    """Case ids of any language stand as they are in the UTF-8 file."""
    project.bot(
        "from pytest_promptune import Case\nimport pytest\n"
        "@pytest.mark.promptune(app='echo', runs=2)\n"
        "@pytest.mark.parametrize('case', [Case(id='数える', input=1), Case(id='naïve \"q\"', input=2)], ids=str)\n"
        "def test_it(case, sample):\n    assert sample.run == 1\n"
        "@pytest.fixture(scope='session')\ndef echo():\n    return lambda x: x\n"
    )
    ran = project.record()
    assert ran.metric("test_it")["flaky_cases"] == ['naïve "q"', "数える"]
    text = (project.path / "results-1.json").read_text(encoding="utf-8")
    assert "数える" in text
    assert project.run().row("test_it")["n_cases"] == 2


def test_the_ini_key(bot, form):
    """`promptune_json` is relative to the root."""
    bot.configure(form, json="build/results.json")
    (bot.path / "deep").mkdir()
    bot.run("..", "-k", "c00", json_file=False, cwd=bot.path / "deep")
    assert (bot.path / "build" / "results.json").exists()
