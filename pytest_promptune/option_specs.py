"""How an option is declared: a field of `Settings` that carries its help, parser and kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionSpec:
    """How one field of `Settings` is given on the command line and in the ini file."""

    name: str
    help: str
    #: Turns what was given into the field's value; raises `ValueError` with what would be valid.
    parse: Callable[[Any], Any]
    #: ``flag`` takes no value, ``text`` one, ``list`` one each time it is given.
    kind: Literal["flag", "text", "list"] = "text"
    metavar: str | None = None
    on_command_line: bool = True
    in_ini: bool = True

    @property
    def flag(self) -> str:
        """The option as it is typed, ``--promptune-against``."""
        return "--promptune-" + self.name.replace("_", "-")

    @property
    def ini(self) -> str:
        """The key in the ini file, ``promptune_against``."""
        return "promptune_" + self.name


def option(default: Any, help: str, parse: Callable[[Any], Any], **spec: Any) -> Any:
    """A field of `Settings` with its spec: `help`, the parser, and what else `OptionSpec` says."""
    metadata = {"help": help, "parse": parse, **spec}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)
