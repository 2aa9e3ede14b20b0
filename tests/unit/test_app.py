"""What can be an app, which variants reach it, and how one sample of it is called."""

import asyncio
import functools
import operator
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import pydantic
import pytest
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import CachePolicy, interrupt

from pytest_promptune.core.errors import AppError, VariantError
from pytest_promptune.core.model import CURRENT, Variant
from pytest_promptune.langgraph.app import SEED, App, Function, Graph, Runnable, adapt, is_builder

AS_IT_STANDS = Variant(name=CURRENT)


class State(TypedDict, total=False):
    q: int
    seen: Annotated[list[Any], operator.add]


@dataclass
class Tunables:
    temperature: float = 0.7
    system: str = "Be brief."


def graph_of(node: Callable[..., Any], schema: Any = None, **compiling: Any) -> Any:
    builder = StateGraph(State, context_schema=schema)
    return builder.add_node("node", node).add_edge(START, "node").compile(**compiling)


def answer(app: App, value: Any, variant: Variant = AS_IT_STANDS, *, seed: int = 7) -> Any:
    """The result of one sample, called as the engine does."""
    called = app.call(value, variant, seed=seed)()
    if not app.is_async:
        return called

    async def wait(awaitable: Awaitable[Any]) -> Any:
        return await awaitable

    return asyncio.run(wait(called))


def answers(app: App, count: int, value: Any, variant: Variant = AS_IT_STANDS) -> list[Any]:
    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*(app.call(value, variant, seed=i)() for i in range(count)))

    return asyncio.run(all_at_once())


def refused(value: object) -> str:
    with pytest.raises(AppError) as caught:
        adapt(value, name="bot")
    assert "'bot'" in str(caught.value)
    return str(caught.value)


# --- kinds ----------------------------------------------------------------------------------------


async def answer_async(value: Any) -> Any:
    return value


class CallableApp:
    def __call__(self, value: Any) -> Any:
        return value


class AsyncCallableApp:
    async def __call__(self, value: Any) -> Any:
        return value


@pytest.mark.parametrize(
    ("value", "kind", "is_async"),
    [
        (lambda value: value, Function, False),
        (answer_async, Function, True),
        (functools.partial(answer_async), Function, True),
        (CallableApp(), Function, False),
        (AsyncCallableApp(), Function, True),
        (CallableApp().__call__, Function, False),
        (RunnableLambda(lambda value: value), Runnable, True),
        (RunnableLambda(lambda value: value) | (lambda value: value), Runnable, True),
        (graph_of(lambda state: state), Graph, True),
        (graph_of(lambda state: state).with_config(tags=["x"]), Graph, True),
    ],
    ids=["function", "coroutine function", "partial", "object", "async object", "method", "runnable", "chain",
         "graph", "configured graph"],
)  # fmt: skip
def test_kinds(value, kind, is_async):
    """Graphs, Runnables and callables, sync and async, are told apart and give their answer."""
    app = adapt(value, name="bot")
    assert type(app) is kind
    assert app.is_async is is_async
    assert answer(app, {"q": 1})["q"] == 1


def test_functional_api():
    """An @entrypoint of LangGraph's functional API is a graph."""

    @entrypoint(checkpointer=InMemorySaver())
    async def flow(value: dict[str, int]) -> int:
        return value["q"] + 1

    app = adapt(flow, name="bot")
    assert type(app) is Graph
    assert answer(app, {"q": 1}) == 2


@pytest.mark.parametrize(
    "value", [None, 3, "support_bot", {"a": 1}, object()], ids=lambda v: type(v).__name__
)
def test_what_is_no_app(value):
    """What can't be called is shown, with what would do."""
    message = refused(value)
    assert ("None" if value is None else type(value).__qualname__) in message
    assert "compiled LangGraph graph" in message


def test_a_graph_that_is_not_compiled():
    """The usual slip is told by name."""
    assert "graph.compile()" in refused(StateGraph(State))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (lambda variant: None, True),
        (functools.partial(lambda a, variant: None, 1), True),
        (lambda value: None, False),
        (lambda: None, False),
        (lambda variant, other: None, False),
        (lambda variant=None: None, True),
        (RunnableLambda(lambda variant: None), False),
        (dict, False),
        (print, False),
        (3, False),
        (None, False),
    ],
)
def test_builders(value, expected):
    """A builder is a function with one parameter named `variant`; a class or Runnable is none."""
    assert is_builder(value) is expected


def test_a_class_with_a_variant_is_no_builder():
    """A class is an app to be called, not a builder, whatever its parameters."""

    class Bot:
        def __init__(self, variant: Variant) -> None: ...

    assert not is_builder(Bot)


def test_langchain_is_not_imported_for_a_function():
    """An app that is a plain function doesn't pay for LangChain."""
    script = (
        "import sys\n"
        "from pytest_promptune.langgraph.app import adapt, is_builder\n"
        "assert adapt(lambda value: value, name='bot').call(3, None, seed=1)() == 3\n"
        "assert not is_builder(len)\n"
        "print([m for m in sys.modules if m.partition('.')[0] in ('langchain_core', 'langgraph')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"


# --- variants -------------------------------------------------------------------------------------


def problem(value: object, variant: Variant, *, built: bool = False) -> str:
    with pytest.raises(VariantError) as caught:
        adapt(value, name="bot").check(variant, built=built)
    assert repr(variant.name) in str(caught.value)
    return str(caught.value)


COOL = Variant(name="cool", context={"temperature": 0.0})
PLAIN = graph_of(lambda state: {})
TUNED = graph_of(lambda state: {}, Tunables)


@pytest.mark.parametrize(
    "value", [answer_async, RunnableLambda(lambda value: value), PLAIN], ids=["function", "runnable", "graph"]
)
def test_context_needs_a_context_schema(value):
    """[context] for an app that has none is refused: it would silently measure `current`."""
    assert "sets [context]" in problem(value, COOL)


def test_context_fields_are_checked():
    """A misspelt field is refused, with those there are."""
    message = problem(TUNED, Variant(name="v", context={"temprature": 0.0, "system": "x"}))
    assert "'temprature'" in message
    assert "temperature, system" in message
    assert "'system'" not in message
    adapt(TUNED, name="bot").check(COOL, built=False)


class Typed(TypedDict, total=False):
    temperature: float


class Model(pydantic.BaseModel):
    temperature: float = 0.7


@pytest.mark.parametrize("schema", [Tunables, Typed, Model])
def test_kinds_of_context(schema):
    """Dataclasses, TypedDicts and pydantic models as context: checked, and the value arrives."""

    def node(state: State, runtime: Runtime[Any]) -> State:
        context = runtime.context
        value = context["temperature"] if isinstance(context, dict) else context.temperature
        return {"seen": [type(context) is not dict, value]}

    app = adapt(graph_of(node, schema), name="bot")
    app.check(COOL, built=False)
    with pytest.raises(VariantError):
        app.check(Variant(name="v", context={"unknown": 1}), built=False)
    assert answer(app, {"q": 1}, COOL)["seen"] == [schema is not Typed, 0.0]


def test_templates_reach_everything():
    """Templates need no help of the app."""
    for value in (answer_async, PLAIN, RunnableLambda(lambda value: value)):
        adapt(value, name="bot").check(Variant(name="v", templates={"a.j2": "x"}), built=False)


COLD = {"params": {"temperature": 0}}


@pytest.mark.parametrize("built", [False, True])
@pytest.mark.parametrize("value", [PLAIN, TUNED], ids=["graph", "tunable graph"])
def test_unknown_nodes_are_refused(value, built):
    """A node that the graph doesn't have: refused before any call, with those that it has."""
    with pytest.raises(VariantError) as caught:
        adapt(value, name="bot").check(Variant(name="v", nodes={"nod": COLD}), built=built)
    assert str(caught.value) == (
        "variant 'v': [nodes] names 'nod', which the graph of 'bot' doesn't have. Did you mean 'node'? "
        "There are 'node'."
    )
    assert "'nod/deep'" in problem(value, Variant(name="v", nodes={"nod/deep": COLD}))


def test_nodes_of_subgraphs_are_known():
    """Paths go through subgraphs; below a node that is a function only running the app can tell."""
    inner = graph_of(lambda state: {})
    builder = StateGraph(State).add_node("team", inner).add_node("alone", lambda state: {})
    app = adapt(builder.add_edge(START, "team").add_edge("team", "alone").compile(), name="bot")
    assert app.nodes == {"team", "team/node", "alone"}
    app.check(Variant(name="v", nodes={"team/node": COLD, "alone/inside": COLD}), built=False)
    with pytest.raises(VariantError, match=r"'team/nde', which .* Did you mean 'team/node'"):
        app.check(Variant(name="v", nodes={"team/nde": COLD}), built=False)


def test_a_broken_override_is_refused():
    """What a node's table says is read before any call, whatever the app is."""
    assert "what it replaces" in problem(answer_async, Variant(name="v", nodes={"a/b": {"prompt": "x"}}))
    adapt(answer_async, name="bot").check(Variant(name="v", nodes={"a/b": COLD}), built=False)


def test_only_variants_of_nodes_have_attempts():
    """`current` and the other ways pay nothing for the chat-model boundary."""
    app = adapt(PLAIN, name="bot")
    variant = Variant(name="v", nodes={"node": COLD})
    app.check(variant, built=False)
    assert app.attempt(AS_IT_STANDS) is None
    assert app.attempt(variant) is not None


def test_current_gets_the_defaults_of_the_context():
    """`current` runs with the schema's defaults, and they are known for reports."""

    def node(state: State, runtime: Runtime[Tunables]) -> State:
        return {"seen": [runtime.context.temperature, runtime.context.system]}

    app = adapt(graph_of(node, Tunables), name="bot")
    assert app.default_context() == {"temperature": 0.7, "system": "Be brief."}
    assert answer(app, {"q": 1})["seen"] == [0.7, "Be brief."]
    assert answer(app, {"q": 1}, COOL)["seen"] == [0.0, "Be brief."]


def test_a_context_with_required_fields_has_no_defaults():
    """A schema that can't be built without arguments leaves `current` as the app calls it."""

    @dataclass
    class Required:
        temperature: float

    app = adapt(graph_of(lambda state: {}, Required), name="bot")
    assert app.default_context() == {}
    assert answer(app, {"q": 1}) == {"q": 1, "seen": []}


def test_variants_don_t_mix():
    """Sixty samples of two variants in flight each see their own context."""

    async def node(state: State, runtime: Runtime[Tunables]) -> State:
        before = runtime.context.temperature
        await asyncio.sleep(0.002)
        return {"seen": [before, runtime.context.temperature]}

    app = adapt(graph_of(node, Tunables), name="bot")

    async def all_at_once() -> list[Any]:
        variants = [AS_IT_STANDS, COOL] * 30
        return await asyncio.gather(*(app.call({"q": 1}, variant, seed=1)() for variant in variants))

    assert [found["seen"] for found in asyncio.run(all_at_once())] == [[0.7, 0.7], [0.0, 0.0]] * 30


@pytest.mark.parametrize("schema", [None, Tunables], ids=["without context", "with another context"])
def test_a_built_graph_is_not_given_the_context_again(schema):
    """A builder has used variant.context already; its graph need not have a field of each name."""
    variant = Variant(name="v", context={"style": "formal"})
    app = adapt(graph_of(lambda state: {"seen": ["there"]}, schema), name="bot")
    app.check(variant, built=True)
    assert answer(app, {"q": 1}, variant)["seen"] == ["there"]


# --- one sample -----------------------------------------------------------------------------------


def test_each_sample_has_its_seed():
    """The seed is in config["configurable"], for graphs and Runnables."""

    def node(state: State, config: RunnableConfig) -> State:
        return {"seen": [config["configurable"][SEED]]}

    def link(value: Any, config: RunnableConfig) -> int:
        return config["configurable"][SEED]

    assert [a["seen"] for a in answers(adapt(graph_of(node), name="bot"), 3, {"q": 1})] == [[0], [1], [2]]
    assert answers(adapt(RunnableLambda(link), name="bot"), 3, {"q": 1}) == [0, 1, 2]


def test_a_function_gets_the_input_alone():
    """A plain function is called with one argument."""
    assert answer(adapt(lambda *args, **kwargs: (args, kwargs), name="bot"), 3) == ((3,), {})


def test_memory_is_of_one_sample():
    """A graph with a checkpointer remembers nothing from sample to sample, and the app's own stays empty."""
    saver = InMemorySaver()
    app = adapt(graph_of(lambda state: {"seen": ["x"]}, checkpointer=saver), name="bot")
    assert [found["seen"] for found in answers(app, 5, {"q": 1})] == [["x"]] * 5
    assert list(saver.list(None)) == []


def test_a_graph_without_memory_needs_no_thread():
    """No checkpointer, no thread_id."""
    seen: list[Any] = []

    def node(state: State, config: RunnableConfig) -> State:
        seen.append(config["configurable"].get("thread_id"))
        return {}

    answer(adapt(graph_of(node), name="bot"), {"q": 1})
    assert seen == [None]


def test_caches_are_left_out():
    """A node's cache would answer one sample with the output of another: every sample calls the node."""
    calls: list[int] = []

    def node(state: State) -> State:
        calls.append(1)
        return {"seen": ["x"]}

    builder = StateGraph(State).add_node("node", node, cache_policy=CachePolicy()).add_edge(START, "node")
    graph = builder.compile(cache=InMemoryCache())
    app = adapt(graph, name="bot")
    for _ in range(3):
        answer(app, {"q": 1})
    assert len(calls) == 3
    assert graph.cache is not None


def test_caches_of_a_graph_with_memory_are_left_out():
    """The same with a checkpointer."""
    calls: list[int] = []

    def node(state: State) -> State:
        calls.append(1)
        return {}

    builder = StateGraph(State).add_node("node", node, cache_policy=CachePolicy()).add_edge(START, "node")
    app = adapt(builder.compile(cache=InMemoryCache(), checkpointer=InMemorySaver()), name="bot")
    for _ in range(3):
        answer(app, {"q": 1})
    assert len(calls) == 3


@pytest.mark.parametrize("compiling", [{}, {"checkpointer": InMemorySaver()}], ids=["bare", "with memory"])
def test_an_interrupt_is_an_error(compiling):
    """A graph that waits for a person gives no output: the error says so and what it asked."""

    def node(state: State) -> State:
        return {"seen": [interrupt("Really?")]}

    app = adapt(graph_of(node, **compiling), name="bot")
    with pytest.raises((AppError, RuntimeError)) as caught:
        answer(app, {"q": 1})
    if compiling:
        assert "interrupt" in str(caught.value)
        assert "Really?" in str(caught.value)


def test_a_node_that_raises():
    """What a node raises comes through as it is."""

    def node(state: State) -> State:
        raise LookupError("no such tool")

    with pytest.raises(LookupError, match="no such tool"):
        answer(adapt(graph_of(node), name="bot"), {"q": 1})


def test_the_graph_itself_is_left_alone():
    """Adapting copies: the app's own checkpointer and cache stay where they are."""
    saver, cache = InMemorySaver(), InMemoryCache()
    graph = graph_of(lambda state: {}, checkpointer=saver, cache=cache)
    answer(adapt(graph, name="bot"), {"q": 1})
    assert graph.checkpointer is saver
    assert graph.cache is cache


def test_nodes_of_two_graphs_run_by_hand():
    """LangGraph tells of one graph in a function at most: only running the app tells more."""
    first = graph_of(lambda state: {})
    second = StateGraph(State).add_node("other", lambda state: {}).add_edge(START, "other").compile()

    def both(state: State) -> State:
        first.invoke(state)
        second.invoke(state)
        return {}

    app = adapt(StateGraph(State).add_node("both", both).add_edge(START, "both").compile(), name="bot")
    app.check(Variant(name="v", nodes={"both/node": COLD, "both/other": COLD}), built=False)
