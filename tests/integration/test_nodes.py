"""``pytest-promptune nodes``: what users see of an app's nodes and their prompts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

APP = """
from typing import TypedDict

from langchain_openai import ChatOpenAI
from langgraph.graph import START, StateGraph

print("this app prints at import")
llm = ChatOpenAI(model="gpt-4.1-mini", temperature=0.9, api_key="unused")


class State(TypedDict):
    q: str


def classify(state):
    system = "Classify the ticket | as you like \\x1b[31m"
    return {"q": llm.invoke([("system", system), ("user", state["q"])])}


def count(state):
    return {"q": str(len(state["q"]))}


def build(*nodes):
    builder = StateGraph(State)
    for node in nodes:
        builder.add_node(node.__name__, node)
    builder.add_edge(START, nodes[0].__name__)
    return builder.compile()


graph = build(classify, count)
without = build(count)
"""


@pytest.fixture
def ask(tmp_path):
    """Run the command in a process of its own, as users do: status, output, errors."""
    (tmp_path / "bot.py").write_text(APP, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\npromptune_graph = bot:graph\n", encoding="utf-8")

    def run(*words: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "pytest_promptune.cli", "nodes", *words],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "80", "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            encoding="utf-8",
        )
        return done.returncode, done.stdout, done.stderr

    return run


def test_terminal(ask):
    """A table and the details in 80 columns, status 1 for findings; what the app prints goes elsewhere."""
    status, text, errors = ask()
    assert status == 1
    assert text.startswith("1 node calls a language model, ")
    for words in ("classify  bot.py:15", "gpt-4.1-mini", "P102", "P103", "P201", "LANGSMITH_TRACING=false"):
        assert words in text
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert "this app prints" not in text
    assert "this app prints" in errors


def test_json(ask):
    """One line of JSON: a list of rows with exactly the fixed keys."""
    status, text, _ = ask("--json")
    (row,) = json.loads(text)
    assert status == 1
    assert (row["node"], row["file"], row["line"]) == ("classify", "bot.py", 15)
    assert row["params"] == {"temperature": 0.9}
    assert [finding["rule"] for finding in row["findings"]] == ["P101", "P102", "P103", "P201", "P202"]


def test_markdown(ask):
    """The target list: each prompt in full, escaped in tables, and what to try."""
    _, text, _ = ask("--markdown")
    assert "| node | role | place | model | findings |" in text
    assert "| `classify` | decides | `bot.py:15` |" in text
    assert "- Role: decides (its wording)" in text
    assert "## classify" in text
    assert "```\nClassify the ticket | as you like <U+001B>[31m\n```" in text
    assert "| P201 | " in text


SETS = """
from typing import TypedDict

from langchain_openai import ChatOpenAI
from langgraph.graph import START, StateGraph


class State(TypedDict):
    q: str


llm = ChatOpenAI(model="gpt-4o", api_key="unused")
PROMPTS = {f"Say what the number {number} is." for number in ("one", "two", "three", "four", "five")}


def together(state):
    return {"q": llm.invoke("\\n".join(PROMPTS))}


def each(state):
    for prompt in PROMPTS:
        llm.invoke(prompt)


builder = StateGraph(State).add_node(together).add_node(each)
graph = builder.add_edge(START, "together").add_edge(START, "each").compile()
"""


def test_the_order_is_the_same_in_every_run(ask, tmp_path, monkeypatch):
    """Also where the app has its texts in sets, whose order Python draws anew for each process."""
    (tmp_path / "sets.py").write_text(SETS, encoding="utf-8")
    found = set()
    for seed in range(5):
        monkeypatch.setenv("PYTHONHASHSEED", str(seed))
        found.add(ask("--graph=sets:graph", "--json")[1])
    (only,) = found
    assert [len(row["prompt"]) for row in json.loads(only)] == [5, 5]


def test_one_graph_of_several_cannot_be_had(ask, tmp_path):
    """The others are shown all the same, and why it can't; status 2, as for any graph that can't be had."""
    (tmp_path / "broken.py").write_text("x = 1\ndef broken(:\n", encoding="utf-8")
    (tmp_path / "wants.py").write_text("import broken\n", encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    graphs = {"good": "./bot.py:graph", "bad": "./wants.py:graph"}
    (tmp_path / "langgraph.json").write_text(json.dumps({"graphs": graphs}), encoding="utf-8")
    why = "Not loaded: wants.py:graph: importing it fails at broken.py:2: SyntaxError: invalid syntax"
    status, text, _ = ask()
    assert status == 2
    assert why in " ".join(text.split())
    assert "good:classify  bot.py:15" in text
    status, text, errors = ask("--json")
    assert (status, [row["node"] for row in json.loads(text)], why in errors) == (2, ["good:classify"], True)
    status, text, _ = ask("--markdown")
    assert (status, "**Not loaded**: wants.py:graph" in text, "## good:classify" in text) == (2, True, True)
    graphs["good"] = "./broken.py:graph"
    (tmp_path / "langgraph.json").write_text(json.dumps({"graphs": graphs}), encoding="utf-8")
    status, text, errors = ask()
    assert (status, text) == (2, "")
    assert errors.count("SyntaxError: invalid syntax") == 2


def test_no_node_calls_a_model(ask):
    """Says which nodes were looked at and how to declare calls of one's own; status 1."""
    status, text, _ = ask("--graph=bot:without")
    assert status == 1
    assert "No node calls a language model" in text
    assert "Nodes: count" in text
    assert "promptune_llm_calls" in text
    assert json.loads(ask("--graph=bot:without", "--json")[1]) == []


def test_wrong_usage(ask):
    """One clear line and status 2, no traceback."""
    for words, expected in (
        (["--graph=bot:grahp"], "has no 'grahp'"),
        (["--graph=not_there:graph"], "there is no module 'not_there'"),
        (["--root=not_there"], "is no folder"),
        (["--nonsense"], "unrecognized arguments"),
    ):
        status, text, errors = ask(*words)
        assert (status, text) == (2, "")
        assert expected in errors
        assert "Traceback" not in errors


SECRET = "sk-0123456789abcdef0123456789"
WITH_SECRETS = f"""
from typing import TypedDict

from langchain_openai import ChatOpenAI
from langgraph.graph import START, StateGraph

CLIENT = {{"effort": "low", "api_key": "hunter-2-hunter-2"}}


class State(TypedDict):
    q: str


def ask(state):
    llm = ChatOpenAI(model="gpt-4.1-mini", reasoning=CLIENT, api_key="unused")
    return {{"q": llm.invoke("Ask Acme-77 with {SECRET}.").content}}


builder = StateGraph(State)
builder.add_node("ask", ask)
builder.add_edge(START, "ask")
graph = builder.compile()


def broken():
    raise ValueError("no access with {SECRET}")
"""


@pytest.mark.parametrize("form", [(), ("--json",), ("--markdown",)])
def test_secrets_are_not_shown(ask, tmp_path, form):
    """Neither keys in prompts and parameters, nor what the project's own patterns mean."""
    (tmp_path / "secretive.py").write_text(WITH_SECRETS, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\npromptune_redact =\n  Acme-\\d+\n", encoding="utf-8")
    status, text, errors = ask("--graph", "secretive:graph", *form)
    assert (status, errors) == (1, "")
    assert text.count("[redacted]") >= 3
    assert "effort" in text
    for secret in (SECRET, "hunter-2", "Acme-77"):
        assert secret not in text


def test_an_error_of_the_app_is_shown_without_secrets(ask, tmp_path):
    """What the app raised is quoted, but not its key."""
    (tmp_path / "secretive.py").write_text(WITH_SECRETS, encoding="utf-8")
    status, text, errors = ask("--graph", "secretive:broken")
    assert (status, text) == (2, "")
    assert "ValueError: no access with [redacted]" in errors
    assert SECRET not in errors
