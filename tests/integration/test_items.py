"""How promptune tests look and behave as items of a pytest session."""

# ruff: noqa: E501  # the suites in strings keep their lines whole

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET

import pytest

MISSES = "c00,c01,c02,c03"
GATE = "test_bot.py::test_answer::gate[test_answer-current]"


def suite(body: str, **marks: object) -> str:
    """A module of tests of the bot."""
    given = ", ".join(
        f"{key}={value!r}" for key, value in {"app": "bot", "runs": 2, "retries": 0, **marks}.items()
    )
    return f"import pytest\nfrom pytest_promptune import Case, Sample\npytestmark = pytest.mark.promptune({given})\n\n{body}\n"


# --- what becomes of an item ----------------------------------------------------------------------


def test_letters_and_words(bot):
    """A missed assertion is `m`, a sample without output `e`; neither is a failure of its item."""
    ran = bot.run("--promptune-runs=1", miss="c01", lose="c03", **{"raise": "c02"})
    assert ran.code == 0
    assert "test_bot.py ..m.eeee...." in ran.out
    verbose = bot.run("--promptune-runs=1", "-v", miss="c01", lose="c03", **{"raise": "c02"})
    assert "test_answer[c01-current-run1] MISSED" in verbose.out
    assert "test_words[c01-current-run1] PASSED" in verbose.out
    assert "test_answer[c02-current-run1] ERRORED" in verbose.out
    assert "test_words[c02-current-run1] ERRORED" in verbose.out
    assert "test_answer[c03-current-run1] MISSING" in verbose.out
    assert "FAILED" not in verbose.out
    assert verbose.counts == {"passed": 7, "missed": 1, "errored": 2, "missing": 2}


def test_what_missed_and_errored_samples_count(bot):
    """Missed and errored are 0 in the assertion metric, lost ones are missing; error_rate tells them apart."""
    bot.record(miss="c01", lose="c03", **{"raise": "c02"})
    scores = bot.baseline_json()["scores"]
    assert scores["test_answer"]["c01"] == [0, 0, 0]
    assert scores["test_answer"]["c02"] == [0, 0, 0]
    assert "c03" not in scores["test_answer"]
    assert "c02" not in scores["test_words::length"]
    assert "c02" not in scores["bot::latency_s"]
    assert scores["bot::error_rate"]["c02"] == [1, 1, 1]
    assert scores["bot::error_rate"]["c00"] == [0, 0, 0]
    assert "c03" not in scores["bot::error_rate"]


def test_errors_of_the_app_are_counted_apart_from_lost_connections(bot):
    """`errored` counts what the app did; lost connections are listed beside it, each with its message."""
    ran = bot.run(lose="c03,c04", **{"raise": "c02"})
    assert ran.json["experiment"]["errored"] == 3
    assert ran.json["experiment"]["missing"] == 6
    assert "the model is confused" in ran.out
    assert "connection reset by peer" in ran.out


def test_an_app_that_always_raises_fails(bot):
    """Nothing was measured, which is no pass: one gate item says what the app raised."""
    for how in ({"raise": "all"}, {"lose": "all"}):
        ran = bot.run(**how)
        assert ran.code == 1
        gate = "test_bot.py::bot::gate[bot::output-current]"
        assert ran.gates == {gate: False}
        assert f"FAILED {gate} - the app" in ran.out
        assert "the app 'bot' gave no output in any of 18 samples: " in ran.out
        assert "Traceback" not in ran.text


def test_a_higher_error_rate_is_gated(bot):
    """An app that starts to raise fails the gate of its error rate."""
    bot.record()
    ran = bot.run(**{"raise": MISSES})
    assert ran.code == 1
    assert ran.row("bot::error_rate")["verdict"] == "regressed"
    assert ran.gates["test_bot.py::bot::gate[bot::error_rate-current]"] is False


def test_a_timeout_is_an_error_of_the_app(project):
    """A sample over its time is errored, at once and not after the app's own time."""
    project.bot(suite("def test_answer(case, sample):\n    pass", timeout=0.1))
    ran = project.run("-k", "c00 or c01", wait=20)
    assert ran.code == 1
    assert ran.json["experiment"]["errored"] == 4
    assert "no answer within 0.1 s" in ran.out
    assert ran.seconds < 5


def test_lost_connections_are_tried_again(project):
    """A connection that comes back costs a retry, not the sample; errors of the app are not retried."""
    project.bot(
        suite(
            "@pytest.fixture(scope='session')\ndef shaky(bot):\n    seen = []\n"
            "    def call(inputs):\n        output = bot(inputs)\n        seen.append(1)\n"
            "        if len(seen) == 1:\n            raise ConnectionError('reset')\n"
            "        return output\n    return call\n\n"
            "@pytest.mark.promptune(app='shaky', runs=1, retries=1)\ndef test_answer(case, sample):\n    pass"
        )
    )
    ran = project.run("-k", "c00")
    assert ran.code == 0
    assert ran.per_case == {"c00": 2}
    assert ran.metric("test_answer")["mean"] == 1
    assert ran.json["experiment"]["missing"] == 0
    ran = project.run("-k", "c01", **{"raise": "c01"})
    assert ran.per_case == {"c01": 1}


def test_other_exceptions_fail_the_item(project):
    """Only AssertionError is data: everything else is a bug in the test, with its traceback."""
    project.bot(
        suite(
            "def test_answer(case, sample):\n"
            "    if case.id == 'c01':\n        raise OSError('disk full')\n"
            "    assert sample.output"
        )
    )
    ran = project.run()
    assert ran.code == 1
    assert "OSError: disk full" in ran.out
    assert ran.counts == {"failed": 2, "passed": 10}
    assert ran.metric("test_answer")["n_samples"] == 10


def test_assertions_outside_the_call_fail_as_always(project):
    """An assertion in a fixture is an error of the suite, not a score."""
    project.bot(
        suite(
            "@pytest.fixture\ndef checked(sample):\n    assert False, 'broken fixture'\n\n"
            "@pytest.fixture\ndef cleaned():\n    yield\n    assert False, 'broken teardown'\n\n"
            "def test_setup(case, sample, checked):\n    pass\n\n"
            "def test_teardown(case, sample, cleaned):\n    pass"
        )
    )
    ran = project.run("-k", "c00")
    assert ran.code == 1
    assert "broken fixture" in ran.out
    assert "broken teardown" in ran.out
    assert "4 errors" in ran.out


def test_assertions_of_other_tests_fail_as_always(bot):
    """A test that doesn't ask for `sample` is none of ours, in the same module too."""
    source = (bot.path / "test_bot.py").read_text()
    bot.write(test_bot=source + "\n\ndef test_plain():\n    assert 1 == 2\n")
    ran = bot.run("-k", "plain or c00")
    assert ran.code == 1
    assert "assert 1 == 2" in ran.out
    assert "1 failed" in ran.out


def test_pytest_outcomes_inside_a_test(project):
    """skip, fail and xfail from inside a test mean what they always mean."""
    project.bot(
        suite(
            "def test_skips(case, sample):\n    pytest.skip('not today')\n\n"
            "def test_fails(case, sample):\n    pytest.fail('broken')\n\n"
            "def test_xfails(case, sample):\n    pytest.xfail('known')"
        )
    )
    ran = project.run("-k", "c00", "-rA")
    assert ran.code == 1
    for word in ("2 failed", "2 skipped", "2 xfailed"):
        assert word in ran.out


# --- one sample, many tests -----------------------------------------------------------------------


def test_all_tests_of_an_app_share_a_sample(project):
    """Between functions, classes and modules: one call per case, variant and run."""
    project.bot(
        suite(
            "def test_one(case, sample):\n    pass\n\n"
            "class TestA:\n    def test_two(self, case, sample):\n        pass\n\n"
            "class TestB:\n    def test_three(self, case, sample):\n        sample.score('x', 1)\n"
        )
    )
    project.write(test_other=suite("def test_four(case, sample):\n    pass"))
    ran = project.run()
    assert ran.code == 0
    assert set(ran.per_case.values()) == {2}
    assert {"test_one", "TestA::test_two", "TestB::test_three", "TestB::test_three::x", "test_four"} <= {
        row["metric"] for row in ran.json["metrics"]
    }


@pytest.mark.parametrize("workers", [0, 2])
def test_samples_that_modules_share_count_once(project, workers):
    """In the results, the summary and what failed; a module's own app of that name has samples of its own."""
    test = suite("def test_it(case, sample):\n    pass")
    own = "\n\n@pytest.fixture(scope='module')\ndef bot():\n    from conftest import answer\n    return lambda inputs: answer(inputs)\n"
    project.bot(test)
    project.write(test_other=test)
    args, plugins = (("-n", "2"), ["xdist.plugin"]) if workers else ((), ())
    ran = project.run(*args, "-v", plugins=plugins, lose="c04", **{"raise": "c05"})
    found = ran.json["experiment"]
    assert len(ran.calls) == 12
    assert (found["samples"], found["errored"], found["missing"]) == (12, 2, 2)
    assert "6 cases x 2 runs, 12 samples (2 errored, 2 missing)" in ran.out
    assert "2 samples of bot/current, infrastructure" in ran.out
    project.write(test_own=test + own)
    ran = project.run(*args, plugins=plugins)
    assert (len(ran.calls), ran.json["experiment"]["samples"]) == (24, 24)


def test_another_app_has_samples_of_its_own(project):
    """Two apps in one module are called with the same cases, once each."""
    project.bot(
        suite(
            "def test_one(case, sample):\n    pass\n\n"
            "@pytest.mark.promptune(app='second')\ndef test_two(case, sample):\n    pass\n\n"
            "@pytest.fixture(scope='session')\ndef second(bot):\n    return lambda inputs: bot(inputs)"
        )
    )
    ran = project.run()
    assert set(ran.per_case.values()) == {4}
    assert ran.metric("second::error_rate")["mean"] == 0


def test_tests_do_not_see_each_others_scores(project):
    """Each test scores for itself: the same name in two tests is two metrics."""
    project.bot(
        suite(
            "def test_one(case, sample):\n    sample.score('x', 1)\n\n"
            "def test_two(case, sample):\n    sample.score('x', 2)"
        )
    )
    ran = project.run("-k", "c00")
    assert (ran.metric("test_one::x")["mean"], ran.metric("test_two::x")["mean"]) == (1, 2)


def test_a_test_sees_everything_about_its_sample(project):
    """Case, variant, run, output, latency, usage, nodes and error, in public attributes."""
    project.bot(
        suite(
            "def test_all(case, sample, variant):\n"
            "    assert isinstance(sample, Sample) and sample.case is case\n"
            "    assert sample.variant is variant and variant.name == 'current'\n"
            "    assert sample.run in (1, 2) and sample.output == {'a': 'yes'}\n"
            "    assert sample.latency_s > 0 and sample.error is None\n"
            "    assert sample.usage.input_tokens is None and not sample.nodes\n"
            "    assert case.tags['category'] in ('even', 'odd')"
        )
    )
    ran = project.run()
    assert ran.code == 0
    assert ran.metric("test_all")["mean"] == 1


def test_classify_decides_like_an_assertion(project):
    """A mismatch is a miss."""
    project.bot(
        suite(
            "def test_class(case, sample):\n"
            "    sample.classify(predicted=sample.output['a'], expected=case.expected['a'])"
        )
    )
    ran = project.run(miss="c00,c01,c02")
    assert ran.code == 0
    assert ran.metric("test_class")["mean"] == 0.5
    assert ran.counts["missed"] == 6


def test_metric_names(project):
    """Parameters other than the case are part of the name; the marker's `metric` replaces the test's name."""
    project.bot(
        suite(
            "@pytest.mark.parametrize('tone', ['formal', 'casual'])\n"
            "def test_intent(case, sample, tone):\n    assert tone == 'formal'\n\n"
            "@pytest.mark.promptune(metric='politeness')\n"
            "@pytest.mark.parametrize('n', [1, 2])\n"
            "def test_named(case, n, sample):\n    sample.score('s', n)\n\n"
            "class TestTone:\n    def test_it(self, case, sample):\n        pass"
        )
    )
    ran = project.run("-k", "c00 or c01")
    names = {
        row["metric"]: row["mean"] for row in ran.json["metrics"] if not row["metric"].startswith("bot::")
    }
    assert names == {
        "test_intent[formal]": 1,
        "test_intent[casual]": 0,
        "politeness[1]": 1,
        "politeness[2]": 1,
        "test_named[1]::s": 1,
        "test_named[2]::s": 2,
        "TestTone::test_it": 1,
    }
    assert ran.per_case == {"c00": 2, "c01": 2}


def test_parameters_are_told_from_case_ids(project):
    """A metric has one name for all its cases, also where a parameter begins like a case's id."""
    project.bot(
        suite(
            "@pytest.fixture(params=['en-US', 'fr'])\ndef locale(request):\n    return request.param\n\n"
            "@pytest.mark.parametrize('talk', [Case(id=i, input={'q': 1}) for i in ('en', 'fr', 'US')], ids=str)\n"
            "def test_it(locale, talk, sample):\n    pass"
        )
    )
    ran = project.run()
    names = {row["metric"] for row in ran.json["metrics"] if not row["metric"].startswith("bot::")}
    assert names == {"test_it[en-US]", "test_it[fr]"}


# --- cases ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "@pytest.fixture(params=CASES, ids=str)\ndef talk(request):\n    return request.param\n\n"
        "def test_it(talk, sample):\n    assert sample.case.id == talk.id",
        "@pytest.mark.parametrize('talk', CASES, ids=str)\n"
        "def test_it(talk, sample):\n    assert sample.case.id == talk.id",
        "@pytest.mark.parametrize('talk', CASES)\n"
        "def test_it(talk, sample):\n    assert sample.case.id == talk.id",
        "@pytest.fixture(params=['x', 'y'])\ndef talk(request):\n    return {c.id: c for c in CASES}[request.param]\n\n"
        "def test_it(talk, sample):\n    assert sample.case.id == talk.id",
        "@pytest.fixture(params=CASES, ids=str)\ndef talk(request):\n"
        "    return Case(id=request.param.id, input={'q': request.param.input['q'] + 1})\n\n"
        "def test_it(talk, sample):\n    assert sample.case.id == talk.id",
        "@pytest.fixture\ndef inner():\n    return CASES\n\n"
        "@pytest.fixture(params=[0, 1])\ndef talk(inner, request):\n    return inner[request.param]\n\n"
        "def test_it(sample, talk):\n    assert sample.case.id == talk.id",
    ],
    ids=["fixture", "parametrize", "without-ids", "looked-up", "changed", "indirect"],
)
def test_where_cases_come_from(project, source):
    """A parametrized fixture, parametrize, or a fixture that makes the case: one call per case and run."""
    project.bot(suite("CASES = [Case(id='x', input={'q': 1}), Case(id='y', input={'q': 3})]\n\n" + source))
    ran = project.record()
    assert ran.code == 0, ran.text
    assert len(ran.calls) == 4
    assert ran.per_case == ({"c02": 2, "c04": 2} if "+ 1" in source else {"c01": 2, "c03": 2})
    scores = project.baseline_json()["scores"]
    assert [list(cases) for metric, cases in scores.items() if "::" not in metric] in (
        [["x", "y"]],
        [["x"], ["y"]],
    )
    assert project.run().row(next(m for m in scores if "::" not in m))["gate"] == "passed"


def test_a_plain_fixture_gives_one_case(project):
    """A fixture without parameters that returns a Case."""
    project.bot(
        suite(
            "@pytest.fixture\ndef only():\n    return Case(id='only', input={'q': 2})\n\n"
            "def test_it(only, sample):\n    pass"
        )
    )
    ran = project.run()
    assert ran.code == 0
    assert ran.per_case == {"c02": 2}


# --- marks and selection --------------------------------------------------------------------------


def test_skipped_items_cost_nothing(project):
    """skip, skipif and a fixture that skips: no call for them."""
    project.bot(
        suite(
            "@pytest.mark.skip(reason='no')\ndef test_marked(case, sample):\n    pass\n\n"
            "@pytest.mark.skipif(True, reason='no')\ndef test_if(case, sample):\n    pass\n\n"
            "@pytest.fixture(autouse=True)\ndef only_even(case):\n"
            "    if case.tags['category'] == 'odd':\n        pytest.skip('odd')\n\n"
            "@pytest.mark.skipif(False, reason='no')\ndef test_even(case, sample):\n    pass"
        )
    )
    ran = project.run("-k", "test_marked or test_if")
    assert ran.code == 0
    assert not ran.calls
    ran = project.run()
    assert ran.code == 0
    assert ran.json["experiment"]["samples"] == 6


def test_a_session_of_skipped_items_records_nothing(project):
    """What was skipped was not measured: no baseline file without a score, and none is lost."""
    project.bot(suite("@pytest.mark.skip(reason='no')\ndef test_a(case, sample):\n    pass"))
    ran = project.run("--promptune-baseline")
    assert ran.code == 0
    assert not project.baseline.exists()


def test_xfail_is_reported_and_measured(project):
    """An expected failure stays one, and the sample still counts as missed."""
    project.bot(
        suite(
            "@pytest.mark.xfail(reason='known')\ndef test_a(case, sample):\n    assert sample.output['a'] == 'no'\n\n"
            "@pytest.mark.xfail(strict=True, reason='known')\n"
            "def test_b(case, sample):\n    assert sample.output['a'] == 'yes'"
        )
    )
    ran = project.run("-k", "test_a")
    assert ran.code == 0
    assert "12 xfailed" in ran.out
    assert ran.metric("test_a")["mean"] == 0
    ran = project.run("-k", "test_b")
    assert ran.code == 1
    assert "12 failed" in ran.out


def test_only_selected_items_are_generated(bot):
    """-k, -m, --deselect and node ids decide which samples are made."""
    assert bot.run("-k", "c01 or c02").per_case == {"c01": 3, "c02": 3}
    assert bot.run("test_bot.py::test_answer[c04-current-run2]").per_case == {"c04": 1}
    assert bot.run("-m", "not promptune").code == 5
    assert bot.run("-m", "promptune", "-k", "run1").per_case == {f"c0{i}": 1 for i in range(6)}
    ran = bot.run(
        "-k", "c05", "--deselect", "test_bot.py::test_answer", "--deselect", "test_bot.py::test_words"
    )
    assert (ran.code, ran.calls, ran.json) == (5, [], None)


@pytest.mark.parametrize("option", ["--collect-only", "--setup-only", "--setup-plan", "--fixtures", "--help"])
def test_looking_costs_nothing(bot, option):
    """Options that only look never call the app, and never record."""
    ran = bot.run(option, "--promptune-baseline")
    assert ran.code == 0, ran.text
    assert not ran.calls
    assert not bot.baseline.exists()
    assert "::gate[" not in ran.out


def test_ids_say_case_variant_and_run(bot):
    """``test[case-variant-run]``, ordered by run, then case, variant and test."""
    ran = bot.run("--collect-only", "-q", "--promptune-runs=2", "-k", "c00 or c01")
    assert [line for line in ran.out.splitlines() if "::" in line] == [
        "test_bot.py::test_answer[c00-current-run1]",
        "test_bot.py::test_words[c00-current-run1]",
        "test_bot.py::test_answer[c01-current-run1]",
        "test_bot.py::test_words[c01-current-run1]",
        "test_bot.py::test_answer[c00-current-run2]",
        "test_bot.py::test_words[c00-current-run2]",
        "test_bot.py::test_answer[c01-current-run2]",
        "test_bot.py::test_words[c01-current-run2]",
    ]


def test_other_tests_keep_their_place(bot):
    """Ordering moves promptune items among themselves only."""
    source = (bot.path / "test_bot.py").read_text()
    bot.write(test_bot="def test_first():\n    pass\n\n" + source + "\n\ndef test_last():\n    pass\n")
    ran = bot.run("--promptune-runs=1")
    order = [nodeid.partition("::")[2] for nodeid in ran.items]
    assert order[0] == "test_first"
    assert order[13] == "test_last"


# --- stopping -------------------------------------------------------------------------------------


def test_a_failure_stops_under_x(project):
    """-x stops at a real failure, after at most as many calls as are in flight; nothing is gated."""
    project.bot(suite("def test_answer(case, sample):\n    raise OSError"))
    ran = project.run("-x", "--promptune-concurrency=3", cases=30)
    assert ran.code == 1
    assert "1 failed" in ran.out
    assert len(ran.calls) <= 4
    assert "::gate[" not in ran.out
    assert ran.json["interrupted"] is True
    ran = project.run("--maxfail=2", "--promptune-concurrency=3", cases=30)
    assert "2 failed" in ran.out
    assert len(ran.calls) <= 5


def test_misses_and_errors_do_not_stop_under_x(bot):
    """Data is no failure: -x goes on, and the gate still fails at the end."""
    bot.record()
    ran = bot.run("-x", miss=MISSES, **{"raise": "c05"})
    assert ran.code == 1
    assert len(ran.calls) == 18
    assert ran.gates[GATE] is False


def test_ctrl_c_in_a_test(project):
    """Exit code 2, nothing gated or recorded, and no waiting for what is in flight."""
    project.bot(
        suite(
            "def test_answer(case, sample):\n"
            "    if sample.run == 2:\n        raise KeyboardInterrupt\n\n"
            "@pytest.fixture(scope='session', autouse=True)\ndef slow(bot):\n    pass"
        )
    )
    project.record("-k", "c00 and run1")
    before = project.baseline.read_bytes()
    for args in ([], ["--promptune-baseline"]):
        ran = project.run(*args, miss="all")
        assert ran.code == 2
        assert "::gate[" not in ran.out
        assert "interrupted" in ran.out
        assert ran.json["interrupted"] is True
        assert ran.json["exit_code"] == 2
    assert project.baseline.read_bytes() == before


SLOW = """
import asyncio, pathlib, time
import pytest
from pytest_promptune import Case

HERE = pathlib.Path(__file__).parent

@pytest.fixture(scope="session")
def async_app():
    async def call(value):
        (HERE / "started").touch()
        await asyncio.sleep(30)
    return call

@pytest.fixture(scope="session")
def sync_app():
    def call(value):
        (HERE / "started").touch()
        time.sleep(30)
    return call

@pytest.mark.promptune(app="APP", runs=1)
@pytest.mark.parametrize("case", [Case(id="a", input=1), Case(id="b", input=1)], ids=str)
def test_it(case, sample):
    pass
"""


@pytest.mark.parametrize("app", ["async_app", "sync_app"])
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_while_waiting_for_a_sample(project, app):
    """The process ends within seconds, with exit code 2, although samples take half a minute."""
    project.write(test_slow=SLOW.replace("APP", app))
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "pytest_promptune.plugin", "--promptune-baseline"],
        cwd=project.path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # a shell starts background jobs with SIGINT ignored, and children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + 20
        while not (project.path / "started").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        output, _ = process.communicate(timeout=20)
    finally:
        process.kill()
    assert time.monotonic() - began < 6
    assert process.returncode == 2, output
    assert "KeyboardInterrupt" in output
    assert "Exception ignored" not in output
    assert "never awaited" not in output
    assert "Task was destroyed" not in output
    assert not (project.path / "__promptune__").exists()


# --- results seen by other tools ------------------------------------------------------------------


def test_gate_items_are_results(bot):
    """junit xml, -rA, -v, -q and the counts all have the gate's decisions."""
    bot.record()
    ran = bot.run("--junitxml=junit.xml", "-rA", miss=MISSES)
    assert ran.code == 1
    cases = {
        (case.get("classname"), case.get("name")): case
        for case in ET.parse(bot.path / "junit.xml").getroot().iter("testcase")
    }
    failed = cases["test_bot.test_answer", "gate[test_answer-current]"].find("failure")
    assert "test_answer regressed" in failed.get("message")
    assert cases["test_bot.test_words", "gate[test_words-current]"].find("failure") is None
    assert cases["test_bot", "test_answer[c01-current-run1]"].find("failure") is None
    assert f"FAILED {GATE}" in ran.out
    assert "PASSED test_bot.py::test_words::gate[test_words-current]" in ran.out
    assert ran.counts == {"failed": 1, "passed": 27, "missed": 12}
    quiet = bot.run("-q", miss=MISSES)
    assert quiet.code == 1
    assert f"FAILED {GATE}" in quiet.out
    assert "promptune: gate failed" in quiet.out


@pytest.mark.parametrize("style", ["long", "line", "native", "no"])
def test_a_failed_gate_under_every_traceback_style(bot, style):
    """The sentence of a failed gate is shown as it is, whatever ``--tb`` says."""
    bot.record("-k", "test_answer")
    ran = bot.run("-k", "test_answer", f"--tb={style}", miss=MISSES)
    assert ran.code == 1
    assert "_Crash" not in ran.text
    assert "Traceback" not in ran.text


def test_progress_never_goes_back(bot):
    """The percentage beside the items does not fall when the gate's items come."""
    bot.record("-k", "test_answer")
    ran = bot.run("-k", "test_answer", "-v")
    shown = [
        int(line.rpartition("[")[2].rstrip("%] ")) for line in ran.out.splitlines() if line.endswith("%]")
    ]
    assert shown == sorted(shown)
    assert shown[-1] == 100


@pytest.mark.parametrize(
    "args", [["-p", "no:terminal"], ["-p", "no:cacheprovider"], ["-s"], ["-qq"], ["--no-summary"]]
)
def test_other_plugins_may_be_switched_off(bot, args):
    """Without pytest's terminal or cache, uncaptured or silent, the gate decides all the same."""
    bot.record("-k", "test_answer")
    ran = bot.run("-k", "test_answer", *args, miss=MISSES)
    assert ran.code == 1, ran.text
    assert ran.gates[GATE] is False
    assert "INTERNALERROR" not in ran.text


def test_warnings_as_errors(bot):
    """The plugin gives no warnings of its own, also none that only show as errors."""
    bot.record("-W", "error")
    assert bot.run("-W", "error", "-p", "threadexception", "-p", "unraisableexception").code == 0


def test_strict_markers_and_config(bot):
    """The marker and all keys are registered."""
    assert bot.run("--strict-markers", "--strict-config").code == 0
    assert "@pytest.mark.promptune" in bot.run("--markers").out


def test_importlib_mode_and_another_rootdir(bot):
    """Module names and roots don't matter: paths do."""
    bot.record("--import-mode=importlib")
    ran = bot.run("--import-mode=importlib", miss=MISSES)
    assert ran.code == 1
    (bot.path / "deep").mkdir()
    ran = bot.run("..", cwd=bot.path / "deep", miss=MISSES)
    assert (ran.code, next(iter(ran.gates))) == (1, GATE)


@pytest.mark.skipif(pytest.version_tuple < (9, 0), reason="subtests came with pytest 9")
def test_a_failed_subtest_is_a_miss(project):
    """pytest's own `subtests`: one that fails makes the sample a miss, never a pass."""
    project.bot(
        suite(
            "def test_parts(case, sample, subtests):\n"
            "    with subtests.test('first'):\n        assert sample.output['a'] == 'yes'\n"
            "    with subtests.test('second'):\n        assert True"
        )
    )
    ran = project.run(miss="c00,c01,c02")
    assert ran.metric("test_parts")["mean"] == 0.5


def test_sample_asked_for_by_another_fixture(project):
    """A fixture between test and sample makes the test a promptune test all the same."""
    project.bot(
        suite(
            "@pytest.fixture\ndef reply(sample):\n    return sample.output['a']\n\n"
            "@pytest.fixture\ndef talk():\n    return Case(id='only', input={'q': 1})\n\n"
            "def test_reply(case, reply):\n    assert reply == 'yes'\n\n"
            "def test_plain(talk, reply):\n    assert reply == 'yes'"
        )
    )
    ran = project.run("-k", "c01 or plain")
    assert ran.code == 0
    assert ran.metric("test_reply")["mean"] == ran.metric("test_plain")["mean"] == 1


def test_sample_asked_for_at_run_time(project):
    """`request.getfixturevalue("sample")` comes too late to repeat the test: the message says so."""
    project.bot(suite("def test_late(case, request):\n    request.getfixturevalue('sample')"))
    ran = project.run("-k", "c00")
    assert ran.code in (1, 4)
    assert "AttributeError" not in ran.text
    assert "too late to be measured several times" in ran.text


def test_one_case_under_two_names(project):
    """A fixture that passes the case on doesn't make two cases of it."""
    project.bot(
        suite(
            "@pytest.fixture\ndef talk():\n    return Case(id='only', input={'q': 1})\n\n"
            "@pytest.fixture\ndef prepared(talk):\n    return talk\n\n"
            "def test_it(prepared, sample):\n    pass"
        )
    )
    ran = project.run()
    assert ran.code == 0, ran.text


def test_a_test_outside_the_root(bot):
    """With a root directory elsewhere the baseline still stands beside its module."""
    (bot.path / "elsewhere").mkdir()
    ran = bot.run("--rootdir=elsewhere", "test_bot.py", "-k", "c00", "--promptune-baseline")
    assert ran.code == 0, ran.text
    assert bot.baseline.exists()
    ran = bot.run("--rootdir=elsewhere", "test_bot.py", "-k", "c00")
    assert ran.row("test_answer")["n_cases"] == 1


@pytest.mark.parametrize("case_id", ["a::b", "a/b", "[x]", "a b", "current-run1", "-", "<b>|", "%s{}"])
def test_case_ids_are_free_text(project, case_id):
    """Ids with the characters that pytest, Markdown and paths care for."""
    project.bot(
        suite(
            f"@pytest.mark.parametrize('talk', [Case(id={case_id!r}, input={{'q': 1}}), "
            "Case(id='y', input={'q': 2})], ids=str)\ndef test_it(talk, sample):\n    assert sample.output['a'] == 'yes'"
        )
    )
    project.record()
    assert set(project.baseline_json()["scores"]["test_it"]) == {case_id, "y"}
    ran = project.run("-v", miss="c01")
    assert ran.code == 0
    assert ran.row("test_it")["n_cases"] == 2
    assert ran.metric("test_it")["mean"] == 0.5


# --- --lf -----------------------------------------------------------------------------------------


def test_last_failed(bot):
    """--lf after a failed gate runs the missed items, and everything again when they are fine."""
    bot.record()
    assert bot.run(miss=MISSES).code == 1
    again = bot.run("--lf", miss=MISSES)
    assert again.code == 1
    assert sorted(again.items) == sorted(
        [
            f"test_bot.py::test_answer[{case}-current-run{run}]"
            for case in MISSES.split(",")
            for run in (1, 2, 3)
        ]
        + list(again.gates)
    )
    cached = (bot.path / ".pytest_cache/v/cache/lastfailed").read_text()
    assert "::gate[" not in cached
    fixed = bot.run("--lf")
    assert fixed.code == 0
    assert set(fixed.per_case) == set(MISSES.split(","))
    after = bot.run("--lf")
    assert after.code == 0
    assert len(after.calls) == 18


def test_last_failed_keeps_other_failures(bot):
    """A failed test and a failed gate are both remembered."""
    source = (bot.path / "test_bot.py").read_text()
    bot.write(test_plain="def test_plain():\n    assert 0\n\ndef test_fine():\n    pass\n", test_bot=source)
    bot.record("test_bot.py")
    assert bot.run(miss=MISSES).code == 1
    again = bot.run("--lf", miss=MISSES)
    assert "test_plain.py::test_plain" in again.items
    assert "test_plain.py::test_fine" not in again.items
    assert "test_bot.py::test_answer[c00-current-run1]" in again.items


def test_last_failed_after_a_worse_score(bot):
    """A score that got worse has no missed items: those of the cases that got worse are run again."""
    source = (bot.path / "test_bot.py").read_text()
    bot.write(test_bot=source.replace(', direction="lower"', ""))
    bot.record("-k", "test_words")
    assert bot.run("-k", "test_words", miss=MISSES).code == 1
    again = bot.run("--lf", miss=MISSES)
    assert {nodeid for nodeid in again.items if "gate" not in nodeid} == {
        f"test_bot.py::test_words[{case}-current-run{run}]" for case in MISSES.split(",") for run in (1, 2, 3)
    }


def test_stepwise(bot):
    """--stepwise goes through misses and survives a failed gate."""
    bot.record()
    assert bot.run("--stepwise", miss=MISSES).code == 1
    ran = bot.run("--stepwise")
    assert "INTERNALERROR" not in ran.text
    assert ran.code == 0


def test_exit_codes(bot):
    """0 passed, 1 gate or test failed, 4 usage, 5 nothing collected; nothing is painted green."""
    bot.record()
    assert bot.run().code == 0
    assert bot.run(miss=MISSES).code == 1
    assert bot.run("--promptune-gate=x").code == 4
    assert bot.run("-k", "nothing").code == 5
    bot.write(test_plain="def test_plain():\n    assert 0\n")
    ran = bot.run()
    assert ran.code == 1
    assert all(ran.gates.values())
    assert ran.json["exit_code"] == 1
    bot.write(test_plain="import nowhere\n")
    ran = bot.run(miss=MISSES)
    assert ran.code == 2
    assert not ran.calls
