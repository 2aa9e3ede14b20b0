"""What the model calls of one sample used, told by node; scripted chat models stand in for real ones."""

import asyncio
import operator
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.language_models.fake import FakeListLLM
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, RetryPolicy, Send
from pydantic import Field

from pytest_promptune.core.model import CURRENT, Answer, NodeRun, Usage, Variant
from pytest_promptune.core.prices import Price
from pytest_promptune.langgraph.answers import ANSWER_LENGTH
from pytest_promptune.langgraph.app import adapt
from pytest_promptune.langgraph.prices import PriceList
from pytest_promptune.langgraph.sites import call_site
from pytest_promptune.langgraph.tracing import MOST_ANSWERS, MOST_WAYS, NO_NODE, Trace, tracing


class Scripted(BaseChatModel):
    """Answers with its name; fails as often as it is told to; says what it used unless told not to."""

    name: str = "m"
    tokens: tuple[int, int] | None = (3, 2)
    fails: int = 0
    pause: float = 0.0

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _message(self, messages: list[BaseMessage]) -> AIMessage:
        if self.fails > 0:
            self.fails -= 1
            raise ConnectionError("lost")
        used = None
        if self.tokens is not None:
            used = {
                "input_tokens": self.tokens[0],
                "output_tokens": self.tokens[1],
                "total_tokens": sum(self.tokens),
            }
        return AIMessage(
            f"{self.name}: {messages[-1].text}",
            usage_metadata=used,
            response_metadata={"model_name": self.name},
        )

    def _generate(self, messages: list[BaseMessage], *_: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._message(messages))])

    async def _agenerate(self, messages: list[BaseMessage], *_: Any, **kwargs: Any) -> ChatResult:
        await asyncio.sleep(self.pause)
        return ChatResult(generations=[ChatGeneration(message=self._message(messages))])


class Streaming(Scripted):
    """Gives its answer in two pieces, with the usage in the last one."""

    def _stream(self, messages: list[BaseMessage], *_: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        message = self._message(messages)
        yield ChatGenerationChunk(message=AIMessageChunk("a"))
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                "b", usage_metadata=message.usage_metadata, response_metadata=message.response_metadata
            )
        )


class State(TypedDict, total=False):
    q: str
    out: Annotated[list[str], operator.add]


def node(model: BaseChatModel, *, is_async: bool = True) -> Any:
    """A node that asks a model."""

    async def ask(state: State) -> State:
        return {"out": [(await model.ainvoke(state["q"])).text]}

    def ask_sync(state: State) -> State:
        return {"out": [model.invoke(state["q"]).text]}

    return ask if is_async else ask_sync


def chain(*steps: tuple[str, Any]) -> Any:
    builder = StateGraph(State)
    before = START
    for name, step in steps:
        builder.add_node(name, step).add_edge(before, name)
        before = name
    return builder.compile()


def run(graph: Any, q: str = "hello") -> Trace:
    """One sample of a graph, as the engine calls it."""

    async def sample() -> Trace:
        with tracing() as trace:
            await adapt(graph, name="bot").call({"q": q}, Variant(name=CURRENT), seed=1)()
        return trace

    return asyncio.run(sample())


def by_node(trace: Trace) -> dict[str, NodeRun]:
    return {found.node: found for found in trace.nodes()}


# --- what is recorded -----------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
def test_a_model_in_a_node(is_async):
    """Calls, tokens, model, rendered prompt and time, under the node's name."""
    trace = run(chain(("classify", node(Scripted(), is_async=is_async))))
    (found,) = trace.nodes()
    assert (found.node, found.calls, found.errors, found.models) == ("classify", 1, 0, ("m",))
    assert found.usage == trace.usage == Usage(input_tokens=3, output_tokens=2, cost_usd=None)
    assert found.prompt == (("human", "hello"),)
    assert found.latency_s > 0


def test_a_model_without_a_graph():
    """Calls outside of any graph are counted, under a name that no node has."""
    with tracing() as trace:
        Scripted().invoke([SystemMessage("Be brief."), HumanMessage("hello")])
    (found,) = trace.nodes()
    assert found.node == NO_NODE
    assert found.prompt == (("system", "Be brief."), ("human", "hello"))


def test_nothing_is_traced_outside():
    """Before and after, calls belong to nobody."""
    Scripted().invoke("before")
    with tracing() as trace:
        pass
    Scripted().invoke("after")
    assert trace.nodes() == ()
    assert trace.usage == Usage()


def test_tracing_inside_of_tracing():
    """An inner trace takes its own calls, and the outer one goes on afterwards."""
    with tracing() as outer:
        with tracing() as inner:
            Scripted(name="inner").invoke("x")
        Scripted(name="outer").invoke("x")
    assert [found.models for found in inner.nodes()] == [("inner",)]
    assert [found.models for found in outer.nodes()] == [("outer",)]


def test_missing_usage_is_unknown():
    """A model that doesn't say what it used: None, not 0."""
    trace = run(chain(("a", node(Scripted(tokens=None)))))
    assert trace.usage == Usage(input_tokens=None, output_tokens=None)
    assert trace.nodes()[0].calls == 1


def test_several_calls_of_a_node_add_up():
    """Two calls of two models: sums, both names once, the last prompt."""

    async def step(state: State) -> State:
        for model, text in (
            (Scripted(), "one"),
            (Scripted(name="n", tokens=(10, 20)), "two"),
            (Scripted(), "three"),
        ):
            await model.ainvoke(text)
        return {}

    (found,) = run(chain(("a", step))).nodes()
    assert (found.calls, found.models) == (3, ("m", "n"))
    assert found.usage == Usage(input_tokens=16, output_tokens=24)
    assert found.prompt == (("human", "three"),)


def test_completion_models():
    """Models that complete a text are counted, with their prompt and without usage."""
    with tracing() as trace:
        FakeListLLM(responses=["x"]).invoke("Once upon a time")
    (found,) = trace.nodes()
    assert (found.calls, found.prompt, found.usage) == (1, (("text", "Once upon a time"),), Usage())


class Older(Scripted):
    """Says what it used beside its message, as many community models do."""

    tokens: tuple[int, int] | None = None
    model: str = "asked-for"
    output: dict[str, Any]

    def _generate(self, messages: list[BaseMessage], *_: Any, **kwargs: Any) -> ChatResult:
        generation = ChatGeneration(message=AIMessage("x"))
        return ChatResult(generations=[generation], llm_output=self.output)


@pytest.mark.parametrize(
    ("output", "usage", "model"),
    [
        (
            {"token_usage": {"prompt_tokens": 5, "completion_tokens": 4}, "model_name": "older"},
            Usage(input_tokens=5, output_tokens=4),
            "older",
        ),
        ({"usage": {"input_tokens": 5}}, Usage(input_tokens=5), "asked-for"),
        ({"token_usage": {"prompt_tokens": "5"}}, Usage(), "asked-for"),
        ({}, Usage(), "asked-for"),
    ],
)
def test_usage_beside_the_message(output, usage, model):
    """Where the message says nothing, what the result says; and the model is the one that was asked for."""
    with tracing() as trace:
        Older(output=output).invoke("x")
    (found,) = trace.nodes()
    assert (found.usage, found.models) == (usage, (model,))


def test_prompts_of_several_parts():
    """A message of text and image parts is kept as its text."""
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image", "url": "https://example.org/x.png"}]
    with tracing() as trace:
        Scripted().invoke([HumanMessage(content=parts)])
    assert trace.nodes()[0].prompt == (("human", "What is this?"),)


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
def test_streams(is_async):
    """A streamed answer is one call with its usage."""

    async def step(state: State) -> State:
        return {"out": [chunk.text async for chunk in Streaming().astream(state["q"])]}

    def step_sync(state: State) -> State:
        return {"out": [chunk.text for chunk in Streaming().stream(state["q"])]}

    (found,) = run(chain(("a", step if is_async else step_sync))).nodes()
    assert (found.calls, found.errors, found.models) == (1, 0, ("m",))
    assert found.usage == Usage(input_tokens=3, output_tokens=2)


# --- failures -------------------------------------------------------------------------------------


def test_retries():
    """Failed attempts are calls that failed, without usage; the answer's usage counts."""
    model = Scripted(fails=2)
    step = node(model.with_retry(stop_after_attempt=3, wait_exponential_jitter=False))
    (found,) = run(chain(("a", step))).nodes()
    assert (found.calls, found.errors) == (3, 2)
    assert found.usage == Usage(input_tokens=3, output_tokens=2)


def test_fallbacks():
    """The model that answered is the one named."""
    step = node(Scripted(name="broken", fails=9).with_fallbacks([Scripted(name="spare")]))
    (found,) = run(chain(("a", step))).nodes()
    assert (found.calls, found.errors, found.models) == (2, 1, ("spare",))


def test_an_error_that_comes_through():
    """A sample that fails still tells what its calls used up to there."""
    with tracing() as trace:
        Scripted().invoke("x")
        with pytest.raises(ConnectionError):
            Scripted(fails=1).invoke("x")
    (found,) = trace.nodes()
    assert (found.calls, found.errors) == (2, 1)
    assert found.usage == Usage(input_tokens=3, output_tokens=2)


def test_a_call_that_was_cut_off():
    """A cancelled call has no latency, and is counted."""

    async def cut_off() -> Trace:
        with tracing() as trace:
            calling = asyncio.create_task(Scripted(pause=20).ainvoke("x"))
            await asyncio.sleep(0.01)
            calling.cancel()
            await asyncio.gather(calling, return_exceptions=True)
        return trace

    (found,) = asyncio.run(cut_off()).nodes()
    assert found.calls == 1
    assert found.usage == Usage()


def retried(model: BaseChatModel) -> Any:
    return model.with_retry(stop_after_attempt=3, wait_exponential_jitter=False)


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
def test_retries_of_a_call(is_async):
    """Every repeated call is a retry, and every failed one an error of its type, once."""
    (found,) = run(chain(("a", node(retried(Scripted(fails=2)), is_async=is_async)))).nodes()
    assert (found.retries, found.error_types) == (2, {"ConnectionError": 2})


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
def test_retries_of_a_node(is_async):
    """So is a node that LangGraph runs again; its time is that of all its executions."""
    builder = StateGraph(State)
    policy = RetryPolicy(initial_interval=0.001, jitter=False, retry_on=ConnectionError)
    builder.add_node("a", node(Scripted(fails=1), is_async=is_async), retry_policy=policy)
    builder.add_edge(START, "a")
    (found,) = run(builder.compile()).nodes()
    assert (found.calls, found.retries, found.error_types) == (2, 1, {"ConnectionError": 1})


def test_a_node_that_runs_again_in_a_loop():
    """Is no retry."""
    builder = StateGraph(State)
    builder.add_node("a", node(Scripted())).add_edge(START, "a")
    builder.add_conditional_edges("a", lambda state: "a" if len(state["out"]) < 3 else END, ["a", END])
    (found,) = run(builder.compile()).nodes()
    assert (found.calls, found.retries, found.error_types) == (3, 0, {})


def no_number(message: AIMessage) -> int:
    raise ValueError(f"no number: {message.text}")


def test_an_answer_that_can_not_be_read():
    """An error of the node that is none of its calls, also where a fallback catches it."""
    reader = (Scripted() | RunnableLambda(no_number)).with_fallbacks([RunnableLambda(lambda _: 0)])

    async def step(state: State) -> State:
        return {"out": [str(await reader.ainvoke(state["q"]))]}

    (found,) = run(chain(("a", step))).nodes()
    assert (found.calls, found.errors, found.error_types) == (1, 0, {"ValueError": 1})


def test_an_error_is_counted_where_it_came_up():
    """And not in the nodes around it, nor again where it is raised from."""
    broken = Scripted(name="broken", fails=1)

    async def leaf(state: State) -> State:
        try:
            await broken.ainvoke("x")
        except ConnectionError as error:
            raise RuntimeError("gave up") from error
        return {}

    async def tree(state: State) -> State:
        await Scripted().ainvoke("x")
        await chain(("leaf", leaf)).ainvoke({"q": "x"})
        return {}

    async def sample() -> Trace:
        with tracing() as trace, pytest.raises(RuntimeError):
            await chain(("tree", tree)).ainvoke({"q": "x"})
        return trace

    found = by_node(asyncio.run(sample()))
    assert {path: run.error_types for path, run in found.items()} == {
        "tree": {},
        "tree/leaf": {"ConnectionError": 1},
    }


def test_leaving_a_node_is_no_error():
    """Interrupts and commands to the parent are exceptions of LangGraph's, and no failures."""

    async def step(state: State) -> Command[Any]:
        await Scripted().ainvoke("x")
        return Command(graph=Command.PARENT, goto="b")

    builder = StateGraph(State)
    builder.add_node("a", chain(("inner", step))).add_node("b", node(Scripted()))
    builder.add_edge(START, "a")
    found = by_node(run(builder.compile()))
    assert {path: run.error_types for path, run in found.items()} == {"a/inner": {}, "b": {}}


# --- time -----------------------------------------------------------------------------------------


def test_time_in_a_node():
    """That of the node, with what it does beside its call."""

    async def slow(state: State) -> State:
        await asyncio.sleep(0.05)
        await Scripted().ainvoke("x")
        return {}

    found = by_node(run(chain(("a", slow), ("b", node(Scripted())))))
    assert found["a"].latency_s > 0.04
    assert found["a"].latency_s == pytest.approx(found["a"].wall_s) == pytest.approx(found["a"].part_s)
    assert found["b"].part_s == pytest.approx(found["b"].latency_s)


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync nodes in threads"])
def test_time_of_parallel_executions(is_async):
    """Their sum is more than the time on the wall, as they ran at once."""
    together, arrived = threading.Barrier(3, timeout=20), []

    async def wait(state: State) -> State:
        arrived.append(1)
        while len(arrived) < 3:
            await asyncio.sleep(0.001)
        return {"out": [(await Scripted().ainvoke("x")).text]}

    def wait_sync(state: State) -> State:
        together.wait()
        return {"out": [Scripted().invoke("x").text]}

    builder = StateGraph(State)
    builder.add_node("worker", wait if is_async else wait_sync)
    sends = [Send("worker", {"q": str(i)}) for i in range(3)]
    builder.add_conditional_edges(START, lambda _: sends, ["worker"])
    (found,) = run(builder.compile()).nodes()
    assert found.latency_s > found.wall_s
    assert found.part_s == pytest.approx(found.wall_s)


def test_time_outside_of_a_graph():
    """That of the calls."""
    with tracing() as trace:
        Scripted().invoke("x")
    (found,) = trace.nodes()
    assert found.latency_s is not None
    assert found.latency_s == pytest.approx(found.wall_s)


# --- how models are called ------------------------------------------------------------------------


def line_of(text: str) -> str:
    """``file:line`` of the one line of this file with `text`, a comment."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    (number,) = (i for i, line in enumerate(lines, 1) if line.endswith(f"# {text}"))
    return f"{__file__}:{number}"


def test_parameters():
    """Temperature, limit, tools and the form of the answer, bound or given with the call."""
    tools = [{"type": "function", "function": {"name": "look_up"}}, {"name": "search", "input_schema": {}}]
    with tracing() as trace:
        Scripted().bind(temperature=0, tools=tools).invoke("x", max_completion_tokens=16)
        Scripted().invoke("x", response_format={"type": "json_schema"}, temperature=1.5)
        schema = {"title": "Out", "description": "", "type": "object", "properties": {}}
        Scripted().invoke("x", ls_structured_output_format={"kwargs": {}, "schema": schema})
    ((first, second, third),) = (found.ways for found in trace.nodes())
    assert (first.temperature, first.max_tokens, first.tools) == (0.0, 16, ("look_up", "search"))
    assert [way.is_structured for way in (first, second, third)] == [False, True, True]
    assert (second.temperature, second.max_tokens, second.tools) == (1.5, None, ())
    assert (first.model, first.provider) == ("m", "scripted")


def test_answers():
    """The beginning of each of the first answers, their whole length, and which way of calling gave them."""
    with tracing() as trace:
        Scripted().invoke("yes")
        Scripted().invoke("x " * 500, temperature=1)
        for _ in range(2 * MOST_ANSWERS):
            Scripted().invoke("yes")
    (found,) = trace.nodes()
    assert found.answers[0] == Answer(text="m: yes", length=6)
    assert (found.answers[1].way, found.answers[1].length) == (1, 1002)
    assert found.answers[1].text.startswith("m: x x x")
    assert len(found.answers[1].text) <= ANSWER_LENGTH
    assert len(found.answers) == MOST_ANSWERS
    assert found.answers[0].text is found.answers[2].text  # labels are in memory once


def test_prompts_of_each_way():
    """The last one of each; nothing beside `prompt` where there is one way."""
    with tracing() as trace:
        Scripted().invoke("one")
        for text in ("two", "three"):
            Scripted().invoke(text, temperature=1)
    (found,) = trace.nodes()
    assert found.prompts == ((("human", "one"),), (("human", "three"),))
    with tracing() as trace:
        Scripted().invoke("one")
    assert trace.nodes()[0].prompts == ()


class Calling(Scripted):
    """Calls a tool, as often as there is a call left."""

    calls: list[dict[str, Any]] = []  # noqa: RUF012  # a field of a model

    def _message(self, messages: list[BaseMessage]) -> AIMessage:
        given = self.calls.pop(0)
        is_broken = "error" in given
        return AIMessage(
            "", tool_calls=[] if is_broken else [given], invalid_tool_calls=[given] if is_broken else []
        )


def test_answers_that_call_tools():
    """Names, arguments in a fixed order, calls that can't be read, and tools that are tried again."""
    find = {"name": "find", "args": {"q": 1, "all": True}, "id": "1", "type": "tool_call"}
    other = {"name": "other", "args": {}, "id": "2", "type": "tool_call"}
    broken = {"name": "find", "args": "{", "error": "no JSON", "id": "3", "type": "invalid_tool_call"}
    model = Calling(calls=[dict(find), dict(other), dict(find), broken])
    asked = AIMessage("", tool_calls=[find])
    failed = ToolMessage("no such thing", tool_call_id="1", status="error")
    with tracing() as trace:
        for prompt in (["x"], [asked, failed], ["x", asked, failed], ["x", asked, failed, "again"]):
            model.invoke(prompt)
    found = trace.nodes()[0].answers
    assert [answer.text for answer in found] == [
        'find({"all": true, "q": 1})',
        "other({})",
        'find({"all": true, "q": 1})',
        "",
    ]
    assert [answer.tools for answer in found] == [("find",), ("other",), ("find",), ()]
    assert [answer.retried for answer in found] == [0, 0, 1, 0]
    assert found[3].broken == 1


def test_nodes_that_call_nothing():
    """Those that ran without a call that was seen, also further inside, in the order in which they ran."""

    def plain(state: State) -> State:
        return {"out": ["x"]}

    inner = chain(("deep", node(Scripted())), ("shallow", plain))
    trace = run(chain(("before", plain), ("ask", node(Scripted())), ("sub", inner), ("after", plain)))
    assert trace.silent == ("before", "sub/shallow", "after")


def test_odd_parameters_are_unknown():
    """Whatever a call is given, the sample goes on."""
    with tracing() as trace:
        Scripted().invoke("x", temperature="hot", max_tokens=None, tools=[1, {"function": 2}, {"x": 3}])
    (way,) = trace.nodes()[0].ways
    assert (way.temperature, way.max_tokens, way.tools) == (None, None, ())


def test_calls_that_are_alike_are_one_way():
    """A hundred calls of one line are kept once; of many different ones the first."""
    with tracing() as trace:
        for _ in range(100):
            Scripted().invoke("x")
    assert len(trace.nodes()[0].ways) == 1
    with tracing() as trace:
        for i in range(100):
            Scripted().invoke("x", temperature=i)
    assert [way.temperature for way in trace.nodes()[0].ways] == list(range(MOST_WAYS))


def test_call_sites():
    """The line of the app that calls: in sync and async nodes, and behind a sequence."""
    prompt = ChatPromptTemplate.from_template("{q}")

    async def direct(state: State) -> State:
        await Scripted().ainvoke("x")  # direct
        return {}

    def sync(state: State) -> State:
        Scripted().invoke("x")  # sync
        return {}

    async def sequence(state: State) -> State:
        await (prompt | Scripted()).ainvoke({"q": "x"})  # sequence
        return {}

    found = by_node(run(chain(("a", direct), ("b", sync), ("c", sequence))))
    sites = {path: [way.site for way in run.ways] for path, run in found.items()}
    assert sites == {"a": [line_of("direct")], "b": [line_of("sync")], "c": [line_of("sequence")]}


def test_the_site_of_a_call_behind_a_task():
    """Where LangChain began tasks in between, the line that began them; unknown in threads."""

    async def step(state: State) -> State:
        both = RunnableParallel(one=Scripted(), two=Scripted(name="n"))
        await both.ainvoke("x")  # behind tasks
        return {}

    def step_sync(state: State) -> State:
        Scripted().batch(["x", "y"])  # behind threads
        return {}

    found = by_node(run(chain(("a", step), ("b", step_sync))))
    assert {way.site for way in found["a"].ways} == {line_of("behind tasks")}
    assert found["a"].calls == 2
    assert {way.site for way in found["b"].ways} == {None}  # and not the line that ran the graph


def test_the_site_of_a_client_that_calls_itself():
    """The app's line, not that of a class that passes its call on to the class above."""

    class Client(Scripted):
        def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
            return super().invoke(input, config, **kwargs)

        async def ainvoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
            return await super().ainvoke(input, config, **kwargs)

    async def step(state: State) -> State:
        await Client().ainvoke("x")  # of a client
        return {}

    def step_sync(state: State) -> State:
        Client().invoke("x")  # of a client, sync
        return {}

    found = by_node(run(chain(("a", step), ("b", step_sync))))
    sites = {path: [way.site for way in run.ways] for path, run in found.items()}
    assert sites == {"a": [line_of("of a client")], "b": [line_of("of a client, sync")]}


@pytest.mark.parametrize("module", ["langchain.chat_models.base", "langchain_core.runnables.base"])
def test_the_site_behind_a_model_that_is_made_when_it_is_called(module):
    """`init_chat_model` with configurable fields gives one that passes its calls on."""
    within = {"__name__": module, "call_site": call_site}
    exec("def ainvoke(): return call_site()", within)  # a module of that name
    assert within["ainvoke"]() == line_of("configurable")  # configurable


def test_the_site_in_a_prebuilt_agent():
    """The line in the package that calls the model."""
    agents = pytest.importorskip("langchain.agents")
    agent = agents.create_agent(Scripted(), tools=[])

    async def sample() -> Trace:
        with tracing() as trace:
            await agent.ainvoke({"messages": [HumanMessage("x")]})
        return trace

    (found,) = asyncio.run(sample()).nodes()
    assert found.node == "model"
    assert "langchain/agents/" in found.ways[0].site.replace("\\", "/")


# --- costs ----------------------------------------------------------------------------------------


class Priced(Scripted):
    """Says all of LangChain's `usage_metadata` and of the answer's metadata that it is told to."""

    used: dict[str, Any] = Field(default_factory=dict)
    said: dict[str, Any] = Field(default_factory=dict)
    provider: str | None = None

    @classmethod
    def is_lc_serializable(cls) -> bool:
        return True

    def _message(self, messages: list[BaseMessage]) -> AIMessage:
        message = super()._message(messages)
        assert message.usage_metadata is not None
        message.usage_metadata.update(self.used)
        message.response_metadata.update(self.said)
        return message

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {"ls_provider": self.provider, "ls_model_name": "asked-for"}


class PointedElsewhere(Priced):
    """A client for OpenAI with its `base_url`, under the name that langchain-openai gives it."""

    provider: str | None = "openai"
    openai_api_base: str


def cost(model: BaseChatModel, prices: PriceList | None = None) -> float | None:
    with tracing(Trace(prices)) as trace:
        model.invoke("x")
    (found,) = trace.nodes()
    assert found.usage == trace.usage
    return trace.usage.cost_usd


HAIKU = "claude-haiku-4-5-20251001"  # 1 in, 5 out, 0.10 cached, 1.25 cache write, 2 for an hour


def test_costs_of_nodes():
    """A node costs the sum of its calls, a sample the sum of its nodes."""
    mini = Scripted(name="gpt-4.1-mini-2025-04-14", tokens=(1000, 100))  # 0.40 in, 1.60 out
    haiku = Scripted(name=HAIKU, tokens=(1000, 100))
    trace = run(chain(("a", node(mini)), ("b", node(haiku)), ("c", node(mini))))
    assert {path: found.usage.cost_usd for path, found in by_node(trace).items()} == pytest.approx(
        {"a": 0.00056, "b": 0.0015, "c": 0.00056}
    )
    assert trace.usage.cost_usd == pytest.approx(0.00262)


def test_a_call_without_a_price():
    """The sample and the node have no cost then, not that of the rest; other nodes keep theirs."""
    prices = PriceList({"known": Price(input=1, output=1)})
    with tracing(Trace(prices)) as trace:
        for name in ("known", "mystery", "mystery"):
            Scripted(name=name).invoke("x")
    assert trace.usage == Usage(input_tokens=9, output_tokens=6, cost_usd=None)
    assert trace.unpriced == ("mystery",)


def test_an_answer_without_usage_has_no_cost():
    """And neither has its sample; but the price isn't what is missing."""
    prices = PriceList({"m": Price(input=1, output=1)})
    with tracing(Trace(prices)) as trace:
        Scripted().invoke("x")
        Scripted(tokens=None).invoke("x")
    assert trace.usage == Usage(input_tokens=3, output_tokens=2, cost_usd=None)
    assert trace.unpriced == ()


def test_failed_calls_cost_nothing():
    """A call that failed isn't billed, and its model isn't missed among the prices."""
    prices = PriceList({"m": Price(input=1e6, output=0)})
    with tracing(Trace(prices)) as trace:
        Scripted().invoke("x")
        with pytest.raises(ConnectionError):
            Scripted(name="other", fails=1).invoke("x")
    assert trace.usage.cost_usd == 3
    assert trace.unpriced == ()


def test_models_without_a_price():
    """Each once, in order of their first answer, by the name in it; also one without any name."""
    with tracing() as trace:
        for name in ("b", "gpt-4.1-mini", "a", "b", ""):
            Scripted(name=name).invoke("x")
    assert trace.unpriced == ("b", "a", "a model without a name")


@pytest.mark.parametrize(
    ("details", "usd"),
    [
        ({}, 1000 * 1 + 100 * 5),
        ({"input_token_details": {"cache_read": 600}}, 400 * 1 + 600 * 0.1 + 500),
        ({"input_token_details": {"cache_creation": 600}}, 400 * 1 + 600 * 1.25 + 500),
        (
            {
                "input_token_details": {
                    "cache_creation": 0,
                    "cache_read": 100,
                    "ephemeral_5m_input_tokens": 200,
                    "ephemeral_1h_input_tokens": 300,
                }
            },
            400 * 1 + 100 * 0.1 + 200 * 1.25 + 300 * 2 + 500,
        ),
        ({"output_token_details": {"reasoning": 90}}, 1500),
        ({"input_token_details": {"cache_read": None}}, 1500),
        ({"input_token_details": None, "output_token_details": None}, 1500),
    ],
)
def test_kinds_of_tokens(details, usd):
    """Tokens read from and written to the cache have their prices; reasoning costs what output costs."""
    model = Priced(name=HAIKU, tokens=(1000, 100), used=details, provider="anthropic")
    assert cost(model) == pytest.approx(usd / 1e6)


def test_service_tiers():
    """OpenAI's flex tier costs half, and counts its cached tokens under a name of its own."""
    details = {"input_token_details": {"flex_cache_read": 1000, "flex": 0}}
    costs = [
        cost(Priced(name="gpt-5-mini", tokens=(1000, 100), used=used, said=said, provider="openai"))
        for used, said in (({}, {}), ({}, {"service_tier": "flex"}), (details, {"service_tier": "flex"}))
    ]
    assert costs == pytest.approx([0.00045, 0.000225, 0.0001125])


@pytest.mark.parametrize(
    ("url", "usd"),
    [("https://api.groq.com/openai/v1", 0.000138), ("http://127.0.0.1:8000/v1", None)],
)
def test_clients_pointed_elsewhere(url, usd):
    """Open weights behind a client for OpenAI: the price of the server, and none for one's own server."""
    model = PointedElsewhere(name="openai/gpt-oss-20b", tokens=(1000, 210), openai_api_base=url)
    assert cost(model) == (pytest.approx(usd) if usd else None)


def test_the_answers_provider():
    """Where the client doesn't say its provider, the answer may."""
    assert cost(Priced(name="llama-3.1-8b-instant", said={"model_provider": "groq"})) is not None
    assert cost(Priced(name="llama-3.1-8b-instant")) is None


def test_own_prices_by_the_name_asked_for():
    """The ini file may use either name."""
    prices = PriceList({"asked-for": Price(input=1e6, output=0)})
    assert cost(Priced(name="asked-for-2026-01-01"), prices) == 3


def test_prices_are_looked_up_when_asked_for():
    """Not when a call ends: samples in flight don't wait for prices."""

    class Slow(PriceList):
        asked = 0

        def cost(self, *args: Any) -> float | None:
            self.asked += 1
            return super().cost(*args)

    prices = Slow()
    with tracing(Trace(prices)) as trace:
        Scripted().invoke("x")
    assert prices.asked == 0
    trace.nodes(), trace.usage, trace.usage
    assert prices.asked == 1


# --- paths ----------------------------------------------------------------------------------------


def test_paths_of_subgraphs():
    """A node of a subgraph has its path from the top, two levels down, too."""
    inner = chain(("leaf", node(Scripted(name="leaf"))))
    middle = chain(("branch", inner), ("twig", node(Scripted(name="twig"))))
    found = by_node(run(chain(("tree", middle), ("root", node(Scripted(name="root"))))))
    assert {path: run.models for path, run in found.items()} == {
        "tree/branch/leaf": ("leaf",),
        "tree/twig": ("twig",),
        "root": ("root",),
    }


def test_a_subgraph_called_in_a_node():
    """A subgraph that a node calls itself has the same path."""
    inner = chain(("leaf", node(Scripted())))

    async def step(state: State) -> State:
        return {"out": (await inner.ainvoke({"q": state["q"]}))["out"]}

    assert list(by_node(run(chain(("tree", step))))) == ["tree/leaf"]


def test_a_subgraph_called_twice_in_a_node():
    """The second call of a subgraph is of the same node, not of another one."""
    inner = chain(("leaf", node(Scripted())))

    async def step(state: State) -> State:
        for _ in range(3):
            await inner.ainvoke({"q": state["q"]})
        return {}

    found = by_node(run(chain(("tree", step))))
    assert {path: run.calls for path, run in found.items()} == {"tree/leaf": 3}


def test_parallel_sends_are_one_node():
    """A node that is sent to many times is one node with as many calls."""
    builder = StateGraph(State)
    builder.add_node("worker", node(Scripted(pause=0.002)))
    builder.add_conditional_edges(
        START, lambda state: [Send("worker", {"q": str(i)}) for i in range(8)], ["worker"]
    )
    builder.add_edge("worker", END)
    found = by_node(run(builder.compile()))
    assert {path: run.calls for path, run in found.items()} == {"worker": 8}
    assert found["worker"].usage == Usage(input_tokens=24, output_tokens=16)


def test_nodes_are_in_the_order_of_their_first_call():
    """The report lists nodes as they run."""
    graph = chain(("z", node(Scripted())), ("a", node(Scripted())), ("m", node(Scripted())))
    assert list(by_node(run(graph))) == ["z", "a", "m"]


# --- keeping samples apart ------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [True, False], ids=["async nodes", "sync nodes in threads"])
def test_twenty_samples_at_once_stay_apart(is_async):
    """Each of twenty concurrent samples sees its own calls and no others."""
    graph = chain(
        ("a", node(Scripted(pause=0.003), is_async=is_async)),
        ("b", chain(("c", node(Scripted(pause=0.001))))),
    )
    app = adapt(graph, name="bot")

    async def sample(i: int) -> Trace:
        with tracing() as trace:
            await app.call({"q": f"question {i}"}, Variant(name=CURRENT), seed=i)()
        return trace

    async def all_at_once() -> list[Trace]:
        return await asyncio.gather(*(sample(i) for i in range(20)))

    for i, trace in enumerate(asyncio.run(all_at_once())):
        found = by_node(trace)
        assert list(found) == ["a", "b/c"]
        assert {run.prompt for run in found.values()} == {(("human", f"question {i}"),)}
        assert [run.calls for run in found.values()] == [1, 1]


def test_samples_in_threads_stay_apart():
    """Sync apps in threads of their own have traces of their own."""
    graph = chain(("a", node(Scripted(), is_async=False)))
    traces: dict[int, Trace] = {}

    def sample(i: int) -> None:
        with tracing() as trace:
            graph.invoke({"q": str(i)})
        traces[i] = trace

    threads = [threading.Thread(target=sample, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {i: trace.nodes()[0].prompt for i, trace in traces.items()} == {
        i: (("human", str(i)),) for i in range(20)
    }
    assert all(len(trace.nodes()) == 1 and trace.nodes()[0].calls == 1 for trace in traces.values())


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_adding_up_while_calls_go_on(hasty_threads):
    """A sample over its time is read while its abandoned thread still calls models."""
    trace = Trace()
    stop = threading.Event()
    failures: list[BaseException] = []

    def call_on() -> None:
        with tracing() as mine:
            mine._calls = trace._calls
            for _ in range(300):
                Scripted().invoke("x")
        stop.set()

    thread = threading.Thread(target=call_on, daemon=True)
    thread.start()
    while not stop.is_set() and not failures:
        try:
            _ = trace.usage
            trace.nodes()
        except RuntimeError as error:
            failures.append(error)
    thread.join(5)
    assert failures == []
