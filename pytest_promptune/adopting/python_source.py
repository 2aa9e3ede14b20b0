"""A Python file's text beside its syntax tree: where a literal stands, and what the app does with it."""

from __future__ import annotations

import ast
import inspect
import io
import re
import textwrap
import tokenize
from collections.abc import Callable

from pytest_promptune.adopting.values import ByHandError
from pytest_promptune.core.values import dataclass

_OPENING = re.compile(r"([A-Za-z]*)(\"\"\"|'''|\"|')")
_F_START = getattr(tokenize, "FSTRING_START", -1)
_F_END = getattr(tokenize, "FSTRING_END", -1)
#: Calls whose text is a format.
_FORMATTING = frozenset(
    {
        "format",
        "format_map",
        "from_template",
        "from_messages",
        "from_strings",
        "PromptTemplate",
        "ChatPromptTemplate",
    }
    | {f"{role}MessagePromptTemplate" for role in ("System", "Human", "AI", "Chat")}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of the string tokens of a literal: several may stand side by side."""

    #: Offsets in the text.
    start: int
    end: int
    prefix: str
    quote: str
    body: str

    @property
    def is_formatted(self) -> bool:
        """An f-string."""
        return "f" in self.prefix.lower()


class PythonText:
    """The text of a Python file with its syntax tree."""

    def __init__(self, text: str) -> None:
        """Parse it.

        Raises:
            ByHandError: when it is no valid Python.
        """
        try:
            self.tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError) as error:
            raise ByHandError(f"the file is not valid Python: {error}") from None
        self.text = text
        self._lines = text.split("\n")
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line) + 1)

    def span(self, node: ast.expr) -> tuple[int, int]:
        """Offsets of an expression; its columns are counted in bytes."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._at(node.lineno, node.col_offset), self._at(node.end_lineno, node.end_col_offset)

    def _at(self, line: int, column: int) -> int:
        encoded = self._lines[line - 1].encode("utf-8", "surrogatepass")[:column]
        return self._starts[line - 1] + len(encoded.decode("utf-8", "surrogatepass"))

    def parts(self, node: ast.expr) -> list[Part]:
        """The string tokens of a literal, in order."""
        start, end = self.span(node)
        found: list[Part] = []
        depth, opened = 0, 0
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            begin = self._starts[token.start[0] - 1] + token.start[1]
            close = self._starts[token.end[0] - 1] + token.end[1]
            if begin < start or close > end:
                continue
            if token.type == _F_START:
                opened = opened if depth else begin
                depth += 1
            elif token.type == _F_END:
                depth -= 1
                if not depth:
                    found.append(self._part(opened, close))
            elif token.type == tokenize.STRING and not depth:
                found.append(self._part(begin, close))
        return found

    def _part(self, start: int, end: int) -> Part:
        text = self.text[start:end]
        opening = _OPENING.match(text)
        assert opening is not None
        prefix, quote = opening.groups()
        body = text[opening.end() : -len(quote)]
        return Part(start=start, end=end, prefix=prefix, quote=quote, body=body)

    def parents(self, node: ast.AST) -> list[ast.AST]:
        """What a node is in, the innermost first."""
        path: list[ast.AST] = []

        def search(place: ast.AST) -> bool:
            for child in ast.iter_child_nodes(place):
                if child is node or search(child):
                    path.append(place)
                    return True
            return False

        search(self.tree)
        return path


# --- what the app does with a text ------------------------------------------------------------------


def applied_to(source: PythonText, node: ast.expr) -> Callable[[str], str]:
    """What is called on a literal where it stands: `strip`, `dedent`, `cleandoc`; else nothing."""
    functions: list[Callable[[str], str]] = []
    inner: ast.AST = node
    for outer in source.parents(node):
        if isinstance(outer, ast.Attribute) and outer.value is inner:
            inner = outer
            continue
        function = _function(outer, inner) if isinstance(outer, ast.Call) else None
        if function is None:
            break
        functions.append(function)
        inner = outer

    def apply(text: str) -> str:
        for function in functions:
            text = function(text)
        return text

    return apply


def _function(call: ast.Call, inner: ast.AST) -> Callable[[str], str] | None:
    if call.func is inner and isinstance(inner, ast.Attribute) and not call.args and not call.keywords:
        return {"strip": str.strip, "lstrip": str.lstrip, "rstrip": str.rstrip}.get(inner.attr)
    if call.args == [inner] and not call.keywords:
        return {"dedent": textwrap.dedent, "cleandoc": inspect.cleandoc}.get(_name(call.func))
    return None


def _name(function: ast.AST) -> str:
    return getattr(function, "attr", getattr(function, "id", ""))


def is_formatted(source: PythonText, node: ast.expr) -> bool:
    """Whether the source shows that a constant is a format: `str.format`, or a template of LangChain's."""
    parents = source.parents(node)
    if any(isinstance(each, ast.Call) and _name(each.func) in _FORMATTING for each in parents):
        return True
    if not parents or not isinstance(parents[0], ast.Assign | ast.AnnAssign):
        return False
    targets = parents[0].targets if isinstance(parents[0], ast.Assign) else [parents[0].target]
    names = {target.id for target in targets if isinstance(target, ast.Name)}
    calls = (each for each in ast.walk(source.tree) if isinstance(each, ast.Call))
    return any(
        _name(call.func) in _FORMATTING
        and any(isinstance(each, ast.Name) and each.id in names for each in ast.walk(call))
        for call in calls
    )
