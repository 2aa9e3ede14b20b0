"""The prompts: Jinja2 files, fetched by name at every call, so that a variant can stand in for any of them.

A prompt is a whole chat: lines of only ``system:``, ``user:`` or ``assistant:`` begin its messages. So
examples are pairs of a customer's message and the right answer, in the same file as the instruction.
"""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

env = Environment(
    loader=FileSystemLoader(Path(__file__).parents[1] / "prompts"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

MESSAGES: dict[str, type[BaseMessage]] = {
    "system": SystemMessage,
    "user": HumanMessage,
    "assistant": AIMessage,
}


def chat(template: str, **values: str) -> list[BaseMessage]:
    """The messages of a prompt. Each value is put on one line, so that no customer begins a message in it."""
    one_line = {name: " ".join(value.split()) for name, value in values.items()}
    text = env.get_template(template).render(one_line)
    _, *parts = re.split(r"^(system|user|assistant):[ \t]*$", text, flags=re.MULTILINE)
    return [MESSAGES[role](content.strip()) for role, content in zip(parts[::2], parts[1::2], strict=True)]
