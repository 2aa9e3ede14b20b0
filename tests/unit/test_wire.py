"""Way C on the wire: what the real clients of OpenAI and Anthropic send under a variant of nodes."""

import asyncio
import operator
import os
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, TypedDict

import pytest
from echoing import built, execution, output
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel
from wire import LABEL, Provider, texts

from pytest_promptune.core.errors import ParameterRejected
from pytest_promptune.core.model import CURRENT, Variant

SYSTEM, QUESTION = "You sort mail.", "Mail: money back"
#: What every request must hold under the variant: prompt, an example, and parameters in place of 0.9 and 500.
NEW = [
    ("system", "sort the mail."),
    ("user", "broken"),
    ("assistant", "bug"),
    ("user", QUESTION),
]
TABLE = {
    "template": "You {verb} mail.",
    "prompt": "{verb} the mail.",
    "few_shot": [["broken", "bug"]],
    "params": {"temperature": 0.0, "max_tokens": 16},
}


class State(TypedDict, total=False):
    q: str
    seen: Annotated[list[Any], operator.add]


class Label(BaseModel):
    """What a message is about."""

    intent: Literal["refund", "bug"]


def lookup(intent: str) -> str:
    """Look up what to do about an intent."""
    return f"about {intent}"


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    for name in list(os.environ):
        if (
            name.upper().startswith(("ANTHROPIC_", "OPENAI_", "LANGSMITH_", "LANGCHAIN_"))
            or "PROXY" in name.upper()
        ):
            monkeypatch.delenv(name)
    served = Provider()
    yield served
    served.close()


def openai(provider: Provider) -> BaseChatModel:
    return ChatOpenAI(
        model="gpt-4.1-mini",
        base_url=f"{provider.url}/v1",
        api_key="sk-test",
        temperature=0.9,
        max_tokens=500,
        max_retries=0,
    )


def anthropic(provider: Provider) -> BaseChatModel:
    return ChatAnthropic(
        model_name="claude-haiku-4-5",
        base_url=provider.url,
        api_key="sk-ant-test",
        temperature=0.9,
        max_tokens_to_sample=500,
        max_retries=0,
    )


CLIENTS = {"openai": openai, "anthropic": anthropic}
PROMPT = [SystemMessage(SYSTEM), HumanMessage(QUESTION)]


def tries_again(model: BaseChatModel) -> Any:
    return model.with_retry(stop_after_attempt=2, wait_exponential_jitter=False).invoke(PROMPT).text


def falls_back(model: BaseChatModel) -> Any:
    return model.with_fallbacks([model]).invoke(PROMPT).text


def chain(model: BaseChatModel) -> Any:
    prompt = ChatPromptTemplate.from_messages([("system", SYSTEM), ("human", "Mail: {q}")])
    return (prompt | model).invoke({"q": "money back"}).text


async def ainvoke(model: BaseChatModel) -> Any:
    return (await model.ainvoke(PROMPT)).text


async def abatch(model: BaseChatModel) -> Any:
    return [answer.text for answer in await model.abatch([PROMPT, PROMPT])]


async def astream(model: BaseChatModel) -> Any:
    return "".join([chunk.text async for chunk in model.astream(PROMPT)])


#: What a node does with its model, and how many requests that makes.
USES: dict[str, tuple[Callable[[BaseChatModel], Any], int]] = {
    "invoke": (lambda model: model.invoke(PROMPT).text, 1),
    "bind": (lambda model: model.bind(temperature=0.5, stop=["x"]).invoke(PROMPT).text, 1),
    "structured output": (lambda model: model.with_structured_output(Label).invoke(PROMPT).model_dump(), 1),
    "tools": (lambda model: model.bind_tools([lookup]).invoke(PROMPT).tool_calls[0]["args"], 1),
    "retry": (tries_again, 2),
    "fallbacks": (falls_back, 2),
    "stream": (lambda model: "".join(chunk.text for chunk in model.stream(PROMPT)), 1),
    "batch": (lambda model: [answer.text for answer in model.batch([PROMPT, PROMPT])], 2),
    "chain": (chain, 1),
    "ainvoke": (ainvoke, 1),
    "abatch": (abatch, 2),
    "astream": (astream, 1),
}


def app_of(use: Callable[[BaseChatModel], Any], model: BaseChatModel) -> Any:
    if use.__name__ in ("ainvoke", "abatch", "astream"):

        async def ask(state: State) -> State:
            return {"seen": [await use(model)]}
    else:

        def ask(state: State) -> State:
            return {"seen": [use(model)]}

    return StateGraph(State).add_node("ask", ask).add_edge(START, "ask").compile()


def old_and_new(app: Any, provider: Provider, node: str, value: Any) -> tuple[Any, list[Any], Any, list[Any]]:
    """The output and the requests of `current`, then those of the variant."""
    made, refusals = built(app), list(provider.refusals)
    variants = (Variant(name=CURRENT), Variant(name="v", nodes={node: TABLE}))
    samples = [execution(made, variant, value) for variant in variants]

    async def both() -> list[Any]:  # in one loop, to which the clients are bound
        results: list[Any] = []
        for sample in samples:
            provider.requests.clear()
            provider.refusals[:] = refusals
            results += [await sample.call(), list(provider.requests)]
        return results

    old_output, old, new_output, new = asyncio.run(both())
    return old_output, old, new_output, new


def parameters(body: dict[str, Any]) -> dict[str, Any]:
    """Everything beside the messages and what the variant sets, and what that is."""
    rest = {key: value for key, value in body.items() if key not in ("messages", "system")}
    limit = rest.pop("max_completion_tokens", None) or rest.pop("max_tokens", None)
    return {"temperature": rest.pop("temperature", None), "limit": limit, "rest": rest}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("client", CLIENTS)
def test_requests(provider, client, use):
    """Prompt, examples and parameters are in every request; all the rest is what `current` sends."""
    does, count = USES[use]
    if use in ("retry", "fallbacks"):
        provider.refusals = [(500, "overloaded")]
    app = app_of(does, CLIENTS[client](provider))
    old_output, old, new_output, new = old_and_new(app, provider, "ask", {"q": "x"})
    assert len(old) == len(new) == count
    for before, after in zip(old, new, strict=True):
        assert [text for _, text in texts(before)] == [SYSTEM, QUESTION]
        assert texts(after) == NEW
        then, now = parameters(before), parameters(after)
        assert (then["temperature"], then["limit"]) == (0.5 if use == "bind" else 0.9, 500)
        assert (now["temperature"], now["limit"]) == (0.0, 16)
        assert now["rest"] == then["rest"]
    assert old_output == new_output
    if use in ("structured output", "tools"):
        assert new_output["seen"] == [LABEL]


@pytest.mark.parametrize("within", [False, True], ids=["alone", "subgraph"])
@pytest.mark.parametrize("client", CLIENTS)
def test_agents(provider, client, within):
    """`create_agent`: each turn of its model node, alone and as a node of another graph."""
    app = create_agent(CLIENTS[client](provider), tools=[lookup], system_prompt=SYSTEM)
    if within:
        app = StateGraph(MessagesState).add_node("agent", app).add_edge(START, "agent").compile()
    node = "agent/model" if within else "model"
    _, old, _, new = old_and_new(app, provider, node, {"messages": [HumanMessage(QUESTION)]})
    assert len(old) == len(new) == 2
    for before, after in zip(old, new, strict=True):
        assert texts(before)[:2] == [("system", SYSTEM), ("user", QUESTION)]
        assert texts(after)[:4] == NEW
        assert (parameters(after)["temperature"], parameters(after)["limit"]) == (0.0, 16)
        assert len(after["messages"]) == len(before["messages"]) + 2


@pytest.mark.parametrize("client", CLIENTS)
def test_a_parameter_that_the_provider_rejects(provider, client):
    """400 with its name in it: not supported, and the next sample is tried all the same."""
    app = app_of(lambda model: model.invoke(PROMPT).text, CLIENTS[client](provider))
    provider.refusals = [(400, "Unsupported value: 'temperature' does not support 0.0 with this model.")]
    with pytest.raises(
        ParameterRejected, match=r"params\.temperature is not supported .* 'temperature' does"
    ):
        output(app, Variant(name="v", nodes={"ask": TABLE}))


@pytest.mark.parametrize("client", CLIENTS)
def test_a_request_that_fails_for_another_reason(provider, client):
    """400 whose text mentions the variant's parameters is the app's error, and none about them."""
    app = app_of(lambda model: model.invoke(PROMPT).text, CLIENTS[client](provider))
    said = "Could not finish the message because max_tokens or model output limit was reached."
    provider.refusals = [(400, said)]
    with pytest.raises(Exception, match="Could not finish") as error:
        output(app, Variant(name="v", nodes={"ask": {"params": {"max_tokens": 16, "model": "gpt-9"}}}))
    assert not isinstance(error.value, ParameterRejected)


def test_a_parameter_that_the_provider_names_beside_its_message(provider):
    """OpenAI says in `param` what an error is about, whatever else its message mentions."""
    app = app_of(lambda model: model.invoke(PROMPT).text, openai(provider))
    variant = Variant(name="v", nodes={"ask": {"params": {"temperature": 0.0, "top_p": 0.5}}})
    provider.refusals = [(400, "Only one of 'temperature' and 'top_p' can be set.", "top_p")]
    with pytest.raises(ParameterRejected, match=r"params\.top_p is not supported"):
        output(app, variant)
    provider.refusals = [(400, "Too long for a 'temperature' of 0.", "messages")]
    with pytest.raises(Exception, match="Too long") as error:
        output(app, variant)
    assert not isinstance(error.value, ParameterRejected)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_parameter_that_the_client_does_not_know(provider, client):
    """It is refused before anything is sent."""
    app = app_of(lambda model: model.invoke(PROMPT).text, CLIENTS[client](provider))
    with pytest.raises(ParameterRejected, match=r"params\.creativity is not supported"):
        output(app, Variant(name="v", nodes={"ask": {"params": {"creativity": 1}}}))
    assert provider.requests == []
