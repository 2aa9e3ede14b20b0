"""The hook ``pytest_promptune_aggregates``: metrics of all samples of an app at once."""

from __future__ import annotations

import json
import sys

import pytest

from pytest_promptune import Aggregate
from pytest_promptune.core.aggregates.given import aggregates_of
from pytest_promptune.core.errors import SettingsError

XDIST = ["xdist.plugin"]

HOOK = """
from pytest_promptune import Aggregate


def longest(samples):
    return float(samples["test_words::length"].max())


def share_of_even(samples):
    return samples[samples["tags.category"] == "even"]["test_answer"].mean()


def pytest_promptune_aggregates(config):
    return [
        Aggregate("longest", longest, direction="lower", unit="letters"),
        Aggregate("even", share_of_even),
    ]
"""
#: A function is called some thousand times: where one is enough there is one.
ONE_HOOK = HOOK.replace('        Aggregate("longest", longest, direction="lower", unit="letters"),\n', "")


@pytest.fixture
def counted(bot):
    """The bot's suite with one aggregate."""
    bot.write(conftest=(bot.path / "conftest.py").read_text() + ONE_HOOK)
    return bot


@pytest.fixture
def two_counted(bot):
    """The bot's suite with two aggregates."""
    bot.write(conftest=(bot.path / "conftest.py").read_text() + HOOK)
    return bot


def hook(project, body):
    """Another hook in place of the first."""
    text = (project.path / "conftest.py").read_text().partition("from pytest_promptune import Aggregate\n")[0]
    project.write(conftest=f"{text}from pytest_promptune import Aggregate\n\n\n{body}\n")


def test_described_and_compared(two_counted):
    """A row among the metrics, a comparison with the baseline, no gate unless named; tags are columns."""
    two_counted.record()
    ran = two_counted.run(miss="c00,c02,c04")
    assert ran.metric("bot::longest")["mean"] == 3.0
    row = ran.metric("bot::even")
    assert (row["mean"], row["kind"], row["unit"], row["aggregate"]) == (0.0, "score", None, True)
    row = ran.row("bot::even")
    assert (row["reference"], row["reference_mean"], row["difference"]) == ("baseline:main", 1.0, -1.0)
    assert row["p"] == pytest.approx(2 / 1_000)  # of 8,000 relabellings, 1,000 are looked at
    assert (row["verdict"], row["gate"]) == ("regressed", "off")
    row = ran.row("bot::longest")
    assert (row["p"], row["ci"], row["unit"], row["verdict"]) == (1.0, [0.0, 0.0], "letters", "unchanged")
    assert ran.metric("test_answer")["mean"] == 0.5


def test_gated_by_name(counted):
    """The marker and the ini key name it; it fails like any gate."""
    counted.record()
    named = ("-o", "promptune_gate_metrics=even", "--promptune-margin=bot::even=0.5")
    ran = counted.run(*named, miss="c00,c02,c04")
    assert ran.code == 1
    assert ran.gates["test_bot.py::bot::gate[bot::even-current]"] is False
    assert ran.row("bot::even")["gate"] == "failed"
    assert ran.row("bot::even")["margin"] == 0.5
    assert counted.run("--promptune-margin=bot::evn=0.5").refused("bot::evn", "Did you mean 'bot::even'?")


def test_variants_are_compared_with_current(tuned):
    """Within one session, and a mapping from names to functions does."""
    tuned.write(
        conftest=(tuned.path / "conftest.py").read_text() + "from pytest_promptune import Aggregate\n"
    )
    hook(
        tuned,
        "def pytest_promptune_aggregates(config):\n    return {'mean': lambda s: s['test_answer'].mean()}",
    )
    ran = tuned.run("--promptune-compare")
    row = ran.row("tuned::mean", "worse", "current")
    assert row["difference"] == pytest.approx(ran.row("test_answer", "worse", "current")["difference"])
    assert row["p"] < 0.01
    assert row["ci"][0] <= row["difference"] <= row["ci"][1] < 0


def test_what_a_function_sees(counted):
    """The documented columns; a sample that errored is there, one that got lost is not."""
    hook(
        counted,
        "from pathlib import Path\n\n\ndef seen(samples):\n"
        "    file = Path(__file__).parent / 'seen.csv'\n"
        "    if not file.exists():\n        samples.to_csv(file, index=False)\n    return None\n\n\n"
        "def pytest_promptune_aggregates(config):\n    return [Aggregate('seen', seen)]",
    )
    ran = counted.run("--promptune-baseline", **{"raise": "c04", "lose": "c05"})
    assert ran.code == 0, ran.text
    lines = (counted.path / "seen.csv").read_text().splitlines()
    assert lines[0].split(",") == [
        "case",
        "run",
        "variant",
        "test_answer",
        "test_words",
        "test_words::length",
        "latency_s",
        "error_rate",
        "tags.category",
    ]
    assert len(lines) == 1 + 5 * 3
    assert lines[1].startswith("c00,1,current,1.0,1.0,3.0,")
    assert lines[-1].startswith("c04,3,current,0.0,0.0,,,1.0,even")
    assert ran.metric("bot::seen")["mean"] is None


def test_a_column_that_the_baseline_lacks(two_counted):
    """It is said which; the variant beside current is compared all the same."""
    two_counted.record()
    data = two_counted.baseline_json()
    for key in ("metrics", "scores"):
        del data[key]["test_words::length"]
    two_counted.baseline.write_text(json.dumps(data))
    ran = two_counted.run()
    assert ran.code == 0
    row = ran.row("bot::longest")
    assert (row["p"], row["verdict"]) == (None, "inconclusive")
    assert row["reason"] == "Not comparable with the baseline: needs column test_words::length."
    assert ran.row("bot::even")["p"] is not None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("lambda s: 1 / 0", ["raised ZeroDivisionError", "<lambda>, conftest.py:"]),
        ("lambda s: s['speed'].max()", ["raised KeyError: 'speed'", "test_words::length, latency_s"]),
        ("lambda s: float('nan')", ["gave nan", "or None where there is no value"]),
        ("lambda s: 'fast'", ["gave a str"]),
    ],
)
def test_a_function_that_fails(counted, body, words):
    """It fails the session by name, in every mode, without a traceback; the rest is measured and recorded."""
    hook(counted, f"def pytest_promptune_aggregates(config):\n    return [Aggregate('bad', {body})]")
    for mode in (["--promptune-baseline"], [], ["--promptune-gate=off"]):
        ran = counted.run(*mode)
        assert ran.code == 1, ran.text
        assert ran.gates["test_bot.py::bot::aggregate[bot::bad]"] is False
        for word in ["bot::bad can't be computed: bad", *words]:
            assert word in " ".join(ran.out.split()), word
        assert "Traceback" not in ran.text
        assert ran.metric("test_answer")["mean"] == 1.0
    assert counted.baseline.exists()


@pytest.mark.parametrize(
    ("gives", "words"),
    [
        ("3", ["pytest_promptune_aggregates gave int", "a list of Aggregate"]),
        ("[len]", ["gave a list with builtin_function_or_method"]),
        ("'p95'", ["gave str"]),
        ("{'p95': 3}", ["Aggregate('p95', …)", "the function is int"]),
        ("[Aggregate('a::b', len)]", ["without '::'"]),
        ("[Aggregate('', len)]", ["non-empty line"]),
        ("[Aggregate('a', len, direction='up')]", ["direction is 'up'; use 'higher' or 'lower'"]),
        ("[Aggregate('a', len, unit=3)]", ["unit is 3"]),
        ("[Aggregate('a', len), Aggregate('a', max)]", ["two aggregates are named 'a'", "(len)", "(max)"]),
    ],
)
def test_what_is_no_aggregate_is_refused(counted, gives, words):
    """Before the first call of the app, in a message that says what would be valid."""
    hook(counted, f"def pytest_promptune_aggregates(config):\n    return {gives}")
    assert counted.run().refused(*words)


def test_a_name_that_is_taken(counted):
    """An aggregate can't be called like a metric of the app."""
    hook(counted, "def pytest_promptune_aggregates(config):\n    return {'latency_s': len}")
    ran = counted.run()
    assert ran.code == pytest.ExitCode.USAGE_ERROR
    assert "has a metric bot::latency_s already; rename the aggregate" in ran.text


def test_workers_and_controller(counted):
    """Under ``-n 2`` the numbers are those of a serial run."""
    pytest.importorskip("xdist")
    counted.record(miss="c00")
    serial = counted.run(miss="c00,c02,c04")
    ran = counted.run("-n", "2", plugins=XDIST, miss="c00,c02,c04")
    assert ran.metric("bot::even") == serial.metric("bot::even")
    assert ran.row("bot::even") == serial.row("bot::even")


def test_a_hook_that_only_workers_load(project):
    """A ``conftest.py`` below the root isn't the controller's: said, and a gate on it fails."""
    pytest.importorskip("xdist")
    project.bot(name="deep/er/test_bot.py")
    conftest = project.path / "deep/er/conftest.py"
    conftest.write_text(conftest.read_text() + ONE_HOOK)
    ran = project.run("-n", "2", "--promptune-baseline", plugins=XDIST)
    assert not any(row["metric"] == "bot::even" for row in ran.json["metrics"])
    assert any("even of pytest_promptune_aggregates" in text for text in ran.json["warnings"])
    gated = project.run("-n", "2", "-o", "promptune_gate_metrics=even", plugins=XDIST)
    named = {nodeid: passed for nodeid, passed in gated.gates.items() if "even" in nodeid}
    assert named == {"deep/er/test_bot.py::bot::aggregate[bot::even]": False}
    assert not any("has no effect" in text for text in gated.json["warnings"])


def test_replayed(counted):
    """Stored outputs give the same numbers."""
    first = counted.run(miss="c00")
    ran = counted.run("--promptune-replay=last")
    assert ran.calls == []
    assert ran.metric("bot::even") == first.metric("bot::even")


def test_without_the_hook_nothing_is_loaded(bot):
    """pandas is imported only for functions that get a DataFrame."""
    bot.write(
        test_bot=(bot.path / "test_bot.py").read_text() + "\n\ndef test_class(case, sample):\n"
        "    sample.classify(predicted=sample.output['a'], expected='yes')\n"
    )
    code = (
        "import os, sys, pytest\n"
        "os.environ['PYTEST_DISABLE_PLUGIN_AUTOLOAD'] = '1'\n"
        "code = pytest.main(['-q', '-p', 'pytest_promptune.plugin', '--promptune-baseline'])\n"
        "print('pandas' in sys.modules, int(code))\n"
    )
    bot.write({"run.py": code})
    done = bot._pytester.run(sys.executable, "run.py")
    assert done.stdout.lines[-1] == "False 0"


def test_aggregates_of_several_plugins():
    """Lists and mappings of several hook functions become one list."""
    found = aggregates_of([[Aggregate("a", len)], {"b": max}, ()])
    assert [each.name for each in found] == ["a", "b"]
    with pytest.raises(SettingsError, match="two aggregates are named 'a'"):
        aggregates_of([[Aggregate("a", len)], {"a": max}])
