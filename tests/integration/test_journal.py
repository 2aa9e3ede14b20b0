"""The experiment log: what a session leaves in it, and that it can be elsewhere, or nowhere."""

# ruff: noqa: E501  # the suites in strings keep their lines whole

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_promptune.store.log import ExperimentLog, locate

XDIST = ["xdist.plugin"]

#: Ten characters after the prefix are a key to the built-in patterns; the second one only its owner knows.
KEY, OWN = "sk-proj-abcdefghijklmnopqrstuv", "ticket-4711-0815"

LEAKY = f"""
import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.graph import START, StateGraph
from pytest_promptune import Case
from typing import TypedDict


class State(TypedDict, total=False):
    q: str
    a: str


@pytest.fixture(scope="session")
def app():
    model = GenericFakeChatModel(messages=iter(lambda: AIMessage("the key is {KEY}"), None))

    def node(state):
        return {{"a": model.invoke("answer with {KEY} and {OWN}: " + state["q"]).text}}

    return StateGraph(State).add_node("ask", node).add_edge(START, "ask").compile()


@pytest.mark.promptune(app="app", runs=1)
@pytest.mark.parametrize("case", [Case(id="a", input={{"q": "{OWN}"}}), Case(id="b", input={{"q": "b"}})], ids=str)
def test_it(case, sample):
    assert "{KEY}" in sample.output["a"]
    assert case.id == "a", "missed with {KEY}"
"""


def log_of(path: Path, url: str | None = None) -> ExperimentLog:
    """The log of a project's folder."""
    return ExperimentLog(locate(url, root=path))


def stored(path: Path) -> bytes:
    """All bytes that lie in the log's folder."""
    return b"".join(file.read_bytes() for file in sorted((path / ".promptune").iterdir()))


def table(ran) -> list:
    """The samples of the newest experiment, without what depends on the clock."""
    with log_of(ran.path) as log:
        return sorted(
            (s.key.case_id, s.key.variant, s.key.run, json.dumps(s.record.output), s.record.error is None)
            for s in log.samples("last")
        )


def test_a_session_is_stored(bot):
    """Samples with outputs and errors, results with scores, comparisons, conditions: all of it, once."""
    bot.record(miss="c01", lose="c03", **{"raise": "c02"})
    ran = bot.run(miss="c01", lose="c03", **{"raise": "c02"})
    assert ran.code == 0, ran.text
    with log_of(bot.path) as log:
        newest, oldest = log.history()
        assert (newest.mode, newest.status, oldest.mode) == ("check", "finished", "baseline")
        assert newest.id == ran.json["experiment"]["id"]
        assert (newest.samples, newest.errored, newest.missing, newest.exit_code) == (18, 3, 3, 0)
        samples = {(s.key.case_id, s.key.run): s for s in log.samples("last")}
        assert len(samples) == 18
        assert samples["c01", 2].record.output == {"a": "no"}
        assert samples["c02", 1].record.error.message == "the model is confused"
        assert samples["c03", 3].record.error.infrastructure
        assert samples["c00", 1].finished >= samples["c00", 1].started > 0
        results = {(r.test, r.case_id, r.run): r for r in log.results("last")}
        assert len(results) == 36
        assert results["test_words", "c01", 1].scores["length"].value == 2
        assert results["test_answer", "c01", 1].outcome == "missed"
        assert results["test_answer", "c02", 1].outcome == "errored"
        document = log.results_of("last")
        assert document["comparisons"] == ran.json["comparisons"]
        assert document["metrics"] == ran.json["metrics"]
        conditions = log.conditions_of("last")
        assert set(conditions["cases"]) == {f"test_bot.py::c0{i}" for i in range(6)}
        assert conditions["runs"] == {"test_bot.py": 3}
        assert log.options_of("last")["concurrency"] == 16


def test_prompts_and_models_are_stored(project, monkeypatch):
    """The texts of the app's templates and of variants, and which model answered at which node."""
    project.write(
        {
            "test_bot.py": (
                "import pytest\nfrom langchain_core.language_models.fake_chat_models import FakeListChatModel\n"
                "from pytest_promptune import Case\nfrom journal_prompts import env\n\n"
                "@pytest.fixture(scope='session')\ndef app():\n"
                "    model = FakeListChatModel(responses=['hi'])\n"
                "    return lambda name: model.invoke(env.get_template('greet.j2').render(name=name)).text\n\n"
                "@pytest.mark.promptune(app='app', runs=1)\n"
                "@pytest.mark.parametrize('case', [Case(id='a', input='Ada')], ids=str)\n"
                "def test_it(case, sample):\n    assert sample.output == 'hi'\n"
            ),
            "journal_prompts.py": (
                "from pathlib import Path\nimport jinja2\n"
                "env = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent / 'prompts'))\n"
            ),
            "prompts/greet.j2": "Hello {{ name }}",
            "prompts/variants/short/greet.j2": "Hi {{ name }}",
            "pytest.ini": "[pytest]\npromptune_jinja_env = journal_prompts:env\npythonpath = .\n",
        }
    )
    ran = project.run("--promptune-compare")
    assert ran.code == 0, ran.text
    with log_of(project.path) as log:
        assert log.prompts_of("last") == {
            "current": {"greet.j2": "Hello {{ name }}"},
            "short": {"greet.j2": "Hi {{ name }}"},
        }
        said = {s.key.variant: s.record.nodes[0].prompt for s in log.samples("last")}
        assert {variant: prompt[0][1] for variant, prompt in said.items()} == {
            "current": "Hello Ada",
            "short": "Hi Ada",
        }


def test_the_folder_ignores_itself(bot):
    """Version control sees nothing of the default store."""
    bot.run()
    assert (bot.path / ".promptune" / ".gitignore").read_text() == "*\n"
    assert (bot.path / ".promptune" / "promptune.db").exists()


@pytest.mark.parametrize("how", ["command line", "ini"])
def test_an_empty_store_stores_nothing(bot, how):
    """Switched off: the session is as always, and there is no file."""
    if how == "ini":
        bot.configure("ini", store="")
    ran = bot.run(*(["--promptune-store="] if how == "command line" else []))
    assert ran.code == 0, ran.text
    assert ran.json["experiment"]["samples"] == 18
    assert not (bot.path / ".promptune").exists()


def test_another_place(bot, form):
    """A SQLite URL names a file, relative to the root; nothing is left in the default place."""
    bot.configure(form, store="sqlite:///logs/mine.db")
    assert bot.run().code == 0
    assert not (bot.path / ".promptune").exists()
    assert not (bot.path / "logs" / ".gitignore").exists()
    with log_of(bot.path, "sqlite:///logs/mine.db") as log:
        assert log.experiment("last").samples == 18


@pytest.mark.parametrize("url", ["mysql://host/db", "promptune.db", "sqlite://", "postgresql://"])
@pytest.mark.parametrize("workers", [0, 2])
def test_other_places_are_refused(bot, url, workers):
    """Exit code 4, what was given and what would be valid, before any call."""
    args = ("-n", str(workers)) if workers else ()
    ran = bot.run(f"--promptune-store={url}", *args, plugins=XDIST if workers else ())
    assert ran.refused("--promptune-store", url, "sqlite:///path/to/file.db")


def test_secrets_are_not_stored(project):
    """Outputs, rendered prompts, messages of tests: neither known kinds of keys nor one's own."""
    project.write(test_leaky=LEAKY)
    project.configure("ini", redact=[r"ticket-[\d-]+"])
    ran = project.run()
    assert ran.metric("test_it")["mean"] == 0.5, ran.text  # the tests see what the app gave
    found = stored(project.path)
    assert b"answer with" in found
    assert KEY.encode() not in found
    assert OWN.encode() not in found
    with log_of(project.path) as log:
        (first, *_) = log.samples("last")
        assert first.record.output["a"] == "the key is [redacted]"
        assert first.record.nodes[0].prompt[0][1].startswith("answer with [redacted] and [redacted]")


def test_secrets_are_not_written_to_reports(bot):
    """Errors of the app and messages of tests are quoted in results, report and gate: without keys."""
    bot.record()
    leak = (
        (bot.path / "test_bot.py")
        .read_text()
        .replace('case.expected["a"]', f'case.expected["a"], "rejected {KEY}"')
    )
    conftest = (bot.path / "conftest.py").read_text().replace("the model is confused", f"confused by {KEY}")
    bot.write({"test_bot.py": leak, "conftest.py": conftest})
    ran = bot.run(miss="c00,c01,c02,c03", **{"raise": "c05"})
    assert ran.code == 1, ran.text
    written = [bot.path / "promptune-report.md", *bot.path.glob("results-*.json")]
    texts = [path.read_text() for path in written]
    assert "rejected [redacted]" in ran.out
    assert any("confused by [redacted]" in text for text in texts)
    assert not any(KEY in text for text in texts)


@pytest.mark.parametrize("workers", [0, 2])
def test_secrets_are_not_shown(bot, monkeypatch, workers):
    """``-v`` and junit's file say why a sample missed or has no output: without keys, whole or cut."""
    suite, conftest = (bot.path / "test_bot.py").read_text(), (bot.path / "conftest.py").read_text()
    said = f'"x" * (285 if case.id == "c01" else 0) + " {KEY}"'  # messages are cut at 300 characters
    suite = suite.replace('case.expected["a"]', f'case.expected["a"], {said}')
    for reason in ("the model is confused", "connection reset by peer"):
        conftest = conftest.replace(reason, f"told {KEY}")
    bot.write({"test_bot.py": suite, "conftest.py": conftest})
    monkeypatch.setenv("COLUMNS", "200")
    args = ("-n", str(workers)) if workers else ()
    ran = bot.run(
        "-v",
        "--junitxml=junit.xml",
        *args,
        plugins=XDIST if workers else (),
        miss="c00,c01",
        lose="c04",
        **{"raise": "c05"},
    )
    assert ran.counts == {"passed": 18, "missed": 6, "errored": 6, "missing": 6}, ran.text
    junit = (bot.path / "junit.xml").read_text()
    assert "MISSED ([redacted])" in ran.out
    if not workers:  # pytest shows reasons of skipped tests only then
        assert ran.out.count("the app gave no output: RuntimeError: told [redacted])") == 6
    assert "told [redacted]" in junit
    for text in (ran.text, junit, json.dumps(ran.json)):
        assert KEY[:6] not in text


def test_own_secrets_need_a_pattern(project):
    """What nobody declared a secret is stored: the test above would miss it otherwise."""
    project.write(test_leaky=LEAKY)
    project.run()
    assert OWN.encode() in stored(project.path)


@pytest.mark.parametrize("pattern", ["[", "x*"])
def test_bad_patterns(bot, form, pattern):
    """A pattern that doesn't compile, or matches nothing everywhere, ends the session before any call."""
    bot.configure(form, redact=[pattern])
    assert bot.run().refused("redaction pattern", repr(pattern))


def test_workers_store_the_same(bot):
    """With -n 2 the controller stores what a serial session does: samples, results, conditions."""
    how = {"miss": "c01", "raise": "c02", "lose": "c03"}
    pytest.importorskip("xdist")
    found = []
    for args, plugins in (((), ()), (("-n", "2"), XDIST)):
        bot.run(*args, plugins=plugins, **how)
        with log_of(bot.path) as log:
            samples = sorted(
                (s.key.case_id, s.key.run, s.key.scope, str(s.record.output), str(s.record.error), s.attempts)
                for s in log.samples("last")
            )
            results = sorted(
                (r.nodeid, r.outcome, r.message, str(r.scores), r.order) for r in log.results("last")
            )
            summary = log.experiment("last")
            assert summary.status == "finished"
            found.append((samples, results, log.conditions_of("last"), summary.samples, summary.errored))
    assert len(found[0][0]) == 18
    assert found[0] == found[1]


def test_sessions_without_promptune_tests_leave_nothing(project):
    """Neither a folder nor a file, with and without workers."""
    project.write(test_plain="def test_it():\n    pass\n")
    for args, plugins in (((), ()), (("-n", "2"), XDIST)):
        assert project.run(*args, plugins=plugins).code == 0
        assert not (project.path / ".promptune").exists()


@pytest.mark.parametrize("option", ["--collect-only", "--setup-plan", "--setup-only", "--fixtures", "--help"])
@pytest.mark.parametrize("workers", [0, 2])
def test_looking_leaves_no_experiment(bot, option, workers):
    """Options that only look call nothing, and there is nothing to replay or to resume afterwards."""
    args, plugins = (("-n", str(workers)), XDIST) if workers else ((), ())
    ran = bot.run(option, *args, plugins=plugins)
    assert ran.code == 0, ran.text
    assert not ran.calls
    assert not (bot.path / ".promptune").exists()


@pytest.mark.parametrize("option", ["--collect-only", "--setup-plan", "--setup-only"])
def test_looking_builds_and_scores_nothing(project, option):
    """Neither the builder of an app nor an async app nor a scorer is called, since each may cost money."""
    project.write(
        test_app=(
            "import pytest\nfrom pathlib import Path\nfrom pytest_promptune import Case\n\n"
            "def note(what):\n    with Path(__file__).with_name('calls.log').open('a') as file:\n"
            "        file.write(what + '\\n')\n\n"
            "@pytest.fixture(scope='session')\ndef app():\n"
            "    def build(variant):\n        note('built')\n"
            "        async def call(n):\n            note('called')\n            return n\n        return call\n"
            "    return build\n\n"
            "@pytest.fixture(scope='session')\ndef judge():\n"
            "    def judge(outputs):\n        note('judged')\n        return 1.0\n    return judge\n\n"
            "@pytest.mark.promptune(app='app', runs=1, scorers=['judge'])\n"
            "@pytest.mark.parametrize('case', [Case(id='a', input=1)], ids=str)\n"
            "def test_it(case, sample):\n    pass\n"
        )
    )
    assert project.run(option).code == 0
    assert not (project.path / "calls.log").exists()
    assert list(project.run().calls) == ["built", "called", "judged"]


def test_looking_does_not_take_over(bot):
    """--setup-plan with --promptune-resume or --promptune-replay touches no experiment."""
    bot.run()
    before = log_of(bot.path).history()
    for option in ("--promptune-resume", "--promptune-replay=last"):
        assert bot.run(option, "--setup-plan").code == 0
    assert log_of(bot.path).history() == before


def test_the_option_values_are_stored_without_secrets(bot):
    """What was asked for is in the log; the password of a database in it is not."""
    bot.run("--promptune-concurrency=3", "--promptune-max-cost=7.5")
    with log_of(bot.path) as log:
        options = log.options_of("last")
    assert (options["concurrency"], options["max_cost"]) == (3, 7.5)


NOTED = """
import pytest
from pytest_promptune import Case

CASES = [
    Case(id="a", input={"q": "x"}, expected="y", tags={"category": "easy", "made": pytest}),
    Case(id="b", input={"q": "z"}),
]


@pytest.fixture(scope="session")
def app():
    return lambda inputs: inputs["q"]


@pytest.mark.promptune(app="app", runs=2)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_it(case, sample):
    assert sample.output
"""


@pytest.mark.parametrize("words", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_note_cases_and_series(pytester, words):
    """Sessions of the same cases are a series; what was noted and what the cases are is kept."""
    pytester.makepyfile(test_noted=NOTED)
    options = ("--promptune-report=", *words)
    pytester.runpytest_subprocess("--promptune-baseline", "--promptune-note= first try ", *options)
    pytester.runpytest_subprocess(*options)
    pytester.runpytest_subprocess("-k", "b-", *options)
    with log_of(pytester.path) as log:
        part, check, baseline = log.history()
        assert [each.note for each in (part, check, baseline)] == [None, None, "first try"]
        assert [found.id for found in log.series_of(baseline.series)] == [baseline.id, check.id]
        assert part.series not in (None, check.series)
        first, second = log.cases_of(check.id)
        assert (first.id, first.module, first.input, first.expected) == (
            "a",
            "test_noted.py",
            {"q": "x"},
            "y",
        )
        assert first.tags["category"] == "easy"
        assert first.tags["made"].startswith("<module")
        assert (second.id, second.expected, second.tags) == ("b", None, {})
        assert log.results_of(check.id)["variants"] == []


LATE = """
import pytest
from pathlib import Path
from pytest_promptune import Case

LOG = Path(__file__).parent / ".promptune" / "promptune.db"


@pytest.fixture(scope="session")
def app(request):
    yield lambda inputs: inputs["q"]
    if request.config.getini("when") == "teardown":
        LOG.unlink()


@pytest.mark.promptune(app="app", runs=2)
@pytest.mark.parametrize("case", [Case(id="a", input={"q": "x"})], ids=str)
def test_it(case, sample):
    assert sample.output
"""

CONFTEST = """
import pytest
from pathlib import Path


def pytest_addoption(parser):
    parser.addini("when", "when the log goes")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session):
    if session.config.getini("when") == "sessionfinish":
        (session.config.rootpath / ".promptune" / "promptune.db").unlink()
"""


@pytest.mark.parametrize("when", ["teardown", "sessionfinish"])
def test_a_fault_at_the_very_end_is_told(pytester, when):
    """The log is lost with the last result, which results tell too, or when only the end is to be written."""
    pytester.makeini(f"[pytest]\nwhen = {when}")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_late=LATE)
    ran = pytester.runpytest_subprocess("--promptune-report=", "--promptune-json=out.json")
    assert ran.ret == 0
    assert "the experiment log was deleted or replaced" in " ".join(ran.stdout.str().split())
    warnings = json.loads((pytester.path / "out.json").read_text(encoding="utf-8"))["warnings"]
    assert any("deleted or replaced" in text for text in warnings) is (when == "teardown")
