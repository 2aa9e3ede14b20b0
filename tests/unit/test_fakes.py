"""Fake models: they answer structured output and tools from their schemas, whichever way the app asks."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.language_models.llms import BaseLLM
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.output_parsers import PydanticOutputParser
from langchain_openai import ChatOpenAI, OpenAI
from pydantic import BaseModel, Field

from pytest_promptune.langgraph.fakes import install, tools_of


class Kind(enum.Enum):
    BUG = "bug"
    BILL = "bill"


class Found(BaseModel):
    """What kind of letter it is."""

    kind: Kind
    score: float = Field(ge=0, le=1)


def look_up(order: int) -> str:
    """Find an order."""
    return f"order {order}"


def send(text: str) -> str:
    """Send a letter."""
    return "sent"


@pytest.fixture
def models() -> Iterator[tuple[type[BaseChatModel], ...]]:
    """Classes of their own, so that those of the libraries stay what they are."""
    names = ("generate", "agenerate", "stream", "astream")
    families = (BaseChatModel, BaseLLM)
    before = [(family, name, getattr(family, name)) for family in families for name in names]
    install(seed=1)

    class OpenAI(ChatOpenAI):
        pass

    class Anthropic(ChatAnthropic):
        pass

    yield OpenAI, Anthropic
    for family, name, original in before:
        setattr(family, name, original)


@pytest.fixture
def openai(models) -> BaseChatModel:
    return models[0](model="gpt-4.1-mini", api_key="unused")


@pytest.fixture
def anthropic(models) -> BaseChatModel:
    return models[1](model="claude-haiku-4-5", api_key="unused")


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output_of_openai(openai, method):
    """Objects of the schema; the enumeration's values in turn."""
    model = openai.with_structured_output(Found, method=method)
    found = [model.invoke("Which kind?") for _ in range(4)]
    assert [each.kind for each in found] == [Kind.BUG, Kind.BILL, Kind.BUG, Kind.BILL]
    assert all(0 <= each.score <= 1 for each in found)


def test_structured_output_of_anthropic(anthropic):
    """Which asks for it by a tool."""
    model = anthropic.with_structured_output(Found)
    assert [model.invoke("Which kind?").kind for _ in range(2)] == [Kind.BUG, Kind.BILL]


def test_structured_output_as_a_table(openai):
    """A JSON schema in place of a class."""
    schema = {"title": "T", "type": "object", "properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"]}
    model = openai.with_structured_output({**schema, "description": "d"})
    assert [model.invoke("?")["a"] for _ in range(2)] == ["x", "y"]


def test_all_ways_to_call(openai):
    """Invoked, streamed, batched and awaited; a choice that the prompt names is made in turn."""
    prompt = "Answer with one word: billing, bug or other."

    async def ask() -> list[str]:
        chunks = [chunk.text async for chunk in openai.astream(prompt)]
        return ["".join(chunks), (await openai.ainvoke(prompt)).text]

    texts = [openai.invoke(prompt).text, "".join(chunk.text for chunk in openai.stream(prompt))]
    texts += [message.text for message in openai.batch([prompt])]
    assert texts + asyncio.run(ask()) == ["billing", "bug", "other", "billing", "bug"]


def test_models_that_complete_a_text(models):
    """Asked in all ways; choices that the prompt names are made in turn, and no provider is called."""

    class Completion(OpenAI):
        pass

    model = Completion(model="gpt-3.5-turbo-instruct", api_key="unused")
    prompt = "Answer with one word: billing, bug or other."

    async def ask() -> list[str]:
        return ["".join([chunk async for chunk in model.astream(prompt)]), await model.ainvoke(prompt)]

    texts = [model.invoke(prompt), "".join(model.stream(prompt)), *model.batch([prompt, prompt])]
    assert texts + asyncio.run(ask()) == ["billing", "bug", "other", "billing", "bug", "other"]
    assert "_generate" not in vars(OpenAI)


def test_a_schema_that_the_prompt_shows(openai):
    """As LangChain's parsers ask for JSON; without one that can be read there are words."""
    parser = PydanticOutputParser(pydantic_object=Found)
    prompt = f"Answer bug, bill or talk.\n```python\nx = {{}}\n```\n{parser.get_format_instructions()}"
    found = [parser.invoke(openai.invoke(prompt)) for _ in range(3)]
    assert [each.kind for each in found] == [Kind.BUG, Kind.BILL, Kind.BUG]
    assert "{" not in openai.invoke('Write. ```json\n{"properties": \n```').text
    assert "{" not in openai.invoke('Write. ```json\n{"properties": ["a"]}\n```').text


def test_tools_in_turn(openai):
    """Each tool, then an answer without; after a tool's answer the end."""
    model = openai.bind_tools([look_up, send])
    answers = [model.invoke([HumanMessage("Help.")]) for _ in range(3)]
    assert [[call["name"] for call in each.tool_calls] for each in answers] == [["look_up"], ["send"], []]
    assert isinstance(answers[0].tool_calls[0]["args"]["order"], int)
    after = [HumanMessage("Help."), answers[0], ToolMessage("x", tool_call_id=answers[0].tool_calls[0]["id"])]
    assert model.invoke(after).tool_calls == []
    assert model.invoke(after).text


@pytest.mark.parametrize(("choice", "expected"), [("send", ["send"]), ("any", ["look_up"]), ("none", [])])
def test_tools_that_must_be_called(openai, choice, expected):
    """The one that is named, any, or none."""
    answer = openai.bind_tools([look_up, send], tool_choice=choice).invoke("Help.")
    assert [call["name"] for call in answer.tool_calls] == expected


def test_a_choice_in_a_form_nobody_knows(openai):
    """It is no choice."""
    model = openai.bind_tools([look_up, send]).bind(function_call={"mode": "auto"})
    assert [call["name"] for call in model.invoke("Help.").tool_calls] == ["look_up"]


def test_an_agent_comes_to_an_end(openai, anthropic):
    """With tools that must be called, and with a structured answer at its end."""
    for model in (openai, anthropic):
        agent = create_agent(model, [look_up, send], response_format=Found)
        for _ in range(3):
            found = agent.invoke({"messages": [HumanMessage("Help.")]})
            assert isinstance(found["structured_response"], Found)


def test_forms_of_tools():
    """Of several providers; what can't be read is left out."""
    schema = {"type": "object"}
    given: list[Any] = [
        {"type": "function", "function": {"name": "a", "parameters": schema}},
        {"name": "b", "input_schema": schema},
        {"function_declarations": [{"name": "c", "parameters": schema}]},
        {"toolSpec": {"name": "d", "inputSchema": {"json": schema}}},
        {"type": "web_search"},
        3,
    ]
    assert tools_of(given) == dict.fromkeys("abcd", schema)


def test_what_a_model_was_stays_with_others(openai):
    """Only classes whose models are called are changed."""
    openai.invoke("Hello.")
    assert "_generate" in vars(type(openai))
    assert "_generate" not in vars(ChatOpenAI)
    assert isinstance(openai.invoke("Hello."), AIMessage)
