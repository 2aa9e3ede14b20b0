"""The four ways a variant reaches the app, each with 60 variants in flight at once."""

import asyncio
import operator
import random
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import jinja2
import pytest
from echoing import Echo, built, execution
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime

from pytest_promptune.core.model import Variant
from pytest_promptune.sampling.apps import BuiltApp
from pytest_promptune.variants.templates import Templates

IN_FLIGHT = 60
MODEL = Echo(longest_s=0.01)
NODES = ("plain", "team/ask", "hand/ask")


class State(TypedDict, total=False):
    q: str
    seen: Annotated[list[str], operator.add]


@dataclass
class Tunables:
    system: str = "Current"


Wording = Callable[[State, Any], str]


def make_graph(wording: Wording, *, is_async: bool, schema: Any = None) -> Any:
    """A node, a subgraph, and a graph that a node invokes by hand, each with one model call."""

    def ask(state: State, runtime: Runtime[Any]) -> State:
        time.sleep(random.uniform(0, 0.005))
        return {"seen": [MODEL.invoke(wording(state, runtime.context)).text]}

    async def ask_async(state: State, runtime: Runtime[Any]) -> State:
        await asyncio.sleep(random.uniform(0, 0.005))
        return {"seen": [(await MODEL.ainvoke(wording(state, runtime.context))).text]}

    node: Any = ask_async if is_async else ask
    inner = StateGraph(State, context_schema=schema).add_node("ask", node).add_edge(START, "ask").compile()

    def by_hand(state: State, runtime: Runtime[Any]) -> State:
        return {"seen": inner.invoke({"q": state["q"]}, context=runtime.context)["seen"]}

    async def by_hand_async(state: State, runtime: Runtime[Any]) -> State:
        return {"seen": (await inner.ainvoke({"q": state["q"]}, context=runtime.context))["seen"]}

    hand: Any = by_hand_async if is_async else by_hand
    builder = StateGraph(State, context_schema=schema)
    builder.add_node("plain", node).add_node("team", inner).add_node("hand", hand)
    for name in ("plain", "team", "hand"):
        builder.add_edge(START, name)
    return builder.compile()


@dataclass
class Way:
    """An app, and the variant that makes it say a word."""

    app: BuiltApp
    saying: Callable[[str], Variant]


def runtime_context(is_async: bool, _: Any) -> Way:
    def wording(state: State, context: Any) -> str:
        return f"{context.system} {state['q']}"

    app = built(make_graph(wording, is_async=is_async, schema=Tunables))
    return Way(app, lambda word: Variant(name=word, context={"system": word}))


def jinja_loader(is_async: bool, request: pytest.FixtureRequest) -> Way:
    env = jinja2.Environment(loader=jinja2.DictLoader({"p.j2": "Current {{ q }}"}), autoescape=False)
    templates = Templates(env)
    request.addfinalizer(templates.uninstall)

    def wording(state: State, context: Any) -> str:
        return env.get_template("p.j2").render(q=state["q"])

    app = built(make_graph(wording, is_async=is_async))
    return Way(app, lambda word: Variant(name=word, templates={"p.j2": f"{word} {{{{ q }}}}"}))


def chat_model_boundary(is_async: bool, _: Any) -> Way:
    app = built(make_graph(lambda state, _: f"Current {state['q']}", is_async=is_async))

    def saying(word: str) -> Variant:
        table = {"template": "Current {q}", "prompt": f"{word} {{q}}", "params": {"word": word}}
        return Variant(name=word, nodes=dict.fromkeys(NODES, table))

    return Way(app, saying)


def builder(is_async: bool, _: Any) -> Way:
    def build(variant: Variant) -> Any:
        word = variant.context.get("word", "Current")
        return make_graph(lambda state, _: f"{word} {state['q']}", is_async=is_async)

    return Way(built(build), lambda word: Variant(name=word, context={"word": word}))


async def gathered(calls: list[Callable[[], Awaitable[Any]]]) -> list[Any]:
    return list(await asyncio.gather(*(call() for call in calls)))


def in_one_loop(calls: list[Callable[[], Any]]) -> list[Any]:
    return asyncio.run(gathered(calls))


def in_threads(calls: list[Callable[[], Any]]) -> list[Any]:
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        return list(pool.map(lambda call: asyncio.run(gathered([call]))[0], calls))


@pytest.mark.parametrize("at_once", [in_one_loop, in_threads])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync nodes", "async nodes"])
@pytest.mark.parametrize("way", [runtime_context, jinja_loader, chat_model_boundary, builder])
def test_60_variants_in_flight(way, is_async, at_once, request):
    """None of 60 sees another's prompt, or `current`'s, in the graph, its subgraph, or one run by hand."""
    made: Way = way(is_async, request)
    variants = [made.saying(f"W{i:02d}") for i in range(IN_FLIGHT)]
    calls = [execution(made.app, v, {"q": f"q{i}"}).call for i, v in enumerate(variants)]
    outputs = at_once(calls)
    wrong = [
        variant.name
        for i, (variant, output) in enumerate(zip(variants, outputs, strict=True))
        if len(output["seen"]) != len(NODES)
        or any(f'"{variant.name} q{i}"' not in text for text in output["seen"])
        or (variant.nodes and any(f'"word": "{variant.name}"' not in text for text in output["seen"]))
    ]
    assert wrong == []
