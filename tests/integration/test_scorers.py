"""Scorers: evaluators that fixtures give, run right after each sample."""

from __future__ import annotations

import json
import re

import pytest

from pytest_promptune.store.log import ExperimentLog, locate

#: Fixtures of many kinds. Every call of one leaves a line in scored.log: its name and the case's question.
SCORERS = """
import asyncio, os, threading, time
from pathlib import Path
import pytest

SCORED = Path(__file__).parent / "scored.log"
_lost = set()

def note(name, q):
    with SCORED.open("a") as log:
        log.write(f"{name} {q}\\n")

@pytest.fixture(scope="session")
def right():
    def evaluator(inputs, outputs, reference_outputs):
        note("right", inputs["q"])
        return outputs["a"] == reference_outputs["a"]
    return evaluator

@pytest.fixture(scope="session")
def length():
    async def evaluator(*, outputs, **kwargs):
        assert set(kwargs) == {"inputs", "reference_outputs"}
        await asyncio.sleep(0)
        note("length", kwargs["inputs"]["q"])
        comment = "token=sk-proj-abcdefghijklmnopqrstuvwxyz123456"
        return {"key": "chars", "score": len(outputs["a"]), "comment": comment}
    return evaluator

@pytest.fixture(scope="session")
def both():
    def evaluator(*, outputs):
        outputs["a"] = "spoilt"
        return [{"key": "one", "score": True}, {"key": "two", "score": 0.5, "comment": None}]
    return evaluator

@pytest.fixture(scope="session")
def picky():
    def evaluator(inputs):
        if inputs["q"] == 1:
            raise ValueError("cannot judge this")
        return float("nan") if inputs["q"] == 2 else "good" if inputs["q"] == 3 else 1.0
    return evaluator

@pytest.fixture(scope="session")
def lossy():
    async def evaluator(inputs):
        note("lossy", inputs["q"])
        if inputs["q"] == 4 or inputs["q"] not in _lost:
            _lost.add(inputs["q"])
            raise ConnectionError("connection reset")
        return 1
    return evaluator

@pytest.fixture(scope="session")
def slow():
    def evaluator(inputs):
        time.sleep(30 if inputs["q"] == 0 else 0)
        return True
    return evaluator

@pytest.fixture
def narrow():
    return lambda outputs: True

@pytest.fixture(scope="session")
def nothing():
    return None

@pytest.fixture(scope="session")
def foreign():
    return lambda run, example: True
"""

TESTS = """
import pytest

pytestmark = pytest.mark.promptune(
    app="bot", runs={runs}, retries={retries}, timeout={timeout}, scorers={scorers}
)


def test_answer(case, sample):
    assert sample.output["a"] == case.expected["a"]


def test_other(case, sample):
    pass
"""


@pytest.fixture
def suite(project):
    """A suite on the bot; `scorers` are those of its module."""

    def make(*scorers: str, runs: int = 1, retries: int = 0, timeout: float = 20, name: str = "test_bot.py"):
        text = TESTS.format(scorers=list(scorers), runs=runs, retries=retries, timeout=timeout)
        if not (project.path / "conftest.py").exists():
            project.bot(text, name=name)
            conftest = project.path / "conftest.py"
            conftest.write_text(conftest.read_text() + SCORERS)
        else:
            project.write({name: text})
        return project

    return make


def scored(project) -> list[str]:
    log = project.path / "scored.log"
    return sorted(log.read_text().splitlines()) if log.exists() else []


@pytest.mark.parametrize("workers", [0, 2])
def test_all_kinds_of_answers(suite, workers):
    """Bool, number, dict and list, sync and async: one value for each sample, whatever tests share it."""
    project = suite("right", "length", "both", runs=2)
    args = ("-n", str(workers)) if workers else ()
    ran = project.run("--promptune-baseline", *args, plugins=("xdist.plugin",) if workers else (), miss="c01")
    assert ran.code == 0, ran.text
    assert ran.counts == {"passed": 22, "missed": 2}
    right = ran.metric("bot::right")
    assert (right["kind"], right["direction"], right["unit"]) == ("binary", "higher", None)
    assert (right["mean"], right["n_samples"], right["n_missing"]) == (pytest.approx(5 / 6, rel=1e-5), 12, 0)
    assert ran.metric("bot::chars")["mean"] == pytest.approx((5 * 3 + 2) / 6, rel=1e-5)
    assert ran.metric("bot::chars")["kind"] == "score"
    assert (ran.metric("bot::one")["kind"], ran.metric("bot::two")["mean"]) == ("binary", 0.5)
    assert scored(project) == sorted(
        f"{name} {q}" for name in ("right", "length") for q in range(6) for _ in "12"
    )
    assert len(ran.calls) == 12
    assert ran.json["warnings"] == []


def test_gated_by_default(suite):
    """A judge that turns against the app fails the gate; one that the marker leaves out doesn't."""
    project = suite("right", runs=5)
    project.record()
    ran = project.run(miss="c00,c01,c02,c03,c04,c05")
    assert ran.code == 1
    assert ran.row("bot::right")["gate"] == "failed"
    project.write(
        test_bot=TESTS.format(scorers=["right"], runs=5, retries=0, timeout=20).replace(
            "retries=0", "retries=0, gate=['error_rate']"
        )
    )
    ran = project.run(miss="c00,c01,c02,c03,c04,c05")
    assert ran.row("bot::right")["gate"] == "off"


def test_failures_are_missing(suite):
    """What a scorer can't tell is missing there alone, and told with its name."""
    ran = suite("picky", "right").run("--promptune-baseline")
    assert ran.code == 0, ran.text
    picky = ran.metric("bot::picky")
    assert (picky["mean"], picky["n_samples"], picky["n_cases"]) == (1.0, 3, 3)
    assert ran.metric("bot::right")["n_samples"] == 6
    assert ran.metric("bot::error_rate")["mean"] == 0
    told = " ".join(ran.json["warnings"])
    assert "The scorer 'picky' gave no score for 1 sample of bot (c01): ValueError: cannot judge this" in told
    assert "(c02): ScoreError: the score 'picky': the value is nan" in told
    assert "(c03): ScoreError: the score 'picky': the value is 'good'" in told
    assert "cannot judge this" in ran.out


#: What the judge does is said by the variable BOT_JUDGE.
MOODY = """
@pytest.fixture(scope="session")
def moody():
    def evaluator(inputs, outputs):
        mood = os.environ.get("BOT_JUDGE", "")
        if mood == "raise" or (mood == "strict" and outputs["a"] == "no"):
            raise ValueError("no rubric for token=sk-proj-abcdefghijklmnopqrstuvwxyz123456")
        if mood == "lose":
            raise ConnectionError("connection reset")
        if mood == "slow":
            time.sleep(30)
        if mood == "nonsense":
            return "good"
        said = f"|<b>{inputs['q']}</b>\\x1b[2J said sk-proj-abcdefghijklmnopqrstuvwxyz123456"
        comment = said + " and on" * 100
        return {"key": "mood", "score": 0.25 if mood == "harsh" else 0.9, "comment": comment}
    return evaluator
"""


@pytest.fixture
def moody(suite):
    """A suite whose scorer is called `moody` and its metric `mood`."""
    project = suite("moody", "right", runs=2, timeout=1)
    conftest = project.path / "conftest.py"
    conftest.write_text(conftest.read_text() + MOODY)
    return project


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("mood", "words"),
    [
        ("raise", "ValueError: no rubric for token=[redacted]. Mend it, or take it out of the marker's"),
        ("lose", "ConnectionError: connection reset. What it calls could not be reached: run again"),
        ("slow", "Give it more time with the marker's timeout="),
        ("nonsense", "ScoreError: the score 'moody': the value is 'good'"),
    ],
)
def test_a_scorer_that_never_scores_fails_the_gate(moody, mood, words, workers):
    """As an app that never answers: one failed decision that says what to do, exit code 1; no secrets."""
    moody.record()
    args = ("-n", str(workers)) if workers else ()
    ran = moody.run(*args, plugins=("xdist.plugin",) if workers else (), judge=mood)
    assert ran.code == 1, ran.text
    failed = [item for item in ran.json["gate"] if item["failed"]]
    assert [item["nodeid"] for item in failed] == ["test_bot.py::bot::gate[bot::mood-current]"]
    assert "the scorer 'moody' gave no score for any of 12 samples of bot" in failed[0]["message"]
    assert words in failed[0]["message"]
    assert "FAILED test_bot.py::bot::gate[bot::mood-current] - bot::mood: the scorer" in ran.out
    report = (moody.path / "promptune-report.md").read_text()
    assert "# Prompt regression check: gate failed: bot::mood: the scorer 'moody' gave no score for" in report
    assert "Record the baseline again" not in ran.text  # that would lose what it has
    assert "sk-proj" not in ran.text + report + json.dumps(ran.json)
    assert ran.gates["test_bot.py::bot::gate[bot::right-current]"]


def test_a_mended_scorer_is_asked_again(moody):
    """The command of the failed decision costs no call of the app, and passes."""
    moody.record()
    ran = moody.run(judge="raise")
    (hint,) = [item["hint"] for item in ran.json["gate"] if item["failed"]]
    assert hint.endswith("pytest --promptune-replay=last")
    ran = moody.run("--promptune-replay=last")
    assert (ran.code, ran.calls) == (0, [])
    assert ran.gates["test_bot.py::bot::gate[bot::mood-current]"]


def test_a_silent_scorer_where_nothing_is_gated(moody):
    """No baseline yet, recording, and the gate off: warnings, quiet or not, and exit code 0."""
    ran = moody.run(judge="raise")
    assert (ran.code, ran.json["gate"]) == (0, [])
    assert "The scorer 'moody' gave no score for 12 samples of bot" in " ".join(ran.out.split())
    ran = moody.run("--promptune-baseline", "-q", judge="raise")
    assert (ran.code, ran.json["gate"]) == (0, [])
    told = " ".join(ran.out.split())
    assert "test_bot.py was recorded although the scorer 'moody' gave no score for any of 12 samples" in told
    moody.record()
    ran = moody.run("--promptune-gate=off", "-q", judge="raise")
    assert (ran.code, ran.json["gate"]) == (0, [])
    assert "The scorer 'moody' gave no score for 12 samples of bot" in " ".join(ran.out.split())


def test_a_scorer_that_is_silent_under_a_variant(moody):
    """`current` has the metric and the variant hasn't: that is no pass, and the variant isn't adopted."""
    tests = moody.path / "test_bot.py"
    tests.write_text(tests.read_text().replace('app="bot"', 'app="tuned"'))
    moody.variant("other", *(f"c{i:02d}" for i in range(6)))
    ran = moody.run("--promptune-compare")
    assert ran.gates["test_bot.py::tuned::gate[tuned::mood-other]"], ran.text
    ran = moody.run("--promptune-compare", judge="strict")
    assert ran.code == 1
    assert not ran.gates["test_bot.py::tuned::gate[tuned::mood-other]"]
    row = ran.row("tuned::mood", "other")
    assert (row["verdict"], row["gate"]) == ("inconclusive", "failed")
    assert "gave no score for any of 12 samples of tuned under other" in row["reason"]
    assert ran.json["decision"]["action"] != "adopt"


def test_failed_gates_quote_their_scorer(moody):
    """Terminal, report and results say why a judge gave so little: its words, harmless, short, no secrets."""
    moody.record()
    ran = moody.run(judge="harsh")
    assert ran.code == 1
    (item,) = [item for item in ran.json["gate"] if item["failed"]]
    assert item["nodeid"] == "test_bot.py::bot::gate[bot::mood-current]"
    assert len(item["examples"]) == 5
    first = item["examples"][0]
    assert first.startswith("c00: 0.250, |<b>0</b> said [redacted] and on and on")
    assert first.endswith("… (2 times)")
    assert len(first) < 240
    assert "c00: 0.250, |<b>0</b> said [redacted] and on" in ran.out.partition("FAILURES")[2]
    report = (moody.path / "promptune-report.md").read_text()
    assert "c00: 0.250, \\|\\<b>0\\</b> said \\[redacted] and on" in report.replace("\\[", "[").replace(
        "[redacted]", "\\[redacted]"
    )
    assert "sk-proj" not in ran.text + report + json.dumps(ran.json)
    assert "\x1b[2J" not in ran.text + report


def test_comments_stand_in_the_log_once(moody):
    """With the sample, in full; what an item contributes is stored without them."""
    moody.record(judge="harsh")
    with ExperimentLog(locate(None, root=moody.path)) as log:
        sample = next(iter(log.samples("last")))
        results = list(log.results("last"))
    assert len(sample.record.scorings[0].scores[0].comment) > 700
    scores = [result.scores["bot::mood"] for result in results]
    assert {(score.scorer, score.comment) for score in scores} == {("moody", "")}


def test_errored_samples_are_not_scored(suite):
    """There is nothing to judge: the score is missing, and no scorer is to blame."""
    project = suite("right")
    ran = project.run("--promptune-baseline", **{"raise": "c01"})
    assert ran.metric("bot::right")["n_samples"] == 5
    assert ran.json["warnings"] == []
    assert "right 1" not in scored(project)


def test_lost_calls_are_tried_again(suite):
    """By the rules of samples: what is transient, as often as the marker says."""
    project = suite("lossy", retries=1)
    ran = project.run("--promptune-baseline")
    assert ran.metric("bot::lossy")["n_samples"] == 5
    assert scored(project) == sorted(f"lossy {q}" for q in range(6) for _ in "12")
    assert "'lossy' gave no score for 1 sample of bot (c04): ConnectionError" in " ".join(
        ran.json["warnings"]
    )
    assert len(ran.calls) == 6


def test_time_outs(suite):
    """A scorer has the marker's seconds, beside those of the app."""
    ran = suite("slow", timeout=0.4).run("--promptune-baseline")
    assert ran.seconds < 15
    assert ran.metric("bot::slow")["n_samples"] == 5
    assert "'slow' gave no score for 1 sample of bot (c00): TimeoutError" in " ".join(ran.json["warnings"])
    assert ran.metric("bot::error_rate")["mean"] == 0


@pytest.mark.parametrize("workers", [0, 2])
def test_modules_with_scorers_of_their_own(suite, workers):
    """Each metric is in the modules that name its scorer, and each call is made once."""
    project = suite("right", "length")
    suite("length", "both", name="test_later.py")
    args = ("-n", str(workers)) if workers else ()
    ran = project.run("--promptune-baseline", *args, plugins=("xdist.plugin",) if workers else ())
    assert ran.code == 0, ran.text
    assert len(ran.calls) == 6
    found = {(row["module"], row["metric"]) for row in ran.json["metrics"]}
    assert {m for m in found if m[1] in ("bot::right", "bot::chars", "bot::one")} == {
        ("test_bot.py", "bot::right"),
        ("test_bot.py", "bot::chars"),
        ("test_later.py", "bot::chars"),
        ("test_later.py", "bot::one"),
    }
    assert scored(project) == sorted(f"{name} {q}" for name in ("right", "length") for q in range(6))


@pytest.mark.parametrize("scope", ["session", "module"])
def test_scorers_that_only_a_later_module_has(suite, scope):
    """What the first module can't reach is asked when its own module comes, for all samples at once."""
    project = suite("right")
    suite("mine", "right", name="test_later.py")
    path = project.path / "test_later.py"
    path.write_text(
        path.read_text()
        + (
            f"\n\n@pytest.fixture(scope='{scope}')\ndef mine():\n"
            "    from conftest import note\n"
            "    def evaluator(inputs):\n        note('mine', inputs['q'])\n        return 0.25\n"
            "    return evaluator\n"
        ).replace("from conftest import note", "note = __import__('sys').modules['conftest'].note")
    )
    ran = project.run("--promptune-baseline")
    assert ran.code == 0, ran.text
    assert len(ran.calls) == 6
    rows = [row for row in ran.json["metrics"] if row["metric"] == "bot::mine"]
    assert [(row["module"], row["mean"], row["n_samples"]) for row in rows] == [("test_later.py", 0.25, 6)]
    assert scored(project) == sorted(f"{name} {q}" for name in ("right", "mine") for q in range(6))


@pytest.mark.parametrize(
    ("scorers", "words"),
    [
        (["lacking"], ["no fixture 'lacking'", "scorer"]),
        (["narrow"], ["scorer fixture 'narrow'", "function"]),
        (["nothing"], ["scorer fixture 'nothing'", "None"]),
        (["foreign"], ["scorer fixture 'foreign'", "'run'", "'example'"]),
        ("right", ["scorers='right'", "list of names of fixtures"]),
        ([3], ["scorers=[3]"]),
    ],
)
def test_what_cannot_be_a_scorer(suite, scorers, words):
    """Refused before the first call."""
    project = suite()
    project.write(test_bot=TESTS.format(scorers=repr(scorers), runs=1, retries=0, timeout=5))
    assert project.run().refused(*words)


def test_one_key_of_two_scorers(suite):
    """Two judges that call their score alike are told apart aloud."""
    project = suite("right", "again")
    conftest = project.path / "conftest.py"
    conftest.write_text(
        conftest.read_text()
        + (
            "\n@pytest.fixture(scope='session')\ndef again():\n"
            "    return lambda outputs: {'key': 'right', 'score': 0.0}\n"
        )
    )
    ran = project.run("--promptune-baseline")
    assert ran.metric("bot::right")["mean"] == 1
    assert "'again' gave no score for 6 samples" in " ".join(ran.json["warnings"])


def test_reasons_are_stored(suite):
    """Scores, reasons and failures are in the experiment log with their sample, without secrets."""
    project = suite("length", "picky")
    project.record()
    with ExperimentLog(locate(None, root=project.path)) as log:
        samples = {sample.record.case_id: sample.record for sample in log.samples("last")}
    scorings = {scoring.scorer: scoring for scoring in samples["c01"].scorings}
    (score,) = scorings["length"].scores
    assert (score.key, score.value, scorings["length"].error) == ("chars", 3, None)
    assert "redacted" in score.comment
    assert "sk-proj" not in score.comment
    assert scorings["picky"].error.type == "ValueError"


def test_resume_takes_stored_scores(suite):
    """What was scored isn't scored again, what failed is."""
    project = suite("length", "lossy")
    tests = project.path / "test_bot.py"
    stop = "\n\nimport os\n@pytest.fixture(autouse=True)\ndef stop(case):\n"
    stop += "    if case.id == 'c03' and os.environ.get('BOT_STOP'):\n        raise KeyboardInterrupt\n"
    tests.write_text(tests.read_text() + stop)
    first = project.run("--promptune-baseline", "--promptune-concurrency=1", stop="1", cases="12")
    assert first.code == 2, first.text
    before = scored(project)
    assert {"length 0", "length 1", "length 2"} <= set(before)
    ran = project.run("--promptune-baseline", "--promptune-resume", "--promptune-concurrency=1", cases="12")
    assert ran.code == 0, ran.text
    assert 3 <= ran.json["experiment"]["reused"] < 12
    assert ran.metric("bot::chars")["n_samples"] == 12
    after = scored(project)
    assert [after.count(f"length {q}") for q in range(3)] == [1, 1, 1]
    assert [after.count(f"lossy {q}") for q in range(3)] == [2, 2, 2]


@pytest.mark.parametrize("workers", [0, 2])
def test_replay_asks_todays_scorers(suite, workers):
    """Stored outputs, scored again; the app is not called."""
    project = suite("length")
    project.run("--promptune-baseline")
    before = scored(project)
    suite("length", "both", name="test_bot.py")
    args = ("-n", str(workers)) if workers else ()
    ran = project.run("--promptune-replay=last", *args, plugins=("xdist.plugin",) if workers else ())
    assert ran.code == 0, ran.text
    assert not ran.calls
    assert len(scored(project)) == 2 * len(before)
    assert ran.metric("bot::two")["mean"] == 0.5
    assert ran.metric("bot::chars")["n_samples"] == 6


#: A judge that reads 1000 tokens and writes 100 for each answer.
JUDGE = """
import pytest
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult

class Judge(BaseChatModel):
    @property
    def _llm_type(self):
        return "judge"

    def bind_tools(self, tools, **kwargs):
        return self

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        used = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}
        said = {"score": "yes" in messages[-1].text, "reasoning": "it says so"}
        called = [{"name": "score", "args": said, "id": "1"}]
        named = {"model_name": "MODEL"}
        message = AIMessage("", tool_calls=called, usage_metadata=used, response_metadata=named)
        return ChatResult(generations=[ChatGeneration(message=message)])

@pytest.fixture(scope="session")
def judged():
    async def evaluator(outputs):
        answer = await Judge().ainvoke(outputs["a"])
        return answer.tool_calls[0]["args"]["score"]
    return evaluator

@pytest.fixture(scope="session")
def openjudge():
    openevals = pytest.importorskip("openevals.llm")
    return openevals.create_llm_as_judge(
        prompt="Is this right? {outputs}, not {reference_outputs}?", judge=Judge(), feedback_key="rightness")

@pytest.fixture(scope="session")
def asyncjudge():
    openevals = pytest.importorskip("openevals.llm")
    return openevals.create_async_llm_as_judge(
        prompt="Right? {inputs} {outputs}", judge=Judge(), continuous=True)
"""


@pytest.mark.parametrize("workers", [0, 2])
def test_costs_apart(suite, workers):
    """What judges cost is not the app's cost; the budget counts both."""
    project = suite("judged")
    suite("judged", name="test_later.py")
    conftest = project.path / "conftest.py"
    conftest.write_text(conftest.read_text() + JUDGE)
    project.write({"pytest.ini": "[pytest]\npromptune_prices = MODEL = 1 / 10\n"})
    args = ("-n", str(workers)) if workers else ()
    ran = project.run("--promptune-baseline", *args, plugins=("xdist.plugin",) if workers else ())
    assert ran.code == 0, ran.text
    assert [row["mean"] for row in ran.json["metrics"] if row["metric"] == "bot::judged"] == [1, 1]
    assert ran.json["usage"]["scorer_cost_usd"] == pytest.approx(6 * 0.002)
    assert ran.json["usage"]["cost_usd"] is None
    assert "for scorers" in ran.out
    if not workers:
        ran = project.run("--promptune-baseline", "--promptune-max-cost=0.004", "--promptune-concurrency=1")
        assert len(ran.calls) < 6
        project.write({"pytest.ini": "[pytest]\n"})
        ran = project.run("--promptune-baseline")
        assert ran.json["usage"]["scorer_cost_usd"] is None
        assert "No price is known for MODEL, which scorers called" in " ".join(ran.json["notes"])


@pytest.mark.parametrize(("fixture", "metric"), [("openjudge", "rightness"), ("asyncjudge", "score")])
def test_openevals(suite, fixture, metric):
    """What `create_llm_as_judge` gives is a scorer as it is."""
    pytest.importorskip("openevals.llm")
    project = suite(fixture)
    conftest = project.path / "conftest.py"
    conftest.write_text(conftest.read_text() + JUDGE)
    ran = project.run("--promptune-baseline", "--promptune-runs=1")
    assert ran.code == 0, ran.text
    assert ran.metric(f"bot::{metric}")["n_samples"] == 6, json.dumps(ran.json["warnings"])


# --- what they print ------------------------------------------------------------------------------

#: Evaluators of all kinds: in a thread, in the loop, and first in one and then in the other.
TALKATIVE = """
@pytest.fixture(scope="session")
def talks():
    def evaluator(inputs, outputs):
        print("SAID talks", inputs["q"])
        return 1.0
    return evaluator

@pytest.fixture(scope="session")
def mutters():
    async def evaluator(inputs, outputs):
        await asyncio.sleep(0.01)
        print("SAID mutters", inputs["q"])
        return 1.0
    return evaluator

@pytest.fixture(scope="session")
def returns():
    def evaluator(inputs, outputs):
        async def later():
            await asyncio.sleep(0.01)
            print("SAID returns", inputs["q"])
            return 1.0
        return later()
    return evaluator
"""


def captured(out: str) -> dict[str, list[str]]:
    """What scorers said, by the test under which it is shown."""
    found: dict[str, list[str]] = {}
    for part in re.split(r"^_{3,} (?=test_)", out, flags=re.MULTILINE)[1:]:
        said = sorted(re.findall(r"^SAID (.*)$", part, re.MULTILINE))
        if said:
            found[part.partition(" ")[0]] = said
    return found


@pytest.mark.parametrize("workers", [0, 2])
def test_what_scorers_print(suite, workers):
    """It is captured output of the first test that gets the sample, beside what the app prints."""
    project = suite("talks", "mutters", "returns")
    conftest = project.path / "conftest.py"
    conftest.write_text(conftest.read_text() + TALKATIVE)
    args = ("-n", str(workers)) if workers else ()
    ran = project.run("-rP", *args, plugins=("xdist.plugin",) if workers else ())
    assert ran.counts == {"passed": 12}
    assert captured(ran.out) == {
        f"test_answer[c0{q}-current-run1]": [f"mutters {q}", f"returns {q}", f"talks {q}"] for q in range(6)
    }


def test_what_late_scorers_print(suite):
    """Where an output was there before, as under --promptune-replay, it belongs to the test that waits."""
    project = suite("talks")
    conftest = project.path / "conftest.py"
    conftest.write_text(conftest.read_text() + TALKATIVE)
    project.run("--promptune-baseline")
    ran = project.run("-rP", "--promptune-replay=last")
    assert captured(ran.out) == {f"test_answer[c0{q}-current-run1]": [f"talks {q}"] for q in range(6)}
