"""The chat-model boundary: what a variant says of a node reaches the model, or the sample is no sample."""

import asyncio
import json
import operator
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, TypedDict

import langsmith
import pytest
from echoing import Echo, Streaming, awaited, built, execution, output
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.language_models.fake import FakeListLLM
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.outputs import LLMResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, StateGraph

from pytest_promptune.core.errors import OverrideError, ParameterRejected, TemplateMismatch, VariantError
from pytest_promptune.core.jobs import Outcome
from pytest_promptune.core.model import CURRENT, Variant
from pytest_promptune.langgraph import self_test
from pytest_promptune.langgraph.boundary import install

AS_IT_STANDS = Variant(name=CURRENT)
MODEL = Echo()
STREAMING = Streaming()


class State(TypedDict, total=False):
    q: str
    seen: Annotated[list[Any], operator.add]


def graph(node: Callable[..., Any], **more: Any) -> Any:
    builder = StateGraph(State).add_node("ask", node).add_edge(START, "ask")
    return builder.compile(**more)


def variant(node: str = "ask", **table: Any) -> Variant:
    return Variant(name="v", nodes={node: table})


NEW = variant(template="Answer: {q}", prompt="Briefly: {q}", params={"temperature": 0})


def prompts(node: Callable[[State], Any], changed: Variant = NEW) -> list[str]:
    """The texts that reach the model in a graph of one node."""
    (seen,) = output(graph(node), changed)["seen"]
    return [text for _, text in json.loads(seen)[0]]


def asks(model: Any = MODEL, **config: Any) -> Callable[[State], Any]:
    def ask(state: State) -> State:
        return {"seen": [model.invoke(f"Answer: {state['q']}", **config).text]}

    return ask


def test_a_node_whose_name_is_a_number():
    """Its change arrives as that of any other: alone, and around a graph that it invokes twice."""
    asking = graph(asks())

    def invokes(state: State) -> State:
        return {"seen": [text for _ in range(2) for text in asking.invoke({"q": state["q"]})["seen"]]}

    for name, path, node in (("1", "1", asks()), ("2", "2/ask", invokes)):
        app = StateGraph(State).add_node(name, node).add_edge(START, name).compile()
        table = NEW.nodes["ask"]
        seen = output(app, Variant(name="v", nodes={path: table}))["seen"]
        assert len(seen) == (1 if name == "1" else 2)
        assert all("Briefly: Hi" in text for text in seen)


# --- what arrives -----------------------------------------------------------------------------------


async def a_invoke(model: Any, prompt: Any) -> Any:
    return (await model.ainvoke(prompt)).text


async def a_batch(model: Any, prompt: Any) -> Any:
    return (await model.abatch([prompt]))[0].text


async def a_stream(model: Any, prompt: Any) -> Any:
    return "".join([chunk.text async for chunk in model.astream(prompt)])


async def a_events(model: Any, prompt: Any) -> Any:
    events = [event async for event in model.astream_events(prompt, version="v2")]
    return next(e["data"]["output"].text for e in events if e["event"] == "on_chat_model_end")


async def a_generate(model: Any, prompt: Any) -> Any:
    return (await model.agenerate([[HumanMessage(prompt)]])).generations[0][0].text


CALLS = {
    "invoke": lambda model, prompt: model.invoke(prompt).text,
    "batch": lambda model, prompt: model.batch([prompt, prompt])[1].text,
    "stream": lambda model, prompt: "".join(chunk.text for chunk in model.stream(prompt)),
    "generate": lambda model, prompt: model.generate([[HumanMessage(prompt)]]).generations[0][0].text,
    "messages": lambda model, prompt: model.invoke([HumanMessage(prompt)]).text,
    "tuples": lambda model, prompt: model.invoke([("human", prompt)]).text,
    "prompt value": lambda model, prompt: (
        (ChatPromptTemplate.from_messages([("human", "Answer: {q}")]) | model).invoke({"q": prompt[8:]}).text
    ),
    "bound": lambda model, prompt: model.bind(temperature=1, top_p=0.5).invoke(prompt).text,
    "retry": lambda model, prompt: model.with_retry().invoke(prompt).text,
    "own metadata": lambda model, prompt: model.invoke(prompt, {"metadata": {"mine": 1}}).text,
    "own callbacks": lambda model, prompt: model.invoke(prompt, {"callbacks": []}).text,
    "ainvoke": a_invoke,
    "abatch": a_batch,
    "astream": a_stream,
    "astream_events": a_events,
    "agenerate": a_generate,
}


@pytest.mark.parametrize("model", [MODEL, STREAMING], ids=["plain", "streaming"])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_prompt_and_parameters_arrive(call, model):
    """Once, however the node calls its model; and `current` is what it was."""
    if asyncio.iscoroutinefunction(call):

        async def ask(state: State) -> State:
            return {"seen": [await call(model, f"Answer: {state['q']}")]}
    else:

        def ask(state: State) -> State:
            return {"seen": [call(model, f"Answer: {state['q']}")]}

    app = built(graph(ask))
    (new,), (old,) = output(app, NEW)["seen"], output(app, AS_IT_STANDS)["seen"]
    messages, params = json.loads(new)
    assert messages == [["human", "Briefly: Hi"]]
    assert params["temperature"] == 0
    messages, params = json.loads(old)
    assert messages == [["human", "Answer: Hi"]]
    assert params.get("temperature") in (None, 1)


def test_examples_come_after_the_system_messages():
    """As a user's messages and the model's answers, before what the app asks."""

    def ask(state: State) -> State:
        return {"seen": [MODEL.invoke([SystemMessage("Classify."), HumanMessage(state["q"])]).text]}

    changed = variant(template="Classify.", prompt="Sort.", few_shot=[["money back", "refund"], ["a", "b"]])
    messages, _ = json.loads(output(graph(ask), changed)["seen"][0])
    assert messages == [
        ["system", "Sort."],
        ["human", "money back"],
        ["ai", "refund"],
        ["human", "a"],
        ["ai", "b"],
        ["human", "Hi"],
    ]


def test_blocks_keep_what_else_they_have():
    """The text of a block is replaced; its cache mark and the image beside it stay."""
    mark, image = {"cache_control": {"type": "ephemeral"}}, {"type": "image", "url": "x"}

    def ask(state: State) -> State:
        content = [{"type": "text", "text": f"Answer: {state['q']}", **mark}, image]
        return {"seen": [MODEL.invoke([HumanMessage(content)]).text]}

    messages, _ = json.loads(output(graph(ask), NEW)["seen"][0])
    assert messages == [["human", [{"type": "text", "text": "Briefly: Hi", **mark}, image]]]


def test_what_models_say_is_not_rewritten():
    """An answer that looks like the prompt stays, and the app's own messages are not changed in place."""
    mine = HumanMessage("Answer: Hi")

    def ask(state: State) -> State:
        return {"seen": [MODEL.invoke([AIMessage("Answer: no"), mine]).text]}

    assert prompts(ask) == ["Answer: no", "Briefly: Hi"]
    assert mine.content == "Answer: Hi"


def test_stop_is_a_parameter_too():
    """It is an argument of its own in LangChain."""
    _, params = json.loads(output(graph(asks()), variant(params={"stop": ["\n"]}))["seen"][0])
    assert params == {"stop": ["\n"]}


def test_the_same_prompt_again_is_no_mismatch():
    """A variant may repeat the prompt and change a parameter."""
    same = variant(template="Answer: {q}", prompt="Answer: {q}", params={"temperature": 0})
    assert prompts(asks(), same) == ["Answer: Hi"]


def test_only_the_named_node():
    """Nodes of one name in different places are different nodes."""
    inner = graph(asks())
    builder = StateGraph(State).add_node("ask", asks()).add_node("team", inner)
    app = built(builder.add_edge(START, "ask").add_edge("ask", "team").compile())
    for path, expected in (
        ("ask", ["Briefly: Hi", "Answer: Hi"]),
        ("team/ask", ["Answer: Hi", "Briefly: Hi"]),
    ):
        changed = Variant(name=path.replace("/", "."), nodes={path: NEW.nodes["ask"]})
        # a subgraph gives back what it got and what it added
        seen = [json.loads(text)[0][0][1] for text in output(app, changed)["seen"]]
        assert [seen[0], seen[-1]] == expected


def test_calls_outside_of_graphs_have_a_name_too():
    """A plain function's model calls belong to no node."""
    changed = Variant(name="v", nodes={"(no node)": NEW.nodes["ask"]})
    assert "Briefly: Hi" in output(lambda value: MODEL.invoke(f"Answer: {value['q']}").text, changed)


def test_a_function_that_gives_a_coroutine():
    """What it does later is under the variant as well, and looked at in the end."""

    async def later(value: Any) -> str:
        return (await MODEL.ainvoke(f"Answer: {value['q']}")).text

    changed = Variant(name="v", nodes={"(no node)": NEW.nodes["ask"]})
    assert "Briefly: Hi" in output(lambda value: later(value), changed)

    async def nothing(value: Any) -> str:
        return "x"

    with pytest.raises(OverrideError, match="no such node ran"):
        output(lambda value: nothing(value), changed)


# --- never silently current -------------------------------------------------------------------------


def errors_of(node: Callable[..., Any], changed: Variant = NEW) -> OverrideError:
    with pytest.raises(OverrideError) as caught:
        output(graph(node), changed)
    assert str(caught.value).startswith("node 'ask': ")
    return caught.value


def test_another_prompt_is_a_mismatch():
    """In every call: the message quotes what came."""

    def ask(state: State) -> State:
        MODEL.invoke(f"Answer: {state['q']}")
        return {"seen": [MODEL.invoke("Say Hi").text]}

    error = errors_of(ask)
    assert isinstance(error, TemplateMismatch)
    assert "'Say Hi'" in str(error)


def test_a_mismatch_can_not_be_kept_secret():
    """A node that goes on after the error gives an errored sample all the same."""

    def ask(state: State) -> State:
        try:
            MODEL.invoke("Say Hi")
        except Exception:
            return {"seen": ["sorry"]}
        return {}

    assert isinstance(errors_of(ask), TemplateMismatch)


def test_a_mismatch_goes_before_what_the_app_makes_of_it():
    """The app's own exception is the consequence."""

    def ask(state: State) -> State:
        try:
            return {"seen": [MODEL.invoke("Say Hi").text]}
        except Exception as error:
            raise ValueError("no answer") from error

    assert isinstance(errors_of(ask), TemplateMismatch)


def test_other_errors_stay_what_they_are():
    """An app that fails for its own reasons fails with them."""

    def ask(state: State) -> State:
        MODEL.invoke(f"Answer: {state['q']}")
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        output(graph(ask), NEW)


def test_raw_threads_lose_the_context():
    """The node ran and no call was seen: said so, with what to do."""

    def ask(state: State) -> State:
        with ThreadPoolExecutor(1) as pool:
            return {"seen": [pool.submit(MODEL.invoke, f"Answer: {state['q']}").result().text]}

    assert "no call of a chat model was seen" in str(error := errors_of(ask))
    assert "contextvars.copy_context().run" in str(error)


def test_providers_sdks_have_no_boundary():
    """The same for a node that calls no LangChain model at all."""
    assert "provider's SDK directly" in str(errors_of(lambda state: {"seen": ["x"]}))


def test_calls_further_inside_are_named():
    """A variant that names the node around a subgraph is told which path it meant."""
    builder = StateGraph(State).add_node("ask", graph(asks())).add_edge(START, "ask")
    with pytest.raises(OverrideError, match="further inside: name 'ask/ask'"):
        output(builder.compile(), NEW)


def test_completion_models_have_no_boundary():
    """They are seen, and refused."""

    def ask(state: State) -> State:
        return {"seen": [FakeListLLM(responses=["x"]).invoke("Answer: Hi")]}

    assert "did not pass the chat-model boundary" in str(errors_of(ask))


@pytest.mark.skipif(not hasattr(BaseChatModel, "stream_events"), reason="a LangChain without such streams")
def test_streams_of_events_have_no_boundary():
    """The newest kind of stream goes another way: found out, not taken for the variant's."""

    def ask(state: State) -> State:
        return {"seen": [str(STREAMING.stream_events("Answer: Hi", version="v3").text)]}

    assert "did not pass the chat-model boundary" in str(errors_of(ask))


def test_models_with_a_generate_of_their_own():
    """A class that overrides what is wrapped, and tells callbacks itself, is found out."""

    class Own(Echo):
        def generate(self, messages: Any, *args: Any, **kwargs: Any) -> LLMResult:
            original = BaseChatModel.generate.promptune_original  # type: ignore[attr-defined]
            return original(self, messages, *args, **kwargs)

    assert "did not pass the chat-model boundary" in str(errors_of(asks(Own())))


def test_nodes_that_a_branch_leaves_out():
    """A known node need not run; one that only running tells must, or its name is wrong."""
    builder = StateGraph(State).add_node("ask", asks()).add_node("other", lambda state: {"seen": ["x"]})
    app = built(builder.add_edge(START, "other").compile())
    assert output(app, NEW)["seen"] == ["x"]
    deep = Variant(name="w", nodes={"other/ask": NEW.nodes["ask"]})
    with pytest.raises(OverrideError, match=r"node 'other/ask': no such node ran. Nodes that did: 'other'"):
        output(app, deep)


def test_a_runnable_with_a_graph_in_it():
    """Nodes that can't be listed before are found while they run."""
    app = RunnableLambda(lambda value: value) | graph(asks())
    assert "Briefly: Hi" in output(app, NEW)["seen"][0]
    with pytest.raises(OverrideError, match=r"'aks': no such node ran. Nodes that did: 'ask'"):
        output(app, Variant(name="w", nodes={"aks": NEW.nodes["ask"]}))


def test_a_builder_may_do_it_itself():
    """An app that is built for the variant may have put the new prompt in already."""

    def build(variant: Variant) -> Any:
        text = "Briefly" if variant.nodes else "Answer"

        def ask(state: State) -> State:
            return {"seen": [MODEL.invoke(f"{text}: {state['q']}").text]}

        return graph(ask)

    assert "Briefly: Hi" in output(build, NEW)["seen"][0]
    assert "Answer: Hi" in output(build, AS_IT_STANDS)["seen"][0]


# --- parameters that aren't supported ---------------------------------------------------------------


class Refusal(Exception):
    status_code = 400


class Picky(Echo):
    """Refuses a temperature, as a provider or its client does."""

    error: Any = None

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
        if "temperature" in kwargs:
            raise self.error
        return super()._generate(messages, stop, **kwargs)


REFUSALS = {
    "provider": Refusal("Unsupported value: 'temperature' does not support 0 with this model."),
    "client": TypeError("create() got an unexpected keyword argument 'temperature'"),
}


@pytest.mark.parametrize("error", REFUSALS.values(), ids=REFUSALS)
def test_a_rejected_parameter_is_not_supported(error):
    """The sample says so and is missing, also where a fallback model answers instead."""
    picky = Picky(error=error)
    for model in (picky, picky.with_fallbacks([MODEL])):
        refused = errors_of(asks(model))
        assert isinstance(refused, ParameterRejected)
        assert "params.temperature is not supported by the model" in str(refused)
    sample = execution(built(graph(asks(picky))), NEW)
    record = sample.logged(Outcome(error=refused, latency_s=0.0)).record
    assert record.error is not None
    assert record.error.infrastructure


@pytest.mark.parametrize(
    "error",
    [
        Refusal("context length exceeded"),
        TypeError("unexpected keyword argument 'tools'"),
        ValueError("temperature"),
    ],
)
def test_other_refusals_are_the_apps(error):
    """What isn't about the variant's parameters stays as it is."""
    with pytest.raises(type(error), match=str(error)[:20]):
        output(graph(asks(Picky(error=error))), NEW)


# --- the wrap ---------------------------------------------------------------------------------------


def test_the_wrap_is_put_on_once():
    """However many sessions a process has."""
    install()
    wrapped = BaseChatModel.generate
    install()
    assert BaseChatModel.generate is wrapped
    assert wrapped.promptune_original is not wrapped  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["generate", "agenerate", "stream", "astream"])
def test_the_self_test_sees_a_broken_wrap(name, monkeypatch):
    """If a LangChain of another make goes past one of the four, no variant of nodes is measured."""
    awaited(self_test.prepare)
    monkeypatch.setattr(self_test, "install", lambda: None)
    monkeypatch.setattr(BaseChatModel, name, getattr(BaseChatModel, name).promptune_original)
    with pytest.raises(VariantError, match=r"\[nodes\] can't be measured with langchain-core \d"):
        awaited(self_test.prepare)
    with pytest.raises(VariantError, match="can't be measured"):
        built(graph(asks())).under(NEW)


def test_the_self_test_is_not_traced(monkeypatch):
    """It would be found among the traces of the user's app."""
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    monkeypatch.setenv("LANGSMITH_ENDPOINT", "http://127.0.0.1:9")
    langsmith.utils.get_env_var.cache_clear()
    answer, traced = self_test._Echo._answer, []
    monkeypatch.setattr(
        self_test._Echo,
        "_answer",
        lambda *args: traced.append(langsmith.utils.tracing_is_enabled()) or answer(*args),
    )
    try:
        assert langsmith.utils.tracing_is_enabled()
        awaited(self_test.prepare)
    finally:
        monkeypatch.undo()
        langsmith.utils.get_env_var.cache_clear()
    assert traced == [False] * 4
