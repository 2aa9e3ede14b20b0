"""The graphs of ``langgraph.json``: files are imported by the names that the app uses, and never mixed up."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from pytest_promptune.inspecting.finding import inspect_project, rows
from pytest_promptune.inspecting.project import read_project

#: How nodes call the model, in the file of the graph or in one beside it.
ASK = """
from langchain_openai import ChatOpenAI

llm = ChatOpenAI(model="gpt-4.1-mini", api_key="unused")


def ask(question):
    return llm.invoke(question)
"""
GRAPH = """
from typing import TypedDict

from langgraph.graph import START, StateGraph


class State(TypedDict):
    q: str


def node(state):
    return {"q": ask("%s").content}


graph = StateGraph(State).add_node("node", node).add_edge(START, "node").compile()
"""


def graph_file(text: str, ask: str = ASK) -> str:
    return ask + GRAPH % text


@pytest.fixture
def scan(tmp_path) -> Callable[..., list[tuple[str, str, list[str]]]]:
    """Write files and the graphs of ``langgraph.json``; gives node, file and texts of each row."""
    before = set(sys.modules)

    def run(graphs: dict[str, Any], files: dict[str, str], ini: str = "") -> list[tuple[str, str, list[str]]]:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / "langgraph.json").write_text(json.dumps({"graphs": graphs}), encoding="utf-8")
        (tmp_path / "pytest.ini").write_text(f"[pytest]\n{ini}", encoding="utf-8")
        found = rows(inspect_project(read_project(tmp_path, None)))
        return [(row["node"], row["file"], [prompt["text"] for prompt in row["prompt"]]) for row in found]

    yield run
    for name in set(sys.modules) - before:
        module = sys.modules[name]
        if str(tmp_path) in f"{module.__spec__} {list(getattr(module, '__path__', []))}":
            del sys.modules[name]


def test_files_of_one_name(scan):
    """Each graph is that of its own file, in packages and in folders that are none."""
    files = {
        folder: f"{folder}/graph.py"
        for folder in ("src/index_agent", "src/answer_agent", "odd-one", "odd-two")
    }
    found = scan(
        {folder: f"./{file}:graph" for folder, file in files.items()},
        {file: graph_file(f"Hello from {folder}") for folder, file in files.items()},
    )
    assert found == [(f"{folder}:node", file, [f"Hello from {folder}"]) for folder, file in files.items()]


def test_two_graphs_of_one_file(scan):
    """Their names stand before those of their nodes; the path may stand in a table."""
    found = scan(
        {"one": "./odd-one/graph.py:graph", "two": {"path": "./odd-one/graph.py:graph"}},
        {"odd-one/graph.py": graph_file("Say hello")},
    )
    assert found == [(f"{name}:node", "odd-one/graph.py", ["Say hello"]) for name in ("one", "two")]


def test_a_file_with_the_name_of_another_module(scan):
    """The app's ``email.py`` is meant, and Python's own is still there afterwards."""
    pythons = importlib.import_module("email")
    assert scan({"post": "./odd-one/email.py:graph"}, {"odd-one/email.py": graph_file("Say hello")}) == [
        ("node", "odd-one/email.py", ["Say hello"])
    ]
    assert sys.modules["email"] is pythons


def test_a_folder_with_the_name_of_another_module(scan):
    """Neither is a folder looked for in Python's module of its name."""
    assert scan({"post": "./json/tool.py:graph"}, {"json/tool.py": graph_file("Say hello")}) == [
        ("node", "json/tool.py", ["Say hello"])
    ]


def test_relative_imports_and_declared_functions(scan):
    """A file of a package is imported by the name that its neighbours and the ini file call it by."""
    found = scan(
        {"agent": "./src/clerk_agent/graph.py:graph"},
        {
            "src/clerk_agent/graph.py": graph_file("Say hello", "from .calling import ask\n"),
            "src/clerk_agent/calling.py": "def ask(question):\n    ...\n",
        },
        ini="promptune_llm_calls = clerk_agent.calling:ask\n",
    )
    assert found == [("node", "src/clerk_agent/graph.py", ["Say hello"])]


def test_a_neighbour_by_its_bare_name(scan):
    """What stands beside a file that is in no package can be imported, as when the file is run."""
    found = scan(
        {"agent": "./odd-one/graph.py:graph"},
        {
            "odd-one/graph.py": graph_file("Say hello", "from calling_the_model import ask\n"),
            "odd-one/calling_the_model.py": ASK,
        },
    )
    assert found == [("node", "odd-one/graph.py", ["Say hello"])]
