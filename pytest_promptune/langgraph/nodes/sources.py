"""Source files: their syntax trees, the definition of a function in them, and how their places are called."""

from __future__ import annotations

import ast
import os
import re
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial
from pathlib import Path, PurePath
from types import CodeType

from pytest_promptune.core.literals import Literal, LiteralIndex, literals_of

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

_PROSE_SUFFIXES = (".md", ".txt", ".j2", ".jinja", ".jinja2", ".prompt")
_TEXT_SUFFIXES = (*_PROSE_SUFFIXES, ".yaml", ".yml", ".toml")
#: Folders whose files are prompts, and a file of theirs without its ending.
_FOLDER = re.compile(r"prompt|template", re.IGNORECASE)
_STEM = re.compile(r"[\w./-]*\w")
_NOT_OURS = frozenset({"node_modules", "build", "dist", "site-packages", "__pycache__", "tests"})
#: Files that the index reads; a folder with more is no single app.
_MOST_FILES = 2000
_LARGEST = 500_000
_PLAIN = re.compile(r"[^\n\t\"'{}\\\\]{4,60}")
_MOST_PIECES = 6
#: Modules of tests, which hold inputs of cases.
_TEST = re.compile(r"test_.*\.py|.*_test\.py|conftest\.py")
_INSTALLED = ("site-packages", "dist-packages")


class Sources:
    """The files of the app below `root`, read when they are asked for and once."""

    def __init__(self, root: Path, *, variants: Path | None = None) -> None:
        """Know where they are.

        Args:
            root: of the project.
            variants: a folder below it whose texts the app itself never has.
        """
        self.root = root.resolve()
        self._variants = None if variants is None else (self.root / variants).resolve()
        self._trees: dict[str, ast.Module | None] = {}
        self._definitions: dict[tuple[str, int], list[Definition]] = {}
        self._literals_of: dict[str, tuple[Literal, ...]] = {}
        self._indexes: dict[str, LiteralIndex] = {}
        self._located: dict[tuple[str, str | None], Literal | None] = {}
        self._names: dict[str, str] = {}
        self._installed: dict[str, bool] = {}
        self._packages: dict[str, dict[str, str]] = {}
        self._standard = tuple(
            os.path.realpath(path) + os.sep
            for key in ("stdlib", "platstdlib")
            if (path := sysconfig.get_paths().get(key))
        )

    def tree(self, file: str) -> ast.Module | None:
        """The syntax tree of a file; None where it can't be read or parsed."""
        if file not in self._trees:
            try:
                self._trees[file] = ast.parse(Path(file).read_bytes())
            except (OSError, SyntaxError, ValueError, RecursionError):
                self._trees[file] = None
        return self._trees[file]

    def definition(self, code: CodeType) -> Definition | None:
        """The definition that `code` was compiled from.

        The whole file is parsed: the text of the function alone doesn't parse where a string in it begins in
        the first column.
        """
        file, line = code.co_filename, code.co_firstlineno
        if (file, line) not in self._definitions:
            self._definitions[file, line] = _defined_at(line, self.tree(file))
        names = code.co_varnames[: code.co_argcount]
        for node in self._definitions[file, line]:
            if getattr(node, "name", "<lambda>") == code.co_name and _parameters(node) == names:
                return node
        return None

    def is_installed(self, file: str) -> bool:
        """Whether a file belongs to an installed package or to Python itself, not to the app."""
        if file not in self._installed:
            is_package = file.startswith("<") or any(part in _INSTALLED for part in Path(file).parts)
            self._installed[file] = is_package or os.path.realpath(file).startswith(self._standard)
        return self._installed[file]

    def name(self, file: str) -> str:
        """A file's name for people: relative to the root, or to what it is installed in."""
        if file not in self._names:
            self._names[file] = self._name(file)
        return self._names[file]

    def _name(self, file: str) -> str:
        path = Path(file)
        if path.is_relative_to(self.root) and not any(part in _INSTALLED for part in path.parts):
            return path.relative_to(self.root).as_posix()
        places = [Path(place) for place in sys.path if place and path.is_relative_to(place)]
        longest = max(places, key=lambda place: len(place.parts), default=None)
        return (path.relative_to(longest) if longest else path).as_posix()

    def locate(self, text: str, near: str | None = None) -> Literal | None:
        """The literal a text was made from: in the file `near`, else anywhere in the app."""
        if (text, near) not in self._located:
            self._located[text, near] = self._find(text, near)
        return self._located[text, near]

    def _find(self, text: str, near: str | None) -> Literal | None:
        if near is not None and (found := self._index(near).find(text)) is not None:
            return found
        pieces = _pieces(text)  # files are parsed by how many of them they have, the most first
        sharing: dict[int, list[Callable[[], Iterable[Literal]]]] = {}
        for raw, literals in self._searched(text, near):
            if count := sum(piece in raw for piece in pieces):
                sharing.setdefault(count, []).append(literals)
        for count in sorted(sharing, reverse=True):
            index = LiteralIndex(literal for literals in sharing[count] for literal in literals())
            if (found := index.find(text)) is not None:
                return found
        return None

    def _searched(self, text: str, near: str | None) -> Iterator[tuple[str, Callable[[], Iterable[Literal]]]]:
        """Every file that a text may come from: its content, and how its texts are had."""
        from pytest_promptune.langgraph.nodes.texts import texts_of  # parsers that only this needs

        python = {**self._python_files, **(self._files_beside(near) if near is not None else {})}
        for file, raw in python.items():
            yield raw, partial(self._literals, file)
        for other in self.text_files.values():
            yield other.text, partial(_parts, other, text.strip(), texts_of)

    def every_text(self) -> Iterator[Literal]:
        """All literals of the app's Python files but tests, and the texts in other files."""
        from pytest_promptune.langgraph.nodes.texts import texts_of  # parsers that only this needs

        for python in self._python_files:
            if not _TEST.fullmatch(Path(python).name):
                yield from self._literals(python)
        for other in self.text_files.values():
            yield from texts_of(other)

    def app_files(self) -> Iterator[tuple[Path, str]]:
        """The app's Python files but tests, and its text files, each with its text."""
        for python, text in self._python_files.items():
            if not _TEST.fullmatch(Path(python).name):
                yield Path(python), text
        for path in self._files:
            literal = self.text_files.get(self.name(str(path)))
            if literal is not None:
                yield path, literal.text

    def _files_beside(self, file: str) -> dict[str, str]:
        """The imported modules of the installed package that a file belongs to, and their texts."""
        package = self.name(file).partition("/")[0]
        if not self.is_installed(file) or package in self._packages:
            return self._packages.get(package, {})
        names = [name for name in sys.modules if name.partition(".")[0] == package]
        places = {str(getattr(sys.modules[name], "__file__", None) or "") for name in names}
        texts = {place: _read(Path(place)) for place in sorted(places) if place.endswith(".py")}
        self._packages[package] = {place: text for place, text in texts.items() if text is not None}
        return self._packages[package]

    def _index(self, file: str) -> LiteralIndex:
        if file not in self._indexes:
            self._indexes[file] = LiteralIndex(self._literals(file))
        return self._indexes[file]

    def _literals(self, file: str) -> tuple[Literal, ...]:
        if file not in self._literals_of:
            tree = self.tree(file)
            self._literals_of[file] = tuple(literals_of(tree, self.name(file))) if tree else ()
        return self._literals_of[file]

    @cached_property
    def text_files(self) -> dict[str, Literal]:
        """Files that may hold prompts, by their name relative to the root."""
        found = {}
        for path in self._files:
            if path.suffix.lower() in _TEXT_SUFFIXES and (text := _read(path)) is not None:
                name = self.name(str(path))
                found[name] = Literal(file=name, line=1, text=text)
        return found

    def text_file(self, name: str) -> Literal | None:
        """The file that a string names by the end of its path, where only one has it, or the shortest."""
        if not name.lower().endswith(_TEXT_SUFFIXES):
            return None
        found = _named(self._inside(name), self.text_files)
        return None if found is None else self.text_files[found]

    def _inside(self, name: str) -> str:
        """The name of a file as people see it, where it is the whole path of one below the root."""
        if not PurePath(name).is_absolute():
            return name
        try:
            path = Path(name).resolve()
        except (OSError, ValueError):  # no path at all, but something that looks like one
            return name
        return self.name(str(path)) if path.is_relative_to(self.root) else name

    def prompt_file(self, stem: str) -> Literal | None:
        """The file in a folder of prompts or templates that is named without its ending, if one fits."""
        fitting = self._prompt_files.get(PurePath(stem).name, ()) if _STEM.fullmatch(stem) else ()
        fitting = [file for file in fitting if f"/{PurePath(file).with_suffix('')}".endswith(f"/{stem}")]
        return self.text_files[fitting[0]] if len(fitting) == 1 else None

    @cached_property
    def _prompt_files(self) -> dict[str, list[str]]:
        """Names of files that are prompts by their folder, by the name without its ending."""
        found: dict[str, list[str]] = {}
        for file in map(PurePath, self.text_files):
            if file.suffix.lower() in _PROSE_SUFFIXES and _FOLDER.search(file.parent.as_posix()):
                found.setdefault(file.stem, []).append(file.as_posix())
        return found

    def data_file(self, name: str) -> Literal | None:
        """As `text_file`, and JSON, which holds much else than prompts: it is read when it is asked for."""
        if not name.lower().endswith(".json"):
            return self.text_file(name)
        found = _named(self._inside(name), self._json_files)
        text = None if found is None else _read(self._json_files[found])
        return None if found is None or text is None else Literal(file=found, line=1, text=text)

    @cached_property
    def _json_files(self) -> dict[str, Path]:
        return {self.name(str(path)): path for path in self._files if path.suffix.lower() == ".json"}

    def call_site(self, method: str, first: str) -> tuple[str, int] | None:
        """Where the app calls ``….method("first", …)``."""
        for file, raw in self._python_files.items():
            tree = self.tree(file) if method in raw and first in raw else None
            for node in ast.walk(tree) if tree else ():
                if isinstance(node, ast.Call) and _calls(node, method, first):
                    return self.name(file), node.lineno
        return None

    @cached_property
    def _python_files(self) -> dict[str, str]:
        """The text of every Python file of the app."""
        texts = {str(path): _read(path) for path in self._files if path.suffix == ".py"}
        return {file: text for file, text in texts.items() if text is not None}

    @cached_property
    def _files(self) -> list[Path]:
        found: list[Path] = []
        for folder, folders, files in os.walk(self.root):
            ours = (Path(folder, name) for name in sorted(folders) if _is_ours(Path(folder, name)))
            folders[:] = [place.name for place in ours if place != self._variants]
            found += [
                Path(folder, name)
                for name in sorted(files)
                if not name.startswith(".") and name.lower().endswith((".py", ".json", *_TEXT_SUFFIXES))
            ]
            if len(found) > _MOST_FILES:
                break
        return found[:_MOST_FILES]


def _named(name: str, files: Iterable[str]) -> str | None:
    """The file whose path ends as `name` does, the shortest of several."""
    if any(sign.isspace() for sign in name):
        return None
    wanted = name.replace("\\", "/").removeprefix("./").lstrip("/")
    fitting = [file for file in files if file == wanted or file.endswith("/" + wanted)]
    return min(fitting, key=len) if fitting else None


def _is_ours(folder: Path) -> bool:
    name = folder.name
    return not (name.startswith(".") or name in _NOT_OURS or (folder / "pyvenv.cfg").exists())


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8") if path.stat().st_size <= _LARGEST else None
    except (OSError, UnicodeDecodeError):
        return None


def _parts(file: Literal, text: str, texts_of: Callable[[Literal], Iterable[Literal]]) -> Iterator[Literal]:
    """The texts of a file, and `text` where it is a part of one, as behind a header."""
    yield from texts_of(file)
    begin = file.text.find(text) if text else -1
    if begin >= 0:
        yield Literal(file=file.file, line=1 + file.text.count("\n", 0, begin), text=text)


def _pieces(text: str) -> list[str]:
    """Some stretches of a text that stand in its source as they are: without quotes, braces, line ends."""
    found = sorted(_PLAIN.findall(text), key=len, reverse=True)
    return [piece.strip() for piece in found[:_MOST_PIECES] if piece.strip()]


def _defined_at(line: int, tree: ast.Module | None) -> list[Definition]:
    """The definitions that begin in a line, those around others first; only what covers it is walked."""
    found = []
    pending: list[ast.AST] = [tree] if tree else []
    for node in pending:  # which grows
        if isinstance(node, Definition) and _first_line(node) == line:
            found.append(node)
        for child in ast.iter_child_nodes(node):
            end = getattr(child, "end_lineno", None)
            if end is None or _first_line(child) <= line <= end:
                pending.append(child)
    return found


def _first_line(node: ast.AST) -> int:
    """With the decorators, as Python counts."""
    lines: list[int] = [decorator.lineno for decorator in getattr(node, "decorator_list", ())]
    return min([*lines, getattr(node, "lineno", 0)])


def _parameters(node: Definition) -> tuple[str, ...]:
    return tuple(argument.arg for argument in (*node.args.posonlyargs, *node.args.args))


def _calls(node: ast.Call, method: str, first: str) -> bool:
    return (
        isinstance(node.func, ast.Attribute)
        and node.func.attr == method
        and bool(node.args)
        and isinstance(node.args[0], ast.Constant)
        and node.args[0].value == first
    )


def code_of(function: object) -> CodeType | None:
    """The code of a Python function, ``None`` for anything else."""
    code = getattr(function, "__code__", None)
    return code if isinstance(code, CodeType) else None
