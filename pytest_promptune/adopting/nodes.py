"""Way C: the new prompt of a node, written where the app's source has the old one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from pytest_promptune.adopting.data_files import DATA_SUFFIXES, Scalar, check_data, scalars_of
from pytest_promptune.adopting.prompt_texts import Form, form_of, laid_out, of_constant, pieces_of
from pytest_promptune.adopting.python_literals import check_replaced, fields_of, literal
from pytest_promptune.adopting.python_source import PythonText, applied_to, is_formatted
from pytest_promptune.adopting.source_files import SourceFile, read_source
from pytest_promptune.adopting.values import ByHand, ByHandError, Splice
from pytest_promptune.core.inversion import Template, placeholders
from pytest_promptune.core.values import dataclass
from pytest_promptune.langgraph.nodes.sources import Sources
from pytest_promptune.variants.literals import template_of, texts_in

_PLACE = re.compile(r"(.+?)(?::(\d+))?")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Where to look."""

    root: Path
    #: Folder of the variants, whose files are no source of the app.
    variants: Path
    #: Files of the app.
    sources: Sources
    #: What can't be written has been written by hand.
    applied: bool = False
    #: By node: ``file:line`` of the calls of its model, as samples showed them.
    sites: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Found:
    """The old prompt in a file."""

    source: SourceFile
    form: Form
    line: int
    python: PythonText | None = None
    node: ast.expr | None = None
    scalar: Scalar | None = None


def node_changes(
    nodes: Mapping[str, Mapping[str, Any]], olds: Mapping[str, str], project: Project
) -> tuple[list[Splice], list[ByHand]]:
    """What is to be written for the changes of nodes, and what a person has to change.

    Args:
        nodes: as the variant has them.
        olds: the old prompt by node, as it was when the variant was measured.
        project: where to look.
    """
    splices: list[Splice] = []
    by_hand: list[ByHand] = []
    for path, table in nodes.items():
        where = _sites(path, project)
        if "prompt" in table and table["prompt"] != olds.get(path):
            place = table.get("prompt_from")
            try:
                splice = _prompt_change(path, table["prompt"], olds[path], place, project)
                splices += [splice] if splice else []
            except ByHandError as why:
                what = f"the prompt of node {path} becomes:\n{table['prompt']}"
                by_hand.append(_by_hand(place or where, what, str(why), project))
        by_hand += _other_changes(path, table, where, project)
    return splices, by_hand


def _other_changes(path: str, table: Mapping[str, Any], where: str, project: Project) -> Iterator[ByHand]:
    if table.get("few_shot"):
        pairs = "\n".join(f"  user: {one}\n  assistant: {other}" for one, other in table["few_shot"])
        why = "where the messages of a node are put together differs from app to app"
        yield _by_hand(
            where, f"node {path} gets these messages after its system messages:\n{pairs}", why, project
        )
    if table.get("params"):
        values = "\n".join(f"  {name} = {value!r}" for name, value in table["params"].items())
        why = "where the parameters of a model are given differs from app to app"
        yield _by_hand(
            where, f"the model that node {path} calls gets these parameters:\n{values}", why, project
        )


def _sites(path: str, project: Project) -> str:
    return ", ".join(project.sites.get(path, ())) or f"where node {path} calls its model"


def _by_hand(where: str, what: str, why: str, project: Project) -> ByHand:
    match = _PLACE.fullmatch(where.split(", ")[0])
    path = project.root / match[1] if match else None
    is_file = path is not None and path.is_file()
    return ByHand(where=where, what=what, why=why, path=path if is_file else None)


def _prompt_change(path: str, prompt: str, old: str, place: str | None, project: Project) -> Splice | None:
    """The new prompt where the old one stands, ``None`` where it is already there."""
    found = _locate(old, place, project)
    if len(found) != 1:
        if not found and project.applied and len(_locate(prompt, place, project)) == 1:
            return None
        if not found:
            raise ByHandError("the old prompt isn't found there as it was measured" if place else _NOWHERE)
        places = ", ".join(f"{_name(each.source.path, project)}:{each.line}" for each in found[:5])
        raise ByHandError(f"the old prompt stands in {len(found)} places: {places}")
    one = found[0]
    what = f"prompt of node {path}"
    if one.scalar is not None:
        return _of_scalar(one, one.scalar, prompt, old, what)
    assert one.python is not None
    assert one.node is not None
    return _of_python(one, one.python, one.node, prompt, old, what)


_NOWHERE = (
    "the old prompt isn't found in the project's files; prompt_from in variant.toml would say where it is"
)


def _name(path: Path, project: Project) -> str:
    return path.relative_to(project.root).as_posix() if path.is_relative_to(project.root) else str(path)


# --- finding ----------------------------------------------------------------------------------------


def _locate(old: str, place: str | None, project: Project) -> list[_Found]:
    if place is not None:
        match = _PLACE.fullmatch(place.strip())
        assert match is not None  # the variant was read with it
        path = project.root / match[1]
        found = list(_in_file(path, old))
        here = [each for each in found if match[2] and _stands_at(each, int(match[2]))]
        return here or found
    words = _WORD.findall(" ".join(Template.parse(old).parts))
    telling = max(words, key=len, default="")  # only files that have it are parsed
    found = []
    for path, text in project.sources.app_files():
        if path.resolve().is_relative_to(project.variants.resolve()) or telling not in text:
            continue
        try:
            found += _in_file(path, old)
        except ByHandError:
            continue  # what can't be read is no file of prompts
    return found


def _stands_at(found: _Found, line: int) -> bool:
    node = found.node
    return node is not None and node.lineno <= line <= (node.end_lineno or line)


def _in_file(path: Path, old: str) -> Iterator[_Found]:
    source = read_source(path)
    if path.suffix == ".py":
        python = PythonText(source.text)
        for node in texts_in(python.tree):
            if (form := form_of(template_of(node), old)) is not None:
                yield _Found(source, form, node.lineno, python=python, node=node)
        return
    for scalar in scalars_of(source):
        if (form := form_of(scalar.text, old)) is not None:
            yield _Found(source, form, source.line_of(scalar.start), scalar=scalar)


# --- writing ----------------------------------------------------------------------------------------


def _of_python(found: _Found, python: PythonText, node: ast.expr, prompt: str, old: str, what: str) -> Splice:
    if isinstance(node, ast.BinOp):
        raise ByHandError("it is put together with +")
    template = template_of(node)
    applied = applied_to(python, node)
    apply = applied if applied(template) != template else found.form
    if isinstance(node, ast.JoinedStr):
        fields = fields_of(python.parts(node))
        pieces = pieces_of(laid_out(prompt, template, apply), old=old, fields=fields)
    else:
        fields = [raw for _, raw in placeholders(template)]
        formatted = is_formatted(python, node)
        text = of_constant(pieces_of(prompt, old=old, fields=fields), template, formatted=formatted)
        pieces = (laid_out(text, template, apply),)
    start, end, new = literal(python, node, pieces)
    check_replaced(python, node, python.text[:start] + new + python.text[end:], pieces)
    path = found.source.path
    return Splice(path=path, start=start, end=end, text=new, what=what, line=found.line)


def _of_scalar(found: _Found, scalar: Scalar, prompt: str, old: str, what: str) -> Splice:
    fields = [raw for _, raw in placeholders(scalar.text)]
    pieces = pieces_of(prompt, old=old, fields=fields)
    text = laid_out(of_constant(pieces, scalar.text, formatted=False), scalar.text, found.form)
    new, source = scalar.write(text), found.source
    after = source.text[: scalar.start] + new + source.text[scalar.end :]
    if source.path.suffix.lower() in DATA_SUFFIXES and text != scalar.text:
        check_data(source.path, source.text, after, old=scalar.text, new=text)
    return Splice(path=source.path, start=scalar.start, end=scalar.end, text=new, what=what, line=found.line)
