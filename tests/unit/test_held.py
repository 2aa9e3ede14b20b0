"""Which models an app holds and what they need, seen without calling anything."""

from __future__ import annotations

import functools
import types
from typing import Any, TypedDict

import pytest
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.outputs import ChatResult
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, StateGraph
from pydantic import SecretStr

from pytest_promptune.langgraph.held import Held, held_models
from pytest_promptune.langgraph.providers import NamedModel, key_of_class, named_models, needs_of
from pytest_promptune.sampling.apps import BuiltApp
from pytest_promptune.store.log import are_other_models


class Acme(BaseChatModel):
    """Says what it needs, as the providers' classes do."""

    model: str = "acme-1"
    acme_api_key: SecretStr | None = None
    acme_api_url: str | None = "https://api.acme.com/v1"
    max_tokens: int | None = None

    @property
    def lc_secrets(self) -> dict[str, str]:
        return {"acme_api_key": "ACME_API_KEY"}

    @property
    def _llm_type(self) -> str:
        return "acme"

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise AssertionError("a model was called")


class State(TypedDict):
    q: str


LLM = Acme()
THINGS = types.ModuleType("their_app.things")
THINGS.llm = Acme(model="of a module")  # type: ignore[attr-defined]


def by_global(state):
    return LLM.invoke(state["q"])


def by_helper(state):
    return by_global(state)


def by_nested_function(state):
    def inner():
        return LLM.invoke(state["q"])

    return inner()


def by_module(state):
    return THINGS.llm.invoke(state["q"])


def by_default(state, llm=LLM):
    return llm


def makes_one(state):
    return Acme(model="later").invoke(state["q"])


def without(state):
    return state


@functools.lru_cache
def cached(state):
    return LLM


@functools.wraps(by_global)
def decorated(state):
    return None


class Bot:
    def __init__(self, llm):
        self.chain = [{"llm": llm}]

    def answer(self, state):
        return self.chain

    def __call__(self, state):
        return self.chain


def closing_over(llm):
    return lambda state: llm.invoke(state["q"])


def graph(*nodes, **more):
    builder = StateGraph(State)
    for number, node in enumerate(nodes):
        builder.add_node(f"n{number}", node)
        builder.add_edge(START, f"n{number}")
    return builder.compile(**more)


HOLDERS = {
    "global": by_global,
    "helper": by_helper,
    "nested function": by_nested_function,
    "default": by_default,
    "cached": cached,
    "decorated": decorated,
    "closure": closing_over(LLM),
    "method": Bot(LLM).answer,
    "object": Bot(LLM),
    "partial": functools.partial(by_default, llm=LLM),
    "model": LLM,
    "chain": LLM | RunnableLambda(without),
    "bound": LLM.bind(stop=["x"]),
    "retrying": LLM.with_retry(),
    "fallback": RunnableLambda(without).with_fallbacks([LLM]),
    "lambda": RunnableLambda(by_global),
}


@pytest.mark.parametrize("way", HOLDERS)
def test_a_model_is_found(way):
    """However an app comes by it."""
    found = held_models(HOLDERS[way])
    assert (list(map(id, found.models)), found.classes, found.steps) == ([id(LLM)], (), 1)


@pytest.mark.parametrize("way", [way for way in HOLDERS if way != "model"])
def test_a_model_is_found_in_a_graph(way):
    """Its nodes are looked into."""
    found = held_models(graph(HOLDERS[way], without))
    assert (list(map(id, found.models)), found.steps) == ([id(LLM)], 1)


def test_models_of_modules():
    """What is reached through a module that the function names."""
    assert held_models(by_module).models == (THINGS.llm,)


def test_steps_are_nodes_with_a_model():
    """Those of subgraphs count for themselves; a model of two nodes is one."""
    inner = graph(by_global, without, by_helper)
    found = held_models(graph(inner, by_default, without))
    assert (len(found.models), found.steps) == (1, 3)


def test_a_class_that_a_node_names():
    """What it makes of it can't be seen; a class of which there is an object is known already."""
    assert held_models(makes_one) == Held(classes=(Acme,), steps=1)
    assert held_models(graph(makes_one, by_global)).classes == ()


def test_tables_of_settings():
    """As those from which a model is made when it is needed."""
    table = {"model": "groq:llama", "temperature": 0}
    assert held_models(closing_over({"inner": [table]})).settings == (table,)


@pytest.mark.parametrize(
    "value",
    [without, lambda _: None, 7, None, "text", types.SimpleNamespace],
    ids=["function", "lambda", "number", "none", "text", "class"],
)
def test_nothing_to_find(value):
    """Other apps hold no model."""
    assert held_models(value) == Held()


def test_what_contains_itself():
    """Nothing is looked at twice."""
    bot = Bot(LLM)
    bot.chain.append(bot)
    assert len(held_models(bot).models) == 1


def test_properties_are_not_read():
    """They are code of the app."""

    class Eager:
        @property
        def llm(self):
            raise AssertionError("a property was read")

    assert held_models(Eager()) == Held()


# --- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "environment", "expected"),
    [
        ({}, {}, False),
        ({"acme_api_key": SecretStr("")}, {}, False),
        ({"acme_api_key": SecretStr("x")}, {}, True),
        ({}, {"ACME_API_KEY": "x"}, True),
        ({}, {"ACME_API_KEY": ""}, False),
        ({}, {"ACME_AUTH_TOKEN": "x"}, True),
        ({"acme_api_url": "http://localhost:8080"}, {}, True),
        ({"acme_api_url": "https://eu.acme.com"}, {}, False),
    ],
    ids=str,
)
def test_keys(given, environment, expected):
    """One that is given or in the environment is enough; another server than the provider's may want none."""
    needs = needs_of(Acme(**given), environment)
    assert (needs.key, needs.has_key) == ("ACME_API_KEY", expected)


def test_what_is_told_of_a_model():
    """Its class and name, and never its key."""
    needs = needs_of(Acme(acme_api_key=SecretStr("sk-secret"), max_tokens=50), {"ACME_API_KEY": "sk-secret"})
    assert str(needs) == "Acme (acme-1)"
    assert needs.max_tokens == 50
    assert "sk-secret" not in repr(needs)


def test_an_app_that_raises_when_it_is_looked_at():
    """It is called nevertheless; what it holds isn't known."""

    class Lazy:
        @property
        def __class__(self):
            raise ConnectionError("no server yet")

    client = Lazy()

    def bot(inputs):
        return client or inputs

    built = BuiltApp("bot", bot, lambda call: call())
    assert built.models == {"bot": ()}


def test_a_model_without_secrets():
    """A local one needs no key; one that can't say what it needs is left alone."""

    class Local(Acme):
        @property
        def lc_secrets(self):
            return {}

    class Broken(Acme):
        @property
        def lc_secrets(self):
            raise RuntimeError("no")

    assert needs_of(Local(), {}).key is None
    assert needs_of(Broken(), {}).key is None


@pytest.mark.parametrize(
    ("module", "name", "expected"),
    [
        ("langchain_openai.chat_models.base", "ChatOpenAI", "OPENAI_API_KEY"),
        ("langchain_openai.chat_models.azure", "AzureChatOpenAI", None),
        ("langchain_anthropic.chat_models", "ChatAnthropic", "ANTHROPIC_API_KEY"),
        ("their_app.models", "ChatOpenAI", None),
    ],
)
def test_the_key_of_a_class(module, name, expected):
    """Known by the package of the class; Azure has several ways to sign in."""
    assert key_of_class(type(name, (), {"__module__": module})) == expected


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"model": "openai:gpt-4o"}, [("openai", "gpt-4o", False)]),
        ({"research_model": "ollama:llama3:8b"}, [("ollama", "llama3:8b", False)]),
        ({"model": "gpt-4o", "model_provider": "openai"}, [("openai", "gpt-4o", False)]),
        ({"model": "openai:gpt-4o", "api_key": "x"}, [("openai", "gpt-4o", True)]),
        ({"model": "openai:gpt-4o", "base_url": "http://x"}, [("openai", "gpt-4o", True)]),
        ({"params": {"model": "groq:x"}}, [("groq", "x", False)]),
        ({"model": "gpt-4o"}, []),
        ({"model": "ft:gpt-4o:acme"}, []),
        ({"model": "openai:"}, []),
        ({"model": 7, "prompt": "openai:gpt-4o"}, []),
        ({}, []),
    ],
    ids=str,
)
def test_names_with_a_provider(table, expected):
    """As `init_chat_model` reads them; nothing else is taken for one."""
    assert list(named_models(table)) == [
        NamedModel(provider=provider, name=name, is_equipped=equipped)
        for provider, name, equipped in expected
    ]


def test_a_function_that_fetches_a_token():
    """As Azure's, in place of a key."""

    class Entra(Acme):
        acme_ad_token_provider: Any = None

    assert not needs_of(Entra(), {}).has_key
    assert needs_of(Entra(acme_ad_token_provider=lambda: "token"), {}).has_key


def test_how_they_are_described():
    """By class, name and what changes answers, in one order; keys and addresses are left out."""
    acme = Acme(model="acme-2", acme_api_key=SecretStr("hidden"), max_tokens=50)
    held = Held(models=(LLM, acme), settings=({"model": "gpt-9", "temperature": 0.25, "api_key": "hidden"},))
    assert held.described() == ("Acme acme-1", "Acme acme-2, max_tokens=50", "model gpt-9, temperature=0.25")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("a", "a", False),
        ("a", "b", True),
        ("ab", "ac", True),
        ("ab", "aa", True),
        ("ab", "a", False),
        ("", "a", False),
        ("a", "aa", False),
    ],
)
def test_when_models_are_others(before, after, expected):
    """When some were replaced; one that is made later, or is met already, is no change."""
    assert are_other_models(before, after) is expected
    assert are_other_models(after, before) is expected
