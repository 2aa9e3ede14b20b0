"""What is kept of a model's answer, and which tools failed before it was asked again."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from itertools import takewhile

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, Generation

from pytest_promptune.core.model import Answer
from pytest_promptune.core.redaction import beginning

#: Characters kept of an answer.
ANSWER_LENGTH = 300
#: Answers up to this length are labels, of which few are different: they share one text.
_SHARED = 60


def answer_of(generation: Generation, failed: frozenset[str]) -> Answer:
    """What is kept.

    Args:
        generation: of a chat model, or of one that completes texts.
        failed: tools that failed right before; calling one of them is another try.
    """
    message = generation.message if isinstance(generation, ChatGeneration) else None
    text = generation.text
    tools: tuple[str, ...] = ()
    broken = 0
    if isinstance(message, AIMessage):
        tools = tuple(sys.intern(call["name"]) for call in message.tool_calls)
        broken = len(message.invalid_tool_calls)
        if not text.strip():
            text = ", ".join(
                f"{call['name']}({json.dumps(call['args'], sort_keys=True, ensure_ascii=False, default=str)})"
                for call in message.tool_calls
            )
    kept = beginning(text, ANSWER_LENGTH)
    return Answer(
        text=sys.intern(kept) if len(kept) <= _SHARED else kept,
        length=len(text.strip()),
        tools=tools,
        broken=broken,
        retried=len(failed & set(tools)),
    )


def failed_tools(messages: Sequence[BaseMessage]) -> frozenset[str]:
    """Tools whose answers stand at the end of a prompt and are errors."""
    answers = list(takewhile(lambda message: isinstance(message, ToolMessage), reversed(messages)))
    ids = {
        message.tool_call_id
        for message in answers
        if isinstance(message, ToolMessage) and message.status == "error"
    }
    if not ids or len(answers) == len(messages):
        return frozenset()
    asked = messages[-len(answers) - 1]
    calls = asked.tool_calls if isinstance(asked, AIMessage) else []
    return frozenset(str(call["name"]) for call in calls if call["id"] in ids)
