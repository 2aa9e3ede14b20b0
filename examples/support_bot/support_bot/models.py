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


def model_from_environment(choices: Sequence[str]) -> Model:
    """The model that SUPPORT_BOT_MODEL names; make it where the event loop is that will call it."""
    name = os.environ.get(VARIABLE, "")
    return ProviderModel(name, choices) if name else EmbeddedModel(choices)


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

    def __init__(self, name: str, choices: Sequence[str]) -> None:
        self.name = name
        self.schema = {
            "title": "Topic",
            "description": "What the customer's message is about",
            "type": "object",
            "properties": {"topic": {"type": "string", "enum": list(choices)}},
            "required": ["topic"],
            "additionalProperties": False,
        }
        self._model(temperature=0.0)  # a missing package or key shows now, not in the first sample

    def _model(self, **parameters: Any) -> BaseChatModel:
        provider = self.name.partition(":")[0]
        try:
            from langchain.chat_models import init_chat_model

            return init_chat_model(self.name, **parameters)
        except ImportError as error:
            raise RuntimeError(
                f"{VARIABLE}={self.name}: {error}. Install what it needs with: pip install langchain "
                f"langchain-{provider}  (or unset {VARIABLE} to use the embedded model)"
            ) from error

    # Not every provider takes a seed, so none is passed.

    async def choose(self, chat: list[BaseMessage], *, temperature: float, seed: int | None) -> str:  # noqa: ARG002
        answer = await self._model(temperature=temperature).with_structured_output(self.schema).ainvoke(chat)
        return str(answer["topic"])  # type: ignore[index]

    async def write(
        self,
        chat: list[BaseMessage],
        *,
        temperature: float,
        max_tokens: int,
        seed: int | None,  # noqa: ARG002
    ) -> str:
        answer = await self._model(temperature=temperature, max_tokens=max(max_tokens, 60)).ainvoke(chat)
        return answer.text
