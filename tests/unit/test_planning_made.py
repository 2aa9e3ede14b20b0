"""What the plan says of the models that nodes make while they run."""

from __future__ import annotations

import importlib.util
import types
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.chat_models import init_chat_model
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from openai import OpenAI

from pytest_promptune.core.model import Case
from pytest_promptune.core.planning import MatrixRow
from pytest_promptune.core.prices import Price
from pytest_promptune.langgraph.providers import PROVIDERS
from pytest_promptune.planning.models import AppModels

PLACE = ("bot", None)
held = ChatOpenAI(model="gpt-4o", api_key="x", max_tokens=7)
derived = held.bind(temperature=0.1).with_config(tags=["some"])
keyed = OpenAI(api_key="x")
keyless = types.SimpleNamespace(api_key=None)


def holds(state):
    return {"messages": [held.invoke("Say yes")]}


def derives(state):
    return {"messages": [derived.invoke("Say yes")]}


def by_name(state):
    return {"messages": [init_chat_model("openai:gpt-4.1", max_tokens=50).invoke("Say yes")]}


def by_provider(state):
    llm = init_chat_model(model="command-r", model_provider="cohere").bind(temperature=0).with_config(tags=[])
    return {"messages": [llm.invoke("Say yes")]}


def agent(state):
    return create_agent("anthropic:claude-sonnet-4-5", tools=[]).invoke(state)


def groq(state):
    from langchain_groq import ChatGroq

    return {"messages": [ChatGroq(model="llama-3").invoke("Say yes")]}


def mistral(state):
    from langchain_mistralai import ChatMistralAI

    return {"messages": [ChatMistralAI(model="small", api_key=state["key"]).invoke("Say yes")]}


def sdk(state):
    keyed.chat.completions.create(model="gpt-4o", messages=[])
    return keyless.chat.completions.create(model="gpt-5", messages=[])


def sometimes(state):
    return {"messages": [init_chat_model(state["model"], model_provider="openai").invoke("Say yes")]}


def graph(*nodes: Any) -> Any:
    builder = StateGraph(MessagesState)
    for node in nodes:
        builder.add_node(node.__name__, node)
        builder.add_edge(START, node.__name__)
    return builder.compile()


def seen(app: Any, prices: dict[str, Price] | None = None, **environment: str) -> AppModels:
    found = AppModels(prices or {}, environment, root=Path(__file__).parent)
    found.look(PLACE, app)
    return found


def lines(app: Any, **environment: str) -> list[tuple[str, str, str]]:
    return [(check.status, check.what, check.text) for check in seen(app, **environment).checks()]


@pytest.fixture(autouse=True)
def missing(monkeypatch):
    """Two packages are there, all others of providers are missing."""
    there = ("langchain_openai", "openai")

    def find(name: str) -> object:
        return types.SimpleNamespace() if name in there else None

    monkeypatch.setattr(importlib.util, "find_spec", find)


@pytest.mark.parametrize(
    ("node", "key", "package", "which"),
    [
        (by_name, "OPENAI_API_KEY", "", "openai:gpt-4.1 (node by_name)"),
        (by_provider, "COHERE_API_KEY", "langchain-cohere", "cohere:command-r (node by_provider)"),
        (agent, "ANTHROPIC_API_KEY", "langchain-anthropic", "anthropic:claude-sonnet-4-5 (node agent)"),
        (groq, "GROQ_API_KEY", "langchain-groq", "groq:llama-3 (node groq)"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_a_node_makes(node, key, package, which):
    """A warning for a key and for a package: the node may never run, or be given a key in its own way."""
    found = lines(graph(node))
    texts = [text for status, what, text in found if status == "warning" and what == "keys"]
    assert texts == [
        f"{key} isn't set, and is needed for {which}: made while the app runs, which fails unless a key is "
        "given there in another way."
    ]
    texts = [text for status, what, text in found if status == "warning" and what == "packages"]
    assert [text.partition(" isn't installed")[0] for text in texts] == ([package] if package else [])
    assert all(f"needed for {which}" in text and f"pip install {package}" in text for text in texts)
    assert ("ok", "keys", f"{key} is set, for {which}") in lines(graph(node), **{key: "x"})


def test_what_the_app_holds():
    """It is told of once, by what it says of itself: also where a node binds and configures it."""
    assert lines(graph(holds, derives)) == [("ok", "keys", "given to ChatOpenAI (gpt-4o)")]


def test_a_key_given_in_the_source():
    """Only its package is looked for."""
    ((status, what, text),) = lines(graph(mistral))
    assert (status, what) == ("warning", "packages")
    assert "langchain-mistralai isn't installed, and is needed for mistralai:small (node mistral)" in text


def test_clients_of_providers():
    """One that the app holds with a key is fine; they need their own package, and not LangChain's."""
    keys, packages = lines(graph(sdk))
    assert "OPENAI_API_KEY isn't set, and is needed for openai:gpt-5 (node sdk)" in keys[2]
    assert packages == ("ok", "packages", "installed for what nodes make: openai")


def test_apps_that_are_no_graph():
    """Functions are read as nodes are, and the graphs that they invoke."""
    inner = graph(by_name)

    def ask(value):
        groq(value)
        return inner.invoke(value)

    keys = [text for _, what, text in lines(ask) if what == "keys"]
    assert ["groq:llama-3 (node ask)" in keys[0], "openai:gpt-4.1 (node by_name)" in keys[1]] == [True, True]


def test_sources_that_cannot_be_read(monkeypatch):
    """The rest of the plan is shown all the same."""

    def fails(*args: Any, **named: Any) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr("pytest_promptune.langgraph.nodes.scanning.scan_app", fails)
    found = lines(graph(holds))
    assert found[0][0] == "ok"
    assert found[1][2] == (
        "The source of bot can't be read (RecursionError: too deep): what its nodes make while they run "
        "isn't checked."
    )


def test_the_providers_of_init_chat_model():
    """All that LangChain knows and that sign in by a key of their own or by none are in the table."""
    base = pytest.importorskip("langchain.chat_models.base")
    known = getattr(base, "_BUILTIN_PROVIDERS", None)
    if known is None:
        pytest.skip("this LangChain keeps them elsewhere")
    elsewhere = {"bedrock_mantle_anthropic", "bedrock_mantle_openai", "langsmith", "meta"}
    packages = {name: of[0].partition(".")[0] for name, of in known.items() if name not in elsewhere}
    assert packages == {name: p.module for name, p in PROVIDERS.items() if name in packages}


# --- estimates ------------------------------------------------------------------------------------

ROW = MatrixRow(
    place=PLACE,
    cases=("a",),
    variants=("current",),
    runs=(10, 10),
    samples=10,
    calls={"current": 10},
    tests=10,
    scorer_calls=0,
)
PRICES = {"gpt-4.1": Price(input=1.0, output=10.0), "gpt-4o": Price(input=1.0, output=20.0)}


def rough(*nodes: Any) -> Any:
    found = seen(graph(*nodes), PRICES)
    return found.rough([ROW], cases=[Case(id="a", input="x" * 58)], templates={}).get(PLACE)


def test_estimates_of_what_nodes_make():
    """Rough ones, from the names and limits in the source, which are told."""
    estimate = rough(by_name)
    assert "of models that the source has the nodes make: gpt-4.1" in estimate.basis
    assert (estimate.model_calls.low, estimate.model_calls.high) == (10, 20)
    assert estimate.output_tokens.high == 20 * 50
    assert estimate.cost_usd.high == pytest.approx(
        estimate.input_tokens.high * 1e-6 + 20 * 50 * 10e-6, rel=1e-3
    )


def test_estimates_of_both():
    """The dearest model counts, and each place that calls one."""
    estimate = rough(holds, by_name)
    assert estimate.model_calls.high == 40
    assert estimate.output_tokens.high == 40 * 50
    assert estimate.cost_usd.high > 40 * 50 * 20e-6


def test_a_model_that_is_known_when_the_node_runs():
    """Calls and tokens are told, a cost isn't, and why."""
    estimate = rough(by_name, sometimes)
    assert estimate.model_calls.high == 40
    assert estimate.cost_usd is None
    assert "which model a node makes is known only when it runs, so no cost" in estimate.basis
