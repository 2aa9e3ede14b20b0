"""The language model behind the bot: the embedded one, or any chat model that LangChain knows."""

import json
import os
from collections.abc import Sequence
from typing import Any, Protocol

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage

#: Unset: the embedded model. Else a name for LangChain's `init_chat_model`, such as openai:gpt-4.1-mini.
VARIABLE = "SUPPORT_BOT_MODEL"


class Model(Protocol):
    async def choose(self, chat: list[BaseMessage], *, temperature: float, seed: int | None) -> str:
        """One of the choices."""

    async def write(
        self, chat: list[BaseMessage], *, temperature: float, max_tokens: int, seed: int | None
    ) -> str:
        """Free text."""


def model_from_environment(choices: Sequence[str], *, max_retries: int | None = None) -> Model:
    """The model that SUPPORT_BOT_MODEL names; make it where the event loop is that will call it."""
    name = os.environ.get(VARIABLE, "")
    return ProviderModel(name, choices, max_retries=max_retries) if name else EmbeddedModel(choices)


class EmbeddedModel:
    """SmolLM2 on this machine's CPU; a grammar makes it answer with one of the choices."""

    def __init__(self, choices: Sequence[str]) -> None:
        from pytest_promptune.local import local_chat_model

        grammar = "root ::= " + " | ".join(json.dumps(choice) for choice in choices)
        self.chooser = local_chat_model(grammar=grammar, max_tokens=16)
        self.writer = local_chat_model(stop=["\n"])

    async def choose(self, chat: list[BaseMessage], *, temperature: float, seed: int | None) -> str:
        answer = await self.chooser.ainvoke(chat, temperature=temperature, seed=seed)
        return answer.text

    async def write(
        self, chat: list[BaseMessage], *, temperature: float, max_tokens: int, seed: int | None
    ) -> str:
        answer = await self.writer.ainvoke(chat, temperature=temperature, max_tokens=max_tokens, seed=seed)
        return answer.text


class ProviderModel:
    """A provider's model by LangChain's name; structured output makes it answer with one of the choices."""

    def __init__(self, name: str, choices: Sequence[str], *, max_retries: int | None) -> None:
        self.name = name
        self.choices = choices
        # Not every provider takes a seed, so none is passed.
        self.settings = {} if max_retries is None else {"max_retries": max_retries}
        self.schema = {
            "title": "Topic",
            "description": "What the customer's message is about",
            "type": "object",
            "properties": {"topic": {"type": "string", "enum": list(choices)}},
            "required": ["topic"],
            "additionalProperties": False,
        }
        self._model(temperature=0.0)  # a missing package shows now, not in the first sample

    def _model(self, **parameters: Any) -> BaseChatModel:
        try:
            from langchain.chat_models import init_chat_model
        except ImportError as error:
            raise self._unusable("it needs LangChain: pip install langchain") from error
        try:
            return init_chat_model(self.name, **self.settings, **parameters)
        except (ImportError, ValueError) as error:  # a package is missing, or there is no such provider
            raise self._unusable(str(error)) from error

    def _unusable(self, why: str) -> RuntimeError:
        return RuntimeError(
            f"{VARIABLE}={self.name}: {why}\n"
            f"{VARIABLE} is PROVIDER:MODEL, such as openai:gpt-4.1-mini; unset, the embedded model is used."
        )

    async def choose(
        self,
        chat: list[BaseMessage],
        *,
        temperature: float,
        seed: int | None,  # noqa: ARG002  # for the embedded model: not all providers take one
    ) -> str:
        answer = await self._model(temperature=temperature).with_structured_output(self.schema).ainvoke(chat)
        topic = answer.get("topic") if isinstance(answer, dict) else None
        if topic not in self.choices:
            raise ValueError(f"{self.name} answered {answer!r}, which is none of {', '.join(self.choices)}")
        return str(topic)

    async def write(
        self,
        chat: list[BaseMessage],
        *,
        temperature: float,
        max_tokens: int,
        seed: int | None,  # noqa: ARG002  # likewise
    ) -> str:
        answer = await self._model(temperature=temperature, max_tokens=max(max_tokens, 60)).ainvoke(chat)
        return answer.text
