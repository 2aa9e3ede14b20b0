"""Keys, packages and rough estimates of the apps of a plan."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.outputs import ChatResult

from pytest_promptune.core.model import Case, Variant
from pytest_promptune.core.planning import MatrixRow
from pytest_promptune.core.prices import Price
from pytest_promptune.langgraph.held import held_models
from pytest_promptune.planning import models as planning_models
from pytest_promptune.planning.models import AppModels

PLACE = ("bot", None)


class Acme(BaseChatModel):
    model: str | None = "acme-1"

    @property
    def lc_secrets(self) -> dict[str, str]:
        return {"acme_api_key": "ACME_API_KEY"}

    @property
    def _llm_type(self) -> str:
        return "acme"

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise AssertionError("a model was called")


class ChatOpenAI(Acme):
    __module__ = "langchain_openai.chat_models"


def makes_one(state):
    return ChatOpenAI().invoke(state)


def models(app: Any = None, /, prices: dict[str, Price] | None = None, **environment: str) -> AppModels:
    found = AppModels(prices or {}, environment, root=Path(__file__).parent)
    if app is not None:
        found.look(PLACE, app)
    return found


def lines(found: AppModels) -> list[tuple[str, str, str]]:
    return [(check.status, check.what, check.text) for check in found.checks()]


@pytest.fixture
def without_init_chat_model(monkeypatch):
    monkeypatch.delitem(sys.modules, "langchain.chat_models", raising=False)


@pytest.fixture
def with_init_chat_model(monkeypatch):
    monkeypatch.setitem(sys.modules, "langchain.chat_models", types.ModuleType("langchain.chat_models"))


def test_a_missing_key_fails():
    """Such a model can't be called; which variable to set is said."""
    text = "Acme (acme-1) has none: set ACME_API_KEY, or make it with api_key=…"
    assert lines(models(Acme())) == [("failed", "keys", text)]


def test_a_key_that_is_there():
    """Said once, with all models that have theirs; the key itself isn't."""
    found = models(Acme(), ACME_API_KEY="sk-secret")
    found.look(("other", None), Acme(model="acme-2"))
    found.look(("other", None), Acme())
    assert lines(found) == [("ok", "keys", "given to Acme (acme-1), Acme (acme-2)")]


def test_apps_without_models():
    """Nothing is said where nothing was seen."""
    assert lines(models(lambda value: value)) == []


def test_each_app_is_looked_through_once(monkeypatch):
    """All variants share it, unless a builder makes one for each."""
    looked = []
    monkeypatch.setattr(planning_models, "held_models", lambda app: looked.append(app) or held_models(app))
    one, other = Acme(), Acme()
    found = models()
    for app in (one, one, other):
        found.look(PLACE, app)
    found.look(("other", None), one)
    assert [id(app) for app in looked] == [id(one), id(other), id(one)]


first, second, third, fourth, fifth, sixth = (Acme(model=f"acme-{number}") for number in range(6))


def names_six(state):
    return [model.invoke(state) for model in (first, second, third, fourth, fifth, sixth)]


def test_models_are_told_in_one_order():
    """That of the source, and not one that each process draws anew."""
    names = [model.model for model in held_models(names_six).models]
    assert names in (sorted(names), sorted(names, reverse=True))


def test_models_that_nodes_make():
    """They may be given a key then: a warning, unless the variable is set."""
    key, package = lines(models(makes_one))
    assert key[:2] == ("warning", "keys")
    assert "OPENAI_API_KEY isn't set, and is needed for openai:acme-1 (node makes_one)" in key[2]
    assert package == ("ok", "packages", "installed for what nodes make: langchain-openai")
    text = "OPENAI_API_KEY is set, for openai:acme-1 (node makes_one)"
    assert lines(models(makes_one, OPENAI_API_KEY="x"))[0] == ("ok", "keys", text)


def test_classes_that_nodes_hand_on():
    """Whether somebody else's code makes one isn't known from the source: a warning all the same."""

    def hands_it_on(state):
        return sorted(state, key=[ChatOpenAI].index)

    ((status, _, text),) = lines(models(hands_it_on))
    assert status == "warning"
    assert "ChatOpenAI is made while the app runs, and OPENAI_API_KEY isn't set" in text
    assert lines(models(hands_it_on, OPENAI_API_KEY="x")) == []


def named(context: dict[str, Any], *variants: Variant, **environment: str) -> list[tuple[str, str, str]]:
    found = models(**environment)
    for variant in variants or [Variant(name="current")]:
        found.look_at(variant, context)
    return lines(found)


@pytest.mark.usefixtures("with_init_chat_model")
def test_packages_and_keys_of_named_models(monkeypatch):
    """Variants and the graph's context may name providers that nobody has installed."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    cold = Variant(name="cold", context={"model": "mistralai:large"})
    node = Variant(name="node", nodes={"classify": {"params": {"model": "ollama:llama3"}}})
    texts = named({"model": "groq:llama"}, cold, node, GROQ_API_KEY="x")
    assert {status for status, *_ in texts} == {"failed"}
    assert [(what, text.partition(", which")[0]) for _, what, text in texts] == [
        ("packages", "groq:llama (the graph's context) needs langchain-groq"),
        ("packages", "mistralai:large (variant cold) needs langchain-mistralai"),
        ("keys", "mistralai:large (variant cold) needs MISTRAL_API_KEY"),
        ("packages", "ollama:llama3 (variant node) needs langchain-ollama"),
    ]
    assert "pip install langchain-groq" in texts[0][2]


@pytest.mark.usefixtures("without_init_chat_model")
def test_names_that_the_app_may_read_itself(monkeypatch):
    """Where init_chat_model isn't loaded, such a name is worth a warning."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert {status for status, *_ in named({"model": "groq:llama"})} == {"warning"}


@pytest.mark.usefixtures("with_init_chat_model")
def test_named_models_that_are_fine(monkeypatch):
    """Installed, with a key in the environment or beside the name."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: types.SimpleNamespace())
    assert named({"model": "groq:llama"}, GROQ_API_KEY="x") == []
    assert named({"model": "groq:llama", "api_key": "x"}) == []


# --- estimates ------------------------------------------------------------------------------------

ROW = MatrixRow(
    place=PLACE,
    cases=("a", "b"),
    variants=("current",),
    runs=(5, 5),
    samples=10,
    calls={"current": 10},
    tests=10,
    scorer_calls=0,
)
CASES = [Case(id="a", input="x" * 58), Case(id="b", input="y" * 58)]


def rough(found: AppModels):
    return found.rough([ROW], cases=CASES, templates={"t.j2": "z" * 25})


def test_a_model_with_a_price():
    """From the own prices here, in USD per million tokens."""
    (estimate,) = rough(models(Acme(), prices={"acme-1": Price(input=1.0, output=0.0)})).values()
    assert (estimate.model_calls.low, estimate.model_calls.high) == (10, 20)
    assert estimate.input_tokens.low == 100  # with the quotation marks of JSON
    assert estimate.cost_usd.low == pytest.approx(100e-6)
    assert estimate.cost_usd.high == pytest.approx(estimate.input_tokens.high * 1e-6, rel=1e-3)


def test_a_model_without_a_price():
    """Tokens are told, a cost isn't."""
    (estimate,) = rough(models(Acme())).values()
    assert estimate.input_tokens.high > 10 * 1_500
    assert estimate.cost_usd is None


@pytest.mark.parametrize("app", [Acme(model=None), lambda value: value], ids=["a double", "no model"])
def test_nothing_to_tell(app):
    """A test's double costs nothing, and of an app without models nothing is known."""
    assert rough(models(app)) == {}


def test_an_input_without_a_text():
    """It is told of elsewhere; here it is left out."""
    found = models(Acme()).rough([ROW], cases=[Case(id="a", input=object())], templates={})
    assert found[PLACE].input_tokens.low == 0
