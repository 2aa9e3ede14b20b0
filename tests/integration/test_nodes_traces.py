"""``pytest-promptune nodes`` with a stored experiment: what samples showed of the nodes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

#: `classify`, then `refund` for cases that ask for one; `escalate` is never reached, `made` is in a graph
#: that a node makes while it runs, `count` calls no model.
APP = """
import itertools
import os
from typing import TypedDict

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import END, START, StateGraph


class Scripted(BaseChatModel):
    model: str = "gpt-4.1-mini"
    temperature: float | None = None

    @property
    def _llm_type(self):
        return "scripted"

    def _get_ls_params(self, stop=None, **kwargs):
        return {"ls_provider": "openai", "ls_model_name": self.model, "ls_temperature": self.temperature}

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        text = messages[-1].text
        answer = "refund" if "money" in text else "other"
        if text == "An odd thing" and next(odd) % 2:
            answer = "Category: refund."
        used = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}
        message = AIMessage(
            answer, usage_metadata=used, response_metadata={"model_name": self.model + "-2025-04-14"}
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


class State(TypedDict, total=False):
    q: str
    kind: str


llm = Scripted()
odd = itertools.count()


def prompt_of(state):
    from pathlib import Path
    (path,) = (Path(__file__).parent / "prompts").iterdir()
    return path.read_text().replace("{shop}", "Example Ltd")


def classify(state):
    messages = [("system", prompt_of(state)), ("user", state["q"])]
    return {"kind": llm.bind(temperature=0.9).invoke(messages).text}


def refund(state):
    llm.invoke(f"Write to a customer who wants their money back and says: {state['q']}")
    return {}


def escalate(state):
    llm.invoke("Write to the head of the department about this complaint.")
    return {}


def count(state):
    return {}


def late(state):
    builder = StateGraph(State)
    builder.add_node("made", globals()["re" + "fund"])
    builder.add_edge(START, "made")
    builder.compile().invoke(state)
    return {}


builder = StateGraph(State)
for node in (classify, refund, escalate, count, late):
    builder.add_node(node.__name__, node)
builder.add_edge(START, "classify")
builder.add_edge("count", "late")
builder.add_conditional_edges(
    "classify", lambda state: {"refund": "refund", "angry": "escalate"}.get(state["kind"], "count"),
    ["refund", "escalate", "count"],
)
graph = builder.compile()
"""

SUITE = """
import pytest
from pytest_promptune import Case

import bot

CASES = [
    Case(id="money", input={"q": "I want my money back"}, expected="refund"),
    Case(id="hello", input={"q": "Hello there"}, expected="other"),
    Case(id="odd", input={"q": "An odd thing"}, expected="refund"),
]
pytestmark = pytest.mark.promptune(app="app", runs=4)


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return request.param


@pytest.fixture(scope="session")
def app():
    return bot.graph


def test_kind(case, sample):
    sample.classify(predicted=sample.output["kind"], expected=case.expected)
"""

PROMPT = "Sort the letters of {shop} into refund and other.\n\nNothing else is needed here.\n"


class Bot:
    """A project with an app and a suite."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "prompts").mkdir()
        (root / "prompts" / "classify.md").write_text(PROMPT, encoding="utf-8")
        (root / "bot.py").write_text(APP, encoding="utf-8")
        (root / "tests").mkdir()
        (root / "tests" / "test_bot.py").write_text(SUITE, encoding="utf-8")
        ini = "[pytest]\npromptune_graph = bot:graph\npythonpath = .\n"
        (root / "pytest.ini").write_text(ini, encoding="utf-8")

    def _run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        paths = str(Path(__file__).parents[2])
        return subprocess.run(
            [sys.executable, "-m", *words],
            cwd=self.root,
            env={**os.environ, "COLUMNS": "100", "PYTHONPATH": paths, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
            | more,
            capture_output=True,
            encoding="utf-8",
        )

    def measure(self, *words: str) -> None:
        """Run the suite; the odd case misses."""
        done = self._run("pytest", "-p", "pytest_promptune.plugin", *words)
        assert done.returncode in (0, 1), done.stdout + done.stderr

    def nodes(self, *words: str, **more: str) -> tuple[int, str, str]:
        """Status, output and errors of the command."""
        done = self._run("pytest_promptune.cli", "nodes", *words, **more)
        return done.returncode, done.stdout, done.stderr

    def rows(self, *words: str) -> dict[str, dict]:
        """The rows of ``--json`` by node."""
        status, text, errors = self.nodes("--json", *words)
        assert status in (0, 1), errors
        return {row["node"]: row for row in json.loads(text)}


@pytest.fixture
def bot(tmp_path) -> Bot:
    return Bot(tmp_path)


def test_source_and_samples_together(bot):
    """Evidence, the billed model, parameters of the calls, the file of a prompt that only samples show."""
    alone = bot.rows()
    assert {row["evidence"] for row in alone.values()} == {"live"}
    bot.measure()
    rows = bot.rows()
    assert {node: row["evidence"] for node, row in rows.items()} == {
        "classify": "both",
        "refund": "both",
        "escalate": "live",
        "late/made": "trace",
    }
    classify = rows["classify"]
    assert (classify["model"], classify["provider"]) == ("gpt-4.1-mini-2025-04-14", "openai")
    assert classify["params"]["temperature"] == 0.9
    assert (classify["file"], classify["line"]) == (alone["classify"]["file"], alone["classify"]["line"])
    (prompt,) = (each for each in classify["prompt"] if each["file"] == "prompts/classify.md")
    assert prompt["text"] == PROMPT
    (made,) = rows["late/made"]["prompt"]
    assert made["text"].startswith("Write to a customer who wants")
    assert (made["file"], made["line"]) == ("bot.py", APP[: APP.index("Write to a cus")].count("\n") + 1)
    assert set(classify) == set(alone["classify"])  # no key more, no key less


def test_terminal(bot):
    """Where traces are from, which nodes were never executed, dynamic ones, headroom, answers that flip."""
    bot.measure()
    status, text, _ = bot.nodes()
    words = " ".join(text.split())
    assert status == 1
    assert "12 samples of 3 cases" in words
    assert "3 of 4 nodes that call a model ran." in words
    assert "Never executed by these cases (a coverage gap): escalate." in words
    assert "Dynamic: ran, and the graph doesn't have them: late/made." in words
    assert "12 calls in 12 samples, tokens 12,000 in, 1,200 out" in words
    assert "ran in 1 of 1 (100 %) failed cases" in words
    assert "P403 answers flip: over repeats of 1 of 3 cases (odd: " in words
    assert max(map(len, text.splitlines())) <= 100


def test_markdown(bot):
    """A table of shares, and each prompt as it was sent."""
    bot.measure()
    _, text, _ = bot.nodes("--markdown")
    assert "| node | role | place | model | evidence | findings |" in text
    assert "| `classify` | 12 | 12 | 1 of 1 (100 %) |" in text
    assert "| `escalate` | 0 | 0 | – | – | – |" in text
    assert "[system]\nSort the letters of Example Ltd into refund and other." in text


def test_what_to_work_on_first(bot):
    """Impact, mechanical fixes, and runs times the cost of a run; the rule stands below; goals count."""
    bot.measure()
    _, text, _ = bot.nodes("--markdown")
    matrix = text[text.index("## What to work on first") :]
    rows = {line.split("|")[1].strip(): line for line in matrix.splitlines() if line.startswith("| `")}
    assert [next(iter(rows)), list(rows)[-1], len(rows)] == ["`classify`", "`escalate`", 4]
    assert "failed cases 100 %" in rows["`classify`"]
    assert " runs × $" in rows["`classify`"]
    assert rows["`escalate`"].split("|")[2].strip() == "–"
    assert "no goals were judged in this experiment" in matrix
    (bot.root / "fine-tune.md").write_text("- Latency: 10 seconds or less\n- Accuracy: 99% or higher\n")
    bot.measure("--promptune-gate=off")
    _, text, _ = bot.nodes()
    words = " ".join(text.split())
    assert "What to work on first" in words
    assert "the unmet goals (Accuracy)." in words
    assert "classify 100 % ★★★" in words


def test_workers(bot):
    """Samples of xdist workers show the same."""
    pytest.importorskip("xdist")
    bot.measure("-p", "xdist.plugin", "-n2")
    rows = bot.rows()
    assert rows["classify"]["evidence"] == "both"
    _, text, _ = bot.nodes()
    assert "12 samples of 3 cases" in " ".join(text.split())
    assert "answers flip" in text


def test_which_experiment(bot):
    """The newest, the one that is named, or none; what can't be had is one clear line."""
    bot.measure("-k", "money", "--promptune-store=sqlite:///mine.db")
    assert {row["evidence"] for row in bot.rows().values()} == {"live"}
    assert bot.rows("--store=sqlite:///mine.db")["refund"]["evidence"] == "both"
    bot.measure("-k", "hello", "--promptune-store=sqlite:///mine.db")
    assert bot.rows("--store=sqlite:///mine.db")["refund"]["evidence"] == "live"
    assert {row["evidence"] for row in bot.rows("--store=").values()} == {"live"}
    for words, expected in (
        (["--experiment=last"], "there is no experiment log"),
        (["--experiment=x", "--store=sqlite:///mine.db"], "there is no experiment 'x'"),
        (["--experiment=x", "--store="], "--store: is empty"),
    ):
        status, text, errors = bot.nodes(*words)
        assert (status, text) == (2, "")
        assert expected in errors
        assert "Traceback" not in errors


def test_secrets(bot):
    """A text of the project that only samples lead to is shown without them, too."""
    secret = "sk-abcdefghijklmnopqrstuvwx"
    (bot.root / "prompts" / "classify.md").write_text(f"{PROMPT}The key is {secret}, INTERN-4711.", "utf-8")
    bot.measure()
    with (bot.root / "pytest.ini").open("a") as ini:
        ini.write("promptune_redact = INTERN-\\d+\n")
    for words in ((), ("--markdown",), ("--json",)):
        _, text, _ = bot.nodes(*words)
        assert secret not in text
        assert "The key is [redacted]" in text or words == ()
    assert "INTERN" not in json.dumps(bot.rows())


def test_a_damaged_log(bot):
    """The source is read all the same, and the answer says what is missing."""
    (bot.root / "mine.db").write_bytes(b"no database" * 1000)
    status, text, _ = bot.nodes("--store=sqlite:///mine.db")
    assert status == 1
    assert "Without the experiment log:" in text
