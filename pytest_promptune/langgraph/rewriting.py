"""The messages of a model call as a node's override makes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, convert_to_messages
from langchain_core.prompt_values import PromptValue

from pytest_promptune.core.overrides import NodeOverride

#: What the app writes; models, tools and other agents write the rest.
_ROLES = ("system", "human", "developer", "chat")


def as_messages(value: Any) -> list[BaseMessage]:
    """What a chat model may be given, as messages."""
    if isinstance(value, PromptValue):
        return value.to_messages()
    if isinstance(value, str):
        return [HumanMessage(value)]
    return convert_to_messages(value)


def rewritten(override: NodeOverride, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """New messages; those of the app stay as they are.

    Examples come after the leading system messages, each as a user's message and the model's answer.

    Raises:
        TemplateMismatch: when no message of the app's is the old prompt.
    """
    new = list(messages)
    if override.new is not None:
        new = [_rewritten(override, message) for message in messages]
        if all(after is before for after, before in zip(new, messages, strict=True)) and not _fits(
            override, messages
        ):
            raise override.mismatch([text for message in messages for text in _texts(message)])
    if override.few_shot:
        first = next((i for i, message in enumerate(new) if message.type != "system"), len(new))
        new[first:first] = [
            message
            for question, answer in override.few_shot
            for message in (HumanMessage(question), AIMessage(answer))
        ]
    return new


def _fits(override: NodeOverride, messages: Sequence[BaseMessage]) -> bool:
    """Whether a message that stayed as it was is the prompt: its new text is the old one."""
    texts = (text for message in messages for text in _texts(message))
    return any(override.rewritten(text) is not None for text in texts)


def _texts(message: BaseMessage) -> list[str]:
    if message.type not in _ROLES:
        return []
    if isinstance(message.content, str):
        return [message.content]
    return [text for block in message.content if (text := _text_of(block)) is not None]


def _text_of(block: str | dict[Any, Any]) -> str | None:
    text = block if isinstance(block, str) else block.get("text")
    return text if isinstance(text, str) else None


def _rewritten(override: NodeOverride, message: BaseMessage) -> BaseMessage:
    """The message with its text, or the text of one of its blocks, replaced; itself if nothing changes."""
    if message.type not in _ROLES:
        return message
    if isinstance(message.content, str):
        content: Any = override.rewritten(message.content)
        changed = content is not None and content != message.content
    else:
        content = [_rewritten_block(override, block) for block in message.content]
        changed = content != message.content
    return message.model_copy(update={"content": content}) if changed else message


def _rewritten_block(override: NodeOverride, block: str | dict[Any, Any]) -> str | dict[Any, Any]:
    text = _text_of(block)
    new = None if text is None else override.rewritten(text)
    if new is None:
        return block
    return new if isinstance(block, str) else {**block, "text": new}
