"""``pytest-promptune nodes --dry-run``: which nodes the cases reach, without any model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

#: `classify` chooses one of three routes, `agent` may use a tool; `sdk` calls a provider by itself, `never`
#: has no way to it. Models are made without a key; no test may reach a provider.
APP = """
import socket
from typing import Annotated, Literal, TypedDict

from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langchain_anthropic import ChatAnthropic
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode, tools_condition
from pydantic import BaseModel

llm = ChatOpenAI(model="gpt-4.1-mini", temperature=0.3)
claude = ChatAnthropic(model="claude-haiku-4-5")


class Kind(BaseModel):
    kind: Literal["bug", "bill", "talk"]
    sure: bool


@tool
def look_up(order: int) -> str:
    "Find an order."
    assert isinstance(order, int)
    return f"order {order} is on its way"


class State(TypedDict, total=False):
    q: str
    kind: str
    reply: str
    messages: Annotated[list[AnyMessage], add_messages]


def classify(state):
    found = llm.with_structured_output(Kind).invoke("Which kind of letter is this: " + state["q"])
    return {"kind": found.kind}


def bug(state):
    found = claude.with_structured_output(Kind).invoke("Look at the report of our customer: " + state["q"])
    return {"reply": found.kind}


async def bill(state):
    parts = [chunk.text async for chunk in llm.astream("Write about the bill of this customer.")]
    return {"reply": "".join(parts)}


def agent(state):
    asked = [*(state.get("messages") or [HumanMessage("Talk to this customer: " + state["q"])])]
    return {"messages": [*asked[:1], llm.bind_tools([look_up]).invoke(asked)], "reply": "x"}


def sdk(state):
    try:
        socket.create_connection(("192.0.2.1", 443), timeout=5)
    except PermissionError as error:
        return {"reply": str(error)}
    raise AssertionError("reached the network")


def never(state):
    return {"reply": llm.invoke("Write to the head of the department.").text}


builder = StateGraph(State)
for node in (classify, bug, bill, agent, sdk, never):
    builder.add_node(node.__name__, node)
builder.add_node("tools", ToolNode([look_up]))
builder.add_edge(START, "classify")
ROUTES = ["bug", "bill", "agent"]
builder.add_conditional_edges("classify", lambda s: {"talk": "agent"}.get(s["kind"], s["kind"]), ROUTES)
builder.add_conditional_edges("agent", tools_condition)
builder.add_edge("tools", "agent")
builder.add_edge("bug", "sdk")
graph = builder.compile()
"""

SUITE = """
import os
from pathlib import Path

import pytest
from pytest_promptune import Case

import bot

CASES = [Case(id=f"c{i}", input={"q": f"letter {i}"}, expected="bug") for i in range(2)]
pytestmark = pytest.mark.promptune(app="app", runs=5)


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return request.param


@pytest.fixture(scope="session")
def app():
    return bot.graph


def test_reply(case, sample):
    sample.classify(predicted=sample.output["kind"], expected=case.expected)


def test_of_something_else():
    Path("ran.txt").touch()
"""


def line_of(text: str) -> int:
    """The line of the app that has `text`."""
    (number,) = (i for i, line in enumerate(APP.splitlines(), 1) if text in line)
    return number


class Bot:
    """A project with an app and a suite, and no key."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "bot.py").write_text(APP, encoding="utf-8")
        (root / "test_bot.py").write_text(SUITE, encoding="utf-8")
        self.ini()

    def ini(self, *lines: str) -> None:
        text = "\n".join(("[pytest]", "promptune_graph = bot:graph", "pythonpath = .", *lines))
        (self.root / "pytest.ini").write_text(text + "\n", encoding="utf-8")

    def nodes(self, *words: str) -> tuple[int, str, str]:
        """Status, output and errors of the command."""
        kept = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
        more = {
            "COLUMNS": "100",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        }
        done = subprocess.run(
            [sys.executable, "-m", "pytest_promptune.cli", "nodes", *words],
            cwd=self.root,
            env=kept | more,
            capture_output=True,
            encoding="utf-8",
        )
        return done.returncode, done.stdout, done.stderr

    @property
    def files(self) -> set[str]:
        """What is in the project but for byte code."""
        return {path.name for path in self.root.iterdir() if path.name != "__pycache__"}


@pytest.fixture
def bot(tmp_path) -> Bot:
    return Bot(tmp_path)


def test_all_branches_are_reached(bot):
    """Two cases and two runs visit three routes and the tool; what can't be reached is told."""
    before = bot.files
    status, text, errors = bot.nodes("--dry-run", "--runs=3")
    words = " ".join(text.split())
    assert status == 1, errors
    assert "Traces: a dry run, 6 samples of 2 cases. Models were fake" in words
    assert "4 of 5 nodes that call a model ran." in words
    assert "Never executed by these cases (a coverage gap): never." in words
    assert f"called its model at bot.py:{line_of('claude.with_structured_output')}" in words
    assert "traced (app): 6 calls in 6 samples, by a fake model" in words
    assert "ended in an error" not in words
    assert "no provider was called" in words
    assert "neither its graph nor a model was called" not in words
    for of_fakes in ("P401", "P403", "$", "What to work on first", "headroom"):
        assert of_fakes not in text
    assert bot.files == before  # nothing recorded, reported or stored, no other test ran


def test_json(bot):
    """Evidence and the model that was asked, as of any experiment."""
    _, text, _ = bot.nodes("--dry-run", "--runs=3", "--json")
    rows = {row["node"]: row for row in json.loads(text)}
    assert {name: row["evidence"] for name, row in rows.items()} == {
        **dict.fromkeys(("classify", "bug", "bill", "agent"), "both"),
        "never": "live",
    }
    assert (rows["bug"]["model"], rows["bug"]["provider"]) == ("claude-haiku-4-5", "anthropic")
    assert rows["classify"]["params"]["temperature"] == 0.3


def test_one_run_reaches_less(bot):
    """With two samples at most two of three routes are taken."""
    _, text, _ = bot.nodes("--dry-run")
    assert "2 samples of 2 cases" in " ".join(text.split())
    assert "Never executed by these cases (a coverage gap): agent, never." in " ".join(text.split())


def test_options_of_the_project_that_would_record(bot):
    """A baseline, variants, a report or xdist in ``addopts`` are not asked for."""
    before = bot.files
    pytest.importorskip("xdist")
    addopts = "-p xdist.plugin -n2 --maxfail=1 --promptune-baseline --promptune-report=mine.md"
    bot.ini(f"addopts = {addopts}", "promptune_store = sqlite:///mine.db", "promptune_json = mine.json")
    status, text, errors = bot.nodes("--dry-run")
    assert status == 1, errors
    assert "2 samples of 2 cases" in " ".join(text.split())
    assert bot.files == before


#: `pool` and `thread` ask in threads of their own; `again` never ends.
THREADS = """
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TypedDict

from langchain_openai import ChatOpenAI, OpenAI
from langgraph.graph import START, StateGraph

llm = ChatOpenAI(model="gpt-4.1-mini", temperature=0.3)
completion = OpenAI(model="gpt-3.5-turbo-instruct", temperature=0.2)


class State(TypedDict, total=False):
    q: str
    kind: str


def pool(state):
    with ThreadPoolExecutor(2) as threads:
        asked = threads.submit(lambda: llm.invoke("Write to this customer: " + state["q"]))  # pool
        return {"kind": asked.result().text}


def thread(state):
    asked = threading.Thread(target=lambda: llm.invoke("Thank this customer: " + state["q"]))  # thread
    asked.start()
    asked.join()


def again(state):
    return {"kind": completion.invoke("Say it again, in other words: " + state["kind"])}  # again


builder = StateGraph(State)
for node in (pool, thread, again):
    builder.add_node(node.__name__, node)
builder.add_edge(START, "pool")
builder.add_edge("pool", "thread")
builder.add_edge("thread", "again")
builder.add_edge("again", "again")
graph = builder.compile()
"""


def test_threads_and_a_graph_without_an_end(bot):
    """Calls in threads belong to their node, completion models are fakes, too, and a loop is ended."""
    (bot.root / "bot.py").write_text(THREADS, encoding="utf-8")
    _, text, errors = bot.nodes("--dry-run", "--json")  # as JSON, which has no place for errors
    rows = {row["node"]: row for row in json.loads(text)}
    assert {name: (row["evidence"], row["model"]) for name, row in rows.items()} == {
        "pool": ("both", "gpt-4.1-mini"),
        "thread": ("both", "gpt-4.1-mini"),
        "again": ("both", "gpt-3.5-turbo-instruct"),
    }, errors
    assert "2 samples ended in an error (2 GraphRecursionError: Recursion limit of 100 reached" in errors
    assert "3 of 3 nodes that call a model ran." in errors


def test_what_cannot_be_run(bot):
    """Says what pytest said, status 2, no traceback of ours."""
    (bot.root / "test_bot.py").write_text("def test_x():\n    pass\n", encoding="utf-8")
    status, text, errors = bot.nodes("--dry-run")
    assert (status, text) == (2, "")
    assert "has no promptune tests to run" in errors
    source = "import not_there  # sk-abcdefghijklmnopqrstuvwx\n"
    (bot.root / "test_bot.py").write_text(source, encoding="utf-8")
    status, text, errors = bot.nodes("--dry-run")
    assert (status, text) == (2, "")
    assert "ended with status 2" in errors
    assert "No module named 'not_there'" in errors
    assert "sk-abc" not in errors


def test_contradictions(bot):
    """Stored samples and a dry run are two things; runs are those of a dry run."""
    for words, expected in (
        (["--dry-run", "--experiment=last"], "--dry-run and --experiment contradict"),
        (["--dry-run", "--store=sqlite:///x.db"], "--dry-run and --store contradict"),
        (["--runs=3"], "--runs is for --dry-run"),
        (["--dry-run", "--runs=0"], "'0' is not valid"),
    ):
        status, text, errors = bot.nodes(*words)
        assert (status, text) == (2, "")
        assert expected in errors
        assert "Traceback" not in errors
