"""``--promptune-plan``: shows what a session would do, runs nothing, and fails where the session would."""

from __future__ import annotations

import re

import pytest

from pytest_promptune.store.log import ExperimentLog, locate

XDIST = ["xdist.plugin"]
PLAN = "--promptune-plan"

#: Each call reads 1,000 to 1,010 tokens of a model that costs one dollar for a million.
PRICED = """
import pytest
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pathlib import Path
from pytest_promptune import Case

CASES = [Case(id=f"c{i:02d}", input=f"c{i:02d}", expected="yes") for i in range(6)]


class Scripted(BaseChatModel):
    @property
    def _llm_type(self):
        return "scripted"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        read = 1_000_000 + 2_000 * int(messages[-1].content[1:])
        used = {"input_tokens": read, "output_tokens": 10, "total_tokens": read + 10}
        message = AIMessage("yes", usage_metadata=used, response_metadata={"model_name": "dollar"})
        return ChatResult(generations=[ChatGeneration(message=message)])


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return request.param


@pytest.fixture(scope="session")
def bot():
    model = Scripted()

    def answer(question):
        with (Path(__file__).parent / "calls.log").open("a") as log:
            log.write(question + "\\n")
        return model.invoke(question).content

    return answer
"""
PRICED_TESTS = """
import pytest

pytestmark = pytest.mark.promptune(app="bot", runs=3)


def test_it(case, sample):
    assert sample.output == "yes"
"""


def planned(project, *args, code=0, **options):
    """A plan that calls nothing and leaves nothing behind."""
    before = {path: path.read_bytes() for path in project.path.rglob("*") if _is_ours(path)}
    ran = project.run(PLAN, *args, **options)
    after = {path: path.read_bytes() for path in project.path.rglob("*") if _is_ours(path)}
    assert ran.code == code, ran.text
    assert ran.calls == []
    assert ran.json is None
    assert after == before
    assert "Traceback" not in ran.text
    assert "INTERNALERROR" not in ran.text
    return ran


def _is_ours(path):
    known = (".pytest_cache", "__pycache__", "calls.log")
    return path.is_file() and not set(known) & set(path.parts) and not path.name.endswith(("-shm", "-wal"))


def words(ran):
    return " ".join(ran.out.split())


def row(ran, app="bot"):
    """Cases, variants, runs, samples, tests and scorer calls of an app."""
    found = re.search(
        rf"^ +{re.escape(app)}(?: \([^)]*\))?\s+(\S+) +(\S+) +(\S+) +(\S+) +(\S+) +(\S+)$", ran.out, re.M
    )
    assert found, ran.out
    return found.groups()


def failed_line(ran, *said):
    """One failed line of the checklist says this."""
    text = words(ran)
    assert "failed " in text, ran.out
    for word in said:
        assert word in text, ran.out
    assert "Not ready" in text


# --- the matrix -----------------------------------------------------------------------------------


def test_shows_the_matrix_and_runs_nothing(bot):
    """Six cases, one variant and three runs are 18 samples, which two tests share; nothing is written."""
    ran = planned(bot)
    assert row(ran) == ("6", "1", "3", "18", "36", "0")
    assert "Ready" in ran.out
    assert not (bot.path / ".promptune").exists()
    assert not (bot.path / "promptune-report.md").exists()


def test_fits_80_columns(bot, monkeypatch):
    """No line of the plan is wider than the terminal."""
    monkeypatch.setenv("COLUMNS", "80")
    ran = planned(bot, "-v")
    shown = ran.out[ran.out.index("promptune: plan") :].splitlines()[1:]
    assert max(map(len, shown)) <= 80


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["-k", "c00 or c01"], ("2", "1", "3", "12", "12", "0")),
        (["-k", "test_words"], ("6", "1", "3", "18", "18", "0")),
        (["--promptune-runs=2"], ("6", "1", "2", "12", "24", "0")),
        (["--promptune-baseline"], ("6", "1", "3", "18", "36", "0")),
        (["--promptune-variant=worse"], ("6", "1", "3", "18", "36", "0")),
        (["--promptune-compare"], ("6", "2", "3", "36", "72", "0")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_and_deselection_count(tuned, args, expected):
    """The same options select the same samples as in a session."""
    if args[0] == "-k" and "c00" in args[1]:
        expected = ("2", "1", "3", "6", "12", "0")
    assert row(planned(tuned, *args), "tuned") == expected


def test_marks_select(bot):
    """-m deselects, and what has a skip mark is counted apart."""
    bot.write(
        {
            "test_bot.py": (bot.path / "test_bot.py").read_text()
            + "\n@pytest.mark.slow\ndef test_slow(case, sample):\n    pass\n"
            + "\n@pytest.mark.skip\ndef test_never(case, sample):\n    pass\n"
            + "\n@pytest.mark.skipif(False, reason='x')\ndef test_always(case, sample):\n    pass\n"
        }
    )
    bot.write({"pytest.ini": "[pytest]\nmarkers = slow\n"})
    ran = planned(bot, "-m", "not slow")
    assert row(ran) == ("6", "1", "3", "18", "54", "0")
    assert "18 tests not counted" in words(ran)


def test_last_failed_selects(bot):
    """--lf plans what it would run."""
    bot.record()
    assert bot.run("--promptune-gate=regression", miss="all").code == 1
    ran = planned(bot, "--lf")
    assert row(ran)[4] == "18"


def test_apps_of_modules_are_rows_of_their_own(bot):
    """Two modules with an app of their own under one name are two rows, with a sum."""
    own = "\n\n@pytest.fixture(scope='module')\ndef bot():\n    return lambda inputs: {'a': 'yes'}\n"
    text = (bot.path / "test_bot.py").read_text()
    bot.write({"test_one.py": text + own, "test_two.py": text + own})
    ran = planned(bot, "test_one.py", "test_two.py")
    assert "bot (test_one.py)" in ran.out
    assert "bot (test_two.py)" in ran.out
    assert re.search(r"^ +all +36 +72 +0$", ran.out, re.M)


def test_apps_of_folders_are_rows_of_their_own(bot):
    """Two folders with an app of one name are two apps, each estimated from its own samples."""
    for folder in ("one", "two"):
        bot.bot(name=f"{folder}/test_{folder}.py")
    ran = planned(bot, "one", "two")
    assert "bot (one)" in ran.out
    assert "bot (two)" in ran.out
    assert bot.run("one").code == 0
    assert "No stored experiment has samples of bot: estimates are unknown" in words(planned(bot, "two"))
    assert "from 18 samples" in words(planned(bot, "one"))


def test_scorer_calls_are_counted(bot):
    """Each sample is scored once by each scorer that one of its tests names."""
    _with_scorer(bot, "return lambda outputs: 1.0")
    ran = planned(bot)
    assert row(ran) == ("6", "1", "3", "18", "36", "18")
    assert "ok scorer judge: exists and can be called" in words(ran)


def _with_scorer(bot, body, scope="session"):
    text = (bot.path / "test_bot.py").read_text().replace("retries=0)", "retries=0, scorers=['judge'])")
    fixture = f"\n\n@pytest.fixture(scope={scope!r})\ndef judge():\n    {body}\n"
    bot.write({"test_bot.py": text + fixture})


def test_verbosity(bot):
    """-q is the totals and what is not in order; -v adds the cases."""
    quiet = planned(bot, "-q")
    assert "promptune plan: 18 samples, 36 tests, 0 scorer calls" in quiet.out
    assert "warning  baseline of test_bot.py" in quiet.out
    assert "ok  " not in quiet.out
    assert "Matrix" not in quiet.out
    assert "c00, c01, c02" not in planned(bot).out
    assert "cases of bot: c00, c01, c02" in planned(bot, "-v").out


# --- where it ends --------------------------------------------------------------------------------


def test_usage_errors_stay_usage_errors(tuned):
    """An unknown variant is no line of a checklist."""
    assert tuned.run(PLAN, "--promptune-variant=wrose").refused("wrose")
    assert tuned.run(PLAN, "--promptune-variant=wrose", "--promptune-require-baseline").refused("wrose")
    assert tuned.run(PLAN, "--promptune-margin=nothing=0.1").refused("nothing")
    assert tuned.run(PLAN, "--promptune-resume", "--promptune-replay=last").refused("contradict")


def test_collect_only_wins(bot):
    """--collect-only lists the tests as ever."""
    ran = bot.run(PLAN, "--collect-only", "-q")
    assert ran.code == 0
    assert "promptune plan" not in ran.out
    assert "test_answer" in ran.out
    assert ran.calls == []


def test_setup_plan_wins(bot):
    """So does --setup-plan, under which fixtures give nothing that could be checked."""
    ran = bot.run(PLAN, "--setup-plan")
    assert ran.calls == []
    assert "Checklist" not in ran.out


def test_workers_are_not_started(bot):
    """-n is ignored: nothing is run, so nothing is distributed."""
    pytest.importorskip("xdist")
    ran = planned(bot, "-n", "2", plugins=XDIST)
    assert row(ran) == ("6", "1", "3", "18", "36", "0")
    assert "2 workers" not in ran.out


def test_without_promptune_tests(project):
    """It says so in one line, and other tests are not run either."""
    project.write(test_plain="def test_fails():\n    assert False\n")
    ran = project.run(PLAN)
    assert ran.code == 0
    assert "promptune: nothing to plan, no promptune test is selected" in ran.out
    assert ran.items == {}


def test_errors_end_with_one_full_stop(bot):
    """Also where the exception has one of its own."""
    bot.write(
        test_other='import pytest\n\n@pytest.fixture(scope="session")\ndef gone():\n'
        '    raise RuntimeError("It ended here.")\n\n\n@pytest.mark.promptune(app="gone")\n'
        "def test_gone(case, sample):\n    pass\n"
    )
    assert "raises RuntimeError: It ended here. Run its test" in words(planned(bot, code=1))


def test_without_any_test(bot):
    """The exit code is pytest's own for nothing collected."""
    ran = planned(bot, "-k", "nothing", code=5)
    assert "nothing to plan" in ran.out


def test_collection_errors_stay_what_they_are(bot):
    """A module that can't be imported interrupts the session, as without a plan."""
    bot.write(test_broken="import nothing_of_this_name\n")
    ran = bot.run(PLAN)
    assert ran.code == 2
    assert ran.calls == []
    assert "Checklist" not in ran.out
    ran = bot.run(PLAN, "--continue-on-collection-errors")
    assert ran.code == 1
    assert "Checklist" in ran.out


@pytest.mark.parametrize(
    "argument", ["--promptune-variant=nope", "--promptune-runs=0", "--promptune-goals=no.md", "no_test.py"]
)
def test_usage_errors_are_those_of_the_session(bot, argument):
    """The same exit code; nothing is planned."""
    ran = planned(bot, argument, code=4)
    assert "Checklist" not in ran.out


# --- estimates ------------------------------------------------------------------------------------


@pytest.fixture
def priced(project):
    """A suite whose calls cost a dollar each."""
    project.write({"conftest.py": PRICED, "test_bot.py": PRICED_TESTS})
    project.write({"pytest.ini": "[pytest]\npromptune_prices = dollar = 1 / 0\n"})
    return project


def test_nothing_stored_is_said(bot):
    """Without an experiment there are no numbers, and one line says so."""
    assert "No experiment is stored yet: estimates are unknown" in words(planned(bot))
    assert "Estimates" not in planned(bot).out
    assert "--promptune-store is empty" in words(planned(bot, "--promptune-store="))


def test_estimates_come_from_stored_samples(priced):
    """18 samples were measured; 36 will take twice as much, to two digits, from their spread."""
    priced.record()
    ran = planned(priced, "--promptune-runs=6", "--promptune-rate=2/s")
    with ExperimentLog(locate(None, root=priced.path)) as log:
        assert f"from 18 samples of experiment {log.experiment().id}" in words(ran)
        assert len(log.history()) == 1
    line = next(line for line in ran.out.splitlines() if re.match(r" +bot +36 ", line))
    assert line.split() == ["bot", "36", "36,000,000", "360", "$36"]
    assert re.search(r"time: 18(–18)? s \(16 in flight, at most 2.00 begun per second\)", words(ran))


def test_an_app_that_was_never_measured_is_unknown(priced):
    """The newest experiment without its samples says nothing of it."""
    priced.record()
    text = (
        PRICED_TESTS.replace('"bot"', '"other"')
        + "\n\n@pytest.fixture(scope='module')\ndef other(bot):\n    return bot\n"
    )
    priced.write({"test_other.py": text})
    ran = planned(priced)
    assert "No stored experiment has samples of other" in words(ran)
    assert re.search(r"^ +other +unknown +unknown +unknown +unknown$", ran.out, re.M)


def test_an_unreadable_store_is_said(bot):
    """No traceback: one line for the estimates, one failed line of the checklist."""
    (bot.path / ".promptune").mkdir()
    (bot.path / ".promptune" / "promptune.db").write_text(
        "this is no database, and long enough to tell " * 20
    )
    ran = planned(bot, code=1)
    assert "The experiment log can't be read, estimates are unknown" in words(ran)
    failed_line(ran, "failed experiment log")


def test_a_budget_below_the_estimate_is_pointed_out(priced):
    """It would leave samples out: a warning, as the session would run."""
    priced.record()
    assert "$5.00 is less than the lower end" in words(planned(priced, "--promptune-max-cost=5"))
    assert "less than the lower end" not in words(planned(priced, "--promptune-max-cost=50"))


def test_resuming_counts_what_is_left(bot):
    """Samples of the interrupted session are taken over, not measured."""
    text = (bot.path / "test_bot.py").read_text()
    stop = "\n\ndef test_z(case, sample):\n    import os\n    if os.environ.get('BOT_STOP') == case.id:\n"
    bot.write({"test_bot.py": text + stop + "        raise KeyboardInterrupt\n"})
    interrupted = bot.run("--promptune-baseline", "--promptune-concurrency=1", stop="c01")
    assert interrupted.code == 2
    stored = len(interrupted.calls)
    ran = planned(bot, "--promptune-baseline", "--promptune-resume")
    found = re.search(r"bot: (\d+) samples taken from the store", words(ran))
    assert found, ran.out
    assert 0 < int(found[1]) <= stored < 18
    other = planned(bot, "--promptune-baseline", "--promptune-resume", "--promptune-runs=7", code=4)
    assert "measured under other conditions" in other.text


def test_replaying_makes_no_app(bot):
    """The app's fixture isn't even asked for."""
    bot.run()
    text = (bot.path / "conftest.py").read_text()
    bot.write(
        {"conftest.py": text.replace("    return answer\n\n\n@", "    raise RuntimeError('made')\n\n\n@", 1)}
    )
    ran = planned(bot, "--promptune-replay=last")
    assert "18 samples taken from the store" in words(ran)
    assert "made" not in ran.out


# --- the smallest change --------------------------------------------------------------------------


def test_smallest_change_from_the_baseline(bot):
    """Recorded runs say how far runs differ; without any the plan says what is missing."""
    assert "Smallest change of test_answer, test_words: unknown" in words(planned(bot))
    bot.record("--promptune-store=", p="0.6")
    assert re.search(
        r"test_answer: [\d.]+ points against baseline main \(6 cases, 3 runs\)", words(planned(bot))
    )
    assert "runs against" in words(planned(bot, "--promptune-runs=5"))


def test_smallest_change_from_stored_scores(tuned):
    """Without a baseline stored scores do; a comparison is of two sides of this size."""
    tuned.run(p="0.6")
    assert re.search(
        r"test_answer: [\d.]+ points against current", words(planned(tuned, "--promptune-compare"))
    )
    assert "depends on how much the cases" in words(planned(tuned, "--promptune-scope=population"))


# --- the checklist, each line failing once --------------------------------------------------------


def test_an_app_that_raises_fails(bot):
    """The type and the first line of its exception, no traceback."""
    text = (bot.path / "conftest.py").read_text()
    broken = "    raise ValueError('no key is set\\nsecond line')\n\n\n@"
    bot.write({"conftest.py": text.replace("    return answer\n\n\n@", broken, 1)})
    ran = planned(bot, code=1)
    failed_line(ran, "failed app bot: its fixture raises ValueError: no key is set.")
    assert "second line" not in ran.out
    assert row(ran) == ("6", "1", "3", "18", "36", "0")


def test_secrets_are_not_shown(bot, monkeypatch):
    """An exception may quote a key."""
    monkeypatch.setenv("BOT_API_KEY", "sk-proj-abcdefghijklmnop0123456789")
    text = (bot.path / "conftest.py").read_text()
    broken = "    raise ValueError('bad key ' + os.environ['BOT_API_KEY'])\n\n\n@"
    bot.write({"conftest.py": text.replace("    return answer\n\n\n@", broken, 1)})
    ran = planned(bot, code=1)
    failed_line(ran, "raises ValueError: bad key")
    assert "abcdefghij" not in ran.text


def test_an_app_that_does_not_exist_fails(bot):
    """With the fixture that is asked for, and what to do."""
    bot.write({"test_bot.py": (bot.path / "test_bot.py").read_text().replace('"bot"', '"bto"')})
    failed_line(planned(bot, code=1), "failed app bto:", "there is no fixture 'bto'")


def test_an_app_that_lacks_a_fixture_fails(bot):
    """What the app's fixture asks for and isn't there."""
    text = (bot.path / "conftest.py").read_text()
    bot.write({"conftest.py": text.replace("def bot():", "def bot(missing):")})
    failed_line(planned(bot, code=1), "failed app bot:", "asks for 'missing'")


def test_an_app_that_cannot_be_called_fails(bot):
    """So does one that doesn't live long enough."""
    text = (bot.path / "conftest.py").read_text()
    bot.write({"conftest.py": text.replace("    return answer\n\n\n@", "    return 3\n\n\n@", 1)})
    failed_line(planned(bot, code=1), "failed app bot:", "which can't be called")
    bot.write({"conftest.py": text.replace('scope="session")\ndef bot', 'scope="function")\ndef bot')})
    failed_line(planned(bot, code=1), "failed app bot:", "has scope 'function'")


def test_an_app_that_skips_is_counted_apart(bot):
    """Its tests would be skipped."""
    text = (bot.path / "conftest.py").read_text()
    bot.write(
        {"conftest.py": text.replace("    return answer\n\n\n@", "    pytest.skip('no key')\n\n\n@", 1)}
    )
    ran = planned(bot)
    assert "warning app bot: its fixture skips: no key" in words(ran)
    assert "36 tests not counted" in words(ran)


def test_an_app_of_a_class(bot):
    """A fixture of a class, and one with parameters, are found where the tests are."""
    bot.write(
        test_class="""
import pytest
from conftest import answer


class TestBot:
    pytestmark = pytest.mark.promptune(app="own", runs=2)

    @pytest.fixture(scope="module", params=["a", "b"])
    @classmethod
    def own(cls, request):
        assert cls is TestBot and request.param in "ab"
        return lambda inputs: answer(inputs)

    def test_it(self, case, own, sample):
        assert sample.output["a"] == "yes"
"""
    )
    ran = planned(bot, "test_class.py", "-p", "no:cacheprovider", "--import-mode=prepend")
    assert row(ran, "own") == ("6", "1", "2", "24", "24", "0")
    assert "ok app own" in words(ran)


def test_a_builder_that_raises_fails(tuned):
    """The variant under which it does is named."""
    text = (tuned.path / "conftest.py").read_text()
    tuned.write(
        {
            "conftest.py": text.replace(
                "    def build(variant):\n", "    def build(variant):\n        variant.context['x']\n"
            )
        }
    )
    failed_line(planned(tuned, code=1), "failed app tuned:", "building it for 'current' raises KeyError")


def test_a_variant_that_does_not_apply_fails(bot):
    """A context that the app hasn't got; a template without an environment."""
    bot.variant("worse", "c00")
    bot.write({"prompts/variants/tpl/classify.j2": "Hello"})
    ran = planned(bot, "--promptune-compare", code=1)
    failed_line(ran, "failed variant worse:", "sets [context]", "failed variant tpl:", "promptune_jinja_env")


def test_templates_are_checked(bot):
    """One that replaces nothing, and an environment that can't be imported, are failed lines."""
    bot.write(
        {
            "app_prompts.py": "from jinja2 import DictLoader, Environment\n"
            "env = Environment(loader=DictLoader({'a.j2': 'Hi {{ name }}'}))\n"
        }
    )
    bot.write({"prompts/variants/good/a.j2": "Hello {{ name }}", "prompts/variants/bad/b.j2": "Hello"})
    bot.write({"pytest.ini": "[pytest]\npromptune_jinja_env = app_prompts:env\n"})
    ran = planned(bot, "--promptune-compare", code=1)
    failed_line(ran, "failed variant bad:", "replaces nothing", "ok variant good: applies, one change")
    assert "good: template a.j2" in words(ran)
    bot.write({"pytest.ini": "[pytest]\npromptune_jinja_env = app_prompts:nothing\n"})
    failed_line(planned(bot, "--promptune-compare", code=1), "failed templates:", "nothing")


def test_more_changes_than_one(tuned):
    """A warning, or a failed line where that is refused."""
    tuned.write({"prompts/variants/two.toml": '[context]\nprompt = "Be very kind."\ntemperature = 0.5\n'})
    assert "warning variant two: Variant 'two' is more than one change" in words(
        planned(tuned, "--promptune-compare")
    )
    tuned.write({"pytest.ini": "[pytest]\npromptune_one_change = true\n"})
    failed_line(
        planned(tuned, "--promptune-compare", code=1), "failed variant two:", "promptune_one_change refuses"
    )


@pytest.mark.parametrize(
    ("body", "scope", "said"),
    [
        ("return 3", "session", "which can't be called"),
        ("return lambda question: 1", "session", "needs 'question'"),
        ("raise RuntimeError('no judge')", "session", "raises RuntimeError: no judge"),
        ("return lambda outputs: 1", "function", "has scope 'function'"),
    ],
)
def test_a_scorer_that_cannot_score_fails(bot, body, scope, said):
    """Each for its reason."""
    _with_scorer(bot, body, scope)
    failed_line(planned(bot, code=1), "failed scorer judge:", said)


def test_a_scorer_that_does_not_exist_fails(bot):
    """As a missing app does."""
    text = (bot.path / "test_bot.py").read_text().replace("retries=0)", "retries=0, scorers=['judge'])")
    bot.write({"test_bot.py": text})
    failed_line(planned(bot, code=1), "failed scorer judge:", "there is no fixture 'judge'")


def test_a_log_that_cannot_be_made_fails(bot):
    """A file in place of its folder."""
    bot.write({"taken": "a file"})
    ran = planned(bot, "--promptune-store=sqlite:///taken/log.db", code=1)
    failed_line(ran, "failed experiment log:", "is no folder")


def test_the_baseline_is_checked(bot):
    """Missing, lacking cases, changed cases, lacking tests, damaged; all of it only as far as it matters."""
    assert "warning baseline of test_bot.py: __promptune__/test_bot.main.json isn't there" in words(
        planned(bot)
    )
    failed_line(planned(bot, "--promptune-require-baseline", code=1), "failed baseline of test_bot.py:")
    assert "ok baseline of test_bot.py: none yet, will be recorded" in words(
        planned(bot, "--promptune-baseline")
    )
    bot.record("-k", "test_answer", cases="5")
    ran = planned(bot)
    assert "lacks the case c05; lacks the metric test_words" in words(ran)
    bot.record()
    assert "has these cases and tests" in words(planned(bot))
    bot.write(
        {
            "conftest.py": (bot.path / "conftest.py")
            .read_text()
            .replace('"a": "yes"}, tags', '"a": "yes", "b": 1}, tags')
        }
    )
    assert "has another content of the 6 cases c00" in words(planned(bot))
    bot.baseline.write_text("{")
    failed_line(planned(bot, code=1), "failed baseline of test_bot.py:", "not a baseline file")


def test_cases_are_checked(project):
    """Duplicates, lacking expectations and balance are warnings; one id for two cases fails."""
    suite = """
import pytest
from pytest_promptune import Case

pytestmark = pytest.mark.promptune(app="bot", runs=1)
CASES = [
    Case(id="a", input="x", expected=1, tags={"difficulty": "hard"}),
    Case(id="b", input="x", expected=1, tags={"difficulty": "hard"}),
    Case(id="c", input="z", tags={"difficulty": "hard"}),
    Case(id="d", input="w", expected=1, tags={"difficulty": "easy"}),
]


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return request.param


@pytest.fixture(scope="session")
def bot():
    return lambda inputs: 1


def test_it(case, sample):
    pass
"""
    project.write(test_bot=suite)
    text = words(planned(project))
    assert "the same input under different ids, which counts it several times: a = b" in text
    assert "no expected in 1 of 4 cases: c" in text
    assert (
        "warning balance of difficulty: hard 75 %, easy 25 %: medium should be 30–40 %; hard should be"
        in text
    )
    project.write(test_bot=suite.replace('id="b"', 'id="a"'))
    failed_line(planned(project, code=1), "two cases have the id 'a'")


def test_a_module_that_does_not_set_up_fails(bot):
    """Its tests' app can't be asked for."""
    broken = "\n\n@pytest.fixture(autouse=True, scope='module')\ndef database():\n"
    broken += "    raise OSError('no database')\n"
    bot.write({"test_bot.py": (bot.path / "test_bot.py").read_text() + broken})
    failed_line(planned(bot, code=1), "failed app bot:", "OSError: no database")


def test_what_fixtures_print_is_captured(bot):
    """An app that prints while it is built doesn't write into the plan."""
    text = (bot.path / "conftest.py").read_text()
    bot.write(
        {
            "conftest.py": text.replace(
                "    return answer\n\n\n@", "    print('LOUD')\n    return answer\n\n\n@", 1
            )
        }
    )
    assert "LOUD" not in planned(bot).out


def test_a_fixture_of_all_tests_may_want_the_sample(bot):
    """An autouse fixture that uses it gets none; the app is asked for all the same, and not called."""
    auto = "\n\n@pytest.fixture(autouse=True)\ndef looks(sample, variant):\n    assert sample.output\n"
    bot.write({"test_bot.py": (bot.path / "test_bot.py").read_text() + auto})
    assert bot.run().code == 0
    ran = planned(bot)
    assert "ok app bot: exists and can be called" in words(ran)
    assert row(ran) == ("6", "1", "3", "18", "36", "0")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("import sys; sys.exit('no key')", "raises SystemExit: no key"),
        ("pytest.fail('no key')", "fails Failed: no key"),
        ("pytest.fail('')", "fails Failed."),
        ("pytest.exit('no key')", "raises Exit: no key"),
    ],
)
def test_however_a_fixture_ends(bot, statement, said):
    """It is a failed line, not the end of the plan."""
    text = (bot.path / "conftest.py").read_text()
    bot.write({"conftest.py": text.replace("    return answer\n\n\n@", f"    {statement}\n\n\n@", 1)})
    failed_line(planned(bot, code=1), f"failed app bot: its fixture {said}")


def test_what_cannot_be_taken_down_is_said(bot):
    """A warning: the samples would be there by then."""
    text = (bot.path / "conftest.py").read_text()
    broken = "    yield answer\n    raise OSError('already closed')\n\n\n@"
    bot.write({"conftest.py": text.replace("    return answer\n\n\n@", broken, 1)})
    assert "warning app bot: taking its fixtures down raises OSError: already closed" in words(planned(bot))


def test_nothing_but_skipped_tests(bot):
    """There is nothing to count and nothing to build."""
    text = (bot.path / "test_bot.py").read_text()
    bot.write({"test_bot.py": text + "\npytestmark = [pytestmark, pytest.mark.skip]\n"})
    assert "36 tests not counted" in words(planned(bot))
    assert "0 samples, 0 tests" in planned(bot, "-q").out


def test_nothing_to_resume(bot):
    """It would measure everything, and says so."""
    assert "everything would be measured" in words(planned(bot, "--promptune-resume"))
    bot.run()
    assert "everything would be measured" in words(planned(bot, "--promptune-resume"))
    assert bot.run(PLAN, "--promptune-replay=nothing").refused("nothing")


def test_an_async_builder_is_awaited(tuned):
    """As a session does; what it builds isn't called."""
    text = (tuned.path / "conftest.py").read_text()
    tuned.write({"conftest.py": text.replace("    def build(variant)", "    async def build(variant)")})
    assert "ok app tuned" in words(planned(tuned, "--promptune-compare"))


def test_a_case_that_only_a_fixture_knows(project):
    """Each of its tests is taken to have one."""
    project.write(
        test_bot="""
import pytest
from pytest_promptune import Case

pytestmark = pytest.mark.promptune(app="bot", runs=2)


@pytest.fixture
def case():
    return Case(id="a", input="x")


@pytest.fixture(scope="session")
def bot():
    return lambda inputs: 1


def test_it(case, sample):
    pass
"""
    )
    ran = planned(project)
    assert row(ran) == ("?", "1", "2", "2", "2", "0")
    assert "warning cases: known only when fixtures run" in words(ran)
