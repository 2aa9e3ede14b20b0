"""``--promptune-plan``: keys of the app's models, and estimates where nothing is stored yet."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PLAN = "--promptune-plan"
SUITE = """
import os
from typing import Any

import pytest
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import START, MessagesState, StateGraph
from pytest_promptune import Case

pytestmark = pytest.mark.promptune(app="bot", runs=5)
QUESTION = "where is my invoice, please, number "


class Acme(BaseChatModel):
    model: str = "acme-1"

    @property
    def lc_secrets(self):
        return {"acme_api_key": "ACME_API_KEY"}

    @property
    def _llm_type(self):
        return "acme"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        usage = {"input_tokens": 500, "output_tokens": 20, "total_tokens": 520}
        message = AIMessage("yes", usage_metadata=usage, response_metadata={"model_name": "acme-1"})
        return ChatResult(generations=[ChatGeneration(message=message)])


CASES = [Case(id=f"c{n}", input={"messages": [("user", f"{QUESTION}{n}")]}) for n in range(4)]


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return request.param


@pytest.fixture(scope="session")
def bot():
    llm = Acme()

    def reply(state):
        return {"messages": [llm.invoke(state["messages"])]}

    return StateGraph(MessagesState).add_node(reply).add_edge(START, "reply").compile()


def test_it(case, sample):
    assert sample.output["messages"][-1].content == "yes"
"""


@pytest.fixture
def suite(project, monkeypatch):
    monkeypatch.delenv("ACME_API_KEY", raising=False)
    project.write({"test_bot.py": SUITE, "pytest.ini": "[pytest]\npromptune_prices = acme-1 = 1 / 10\n"})
    return project


def words(ran):
    return " ".join(ran.out.split())


def test_a_missing_key_fails_the_plan(suite):
    """Exit code 1, and the variable to set; the session itself isn't kept from anything."""
    ran = suite.run(PLAN)
    assert ran.code == 1, ran.text
    assert "failed keys: Acme (acme-1) has none: set ACME_API_KEY" in words(ran)
    assert "Not ready: 1 check failed" in words(ran)
    assert suite.run().code == 0


def test_a_key_in_the_environment(suite, monkeypatch):
    """Its value isn't shown."""
    monkeypatch.setenv("ACME_API_KEY", "sk-secret")
    ran = suite.run(PLAN)
    assert ran.code == 0, ran.text
    assert "ok keys: given to Acme (acme-1)" in words(ran)
    assert "sk-secret" not in ran.text


def test_estimates_before_the_first_session(suite, monkeypatch):
    """A wide range that says what it is; after a session it is that of the stored samples, and within."""
    monkeypatch.setenv("ACME_API_KEY", "x")
    ran = suite.run(PLAN)
    low, high = re.search(r"bot +20–40 .*\$([\d.]+)–([\d.]+)", ran.out).groups()
    text = words(ran)
    assert "bot: rough, nothing is stored" in text
    assert "1 to 2 model calls a sample" in text
    assert "No experiment is stored yet: estimates are rough until one was measured." in text
    assert "time: unknown" in text
    done = suite.run()
    assert done.code == 0, done.text
    assert float(low) <= done.json["usage"]["cost_usd"] <= float(high)
    text = words(suite.run(PLAN))
    assert "from 20 samples of experiment" in text
    assert "rough" not in text


def test_what_the_store_lacks(suite, monkeypatch):
    """Nothing stored at all is rough too."""
    monkeypatch.setenv("ACME_API_KEY", "x")
    text = words(suite.run(PLAN, "--promptune-store="))
    assert "Nothing is stored, since --promptune-store is empty: estimates are rough." in text


# --- what nodes make while they run -------------------------------------------------------------------

APP = """
from langchain.agents import create_agent
from langchain.chat_models import init_chat_model
from langgraph.graph import START, MessagesState, StateGraph


def by_name(state):
    return {"messages": [init_chat_model("openai:gpt-4.1").invoke("Say yes")]}


def by_provider(state):
    llm = init_chat_model(model="acme-large", model_provider="upstage")
    return {"messages": [llm.bind(temperature=0).with_config(tags=["a"]).invoke("Say yes")]}


def agent(state):
    return create_agent("anthropic:claude-sonnet-4-5", tools=[]).invoke(state)


def by_class(state):
    from langchain_baseten import ChatBaseten

    return {"messages": [ChatBaseten(model="llama-3").invoke("Say yes")]}


builder = StateGraph(MessagesState)
for node in (by_name, by_provider, agent, by_class):
    builder.add_node(node.__name__, node)
    builder.add_edge(START, node.__name__)
graph = builder.compile()
"""
KEYS = ("OPENAI_API_KEY", "UPSTAGE_API_KEY", "ANTHROPIC_API_KEY", "BASETEN_API_KEY")
GRAPH_SUITE = """
import pytest
from app import graph
from pytest_promptune import Case

pytestmark = pytest.mark.promptune(app="bot")


@pytest.fixture
def case():
    return Case(id="a", input={"messages": [("user", "hello")]})


@pytest.fixture(scope="session")
def bot():
    return graph


def test_it(case, sample):
    pass
"""


def test_the_plan_knows_what_nodes_knows(project, monkeypatch):
    """Every provider of a node that `nodes` names has a line for its key, and one for a missing package."""
    for key in KEYS:
        monkeypatch.delenv(key, raising=False)
    project.write({"test_bot.py": GRAPH_SUITE, "app.py": APP, "pytest.ini": "[pytest]\npythonpath = .\n"})
    told = subprocess.run(
        [sys.executable, "-m", "pytest_promptune.cli", "nodes", "--graph=app.py:graph", "--json"],
        cwd=project.path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        encoding="utf-8",
    )
    rows = {row["node"]: row for row in json.loads(told.stdout)}
    assert list(rows) == ["by_name", "by_provider", "agent", "by_class"]
    ran = project.run(PLAN)
    assert ran.code == 0, ran.text
    text = words(ran)
    for (name, row), key in zip(rows.items(), KEYS, strict=True):
        which = f"{row['provider']}:{row['model']} (node {name})"
        assert f"warning keys: {key} isn't set, and is needed for {which}" in text
    for package, name in (("langchain-upstage", "by_provider"), ("langchain-baseten", "by_class")):
        which = f"{rows[name]['provider']}:{rows[name]['model']} (node {name})"
        assert f"warning packages: {package} isn't installed, and is needed for {which}" in text
    assert "estimates are rough until one was measured" in text
    assert "1 to 8 model calls a sample, of models that the source has the nodes make: gpt-4.1" in text
