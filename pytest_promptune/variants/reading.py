"""Variants: folders and files that say what is different, chosen and compared with `current`."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_promptune.core.errors import VariantError
from pytest_promptune.core.model import CURRENT, Change, Variant

#: Names that mean something else in options, tables and stored files.
RESERVED = (CURRENT, "baseline")

_KEYS = ("description", "context", "nodes", "templates")
_SETTINGS = "variant.toml"
_PROMPT_NAME = re.compile(r"prompt|system|instruction|template", re.IGNORECASE)
#: What else may lie in a variant's folder without being read.
_IGNORED = ("__pycache__",)


class TemplateText(str):
    """A template's text that remembers its file, for messages and tracebacks."""

    path: str

    def __new__(cls, text: str, path: str = "") -> TemplateText:
        """A text and where it stands."""
        self = super().__new__(cls, text)
        self.path = path
        return self


def template_path(variant: str, name: str, text: str) -> str:
    """Where a variant's template stands, for messages."""
    return getattr(text, "path", "") or f"<variant {variant}: {name}>"


# --- reading --------------------------------------------------------------------------------------


def read_variants(folder: Path) -> dict[str, Variant]:
    """The variants under `folder`, by name: ``NAME/`` with templates and ``variant.toml``, or ``NAME.toml``.

    A folder that isn't there holds no variants.

    Raises:
        VariantError: with everything that is wrong, each with its file (and line where it is known).
    """
    if folder.exists() and not folder.is_dir():
        raise VariantError(f"{folder}: not a folder. Give the folder that holds the variants.")
    found: dict[str, Variant] = {}
    problems: list[str] = []
    for path in sorted(folder.iterdir()) if folder.exists() else []:
        if _is_ignored(path):
            continue
        try:
            variant = _read_variant(path)
            if variant.name in found:
                raise VariantError(
                    f"{path}: there is also the folder {variant.name}/. Keep one of them, or rename one."
                )
            found[variant.name] = variant
        except VariantError as exc:
            problems.append(str(exc))
    if problems:
        raise VariantError("\n".join(problems))
    return found


def read_variant(folder: Path, name: str) -> Variant:
    """One variant by its name; others, which may be broken, are not read.

    Raises:
        VariantError: when there is none, or something is wrong with it.
    """
    check_name(name, where="variant")
    found = [path for path in (folder / name, folder / f"{name}.toml") if path.exists()]
    if len(found) != 1 or _is_ignored(found[0]):
        return select(read_variants(folder), [name], folder=folder)[0]
    return _read_variant(found[0])


def variant_path(folder: Path, name: str) -> Path:
    """The folder or file of a variant that is there."""
    return folder / name if (folder / name).is_dir() else folder / f"{name}.toml"


def unread_files(path: Path) -> list[Path]:
    """What lies in a variant's folder without being read and may be worth keeping: notes."""
    return [each for each in sorted(path.rglob("*.md")) if each.is_file()]


def _is_ignored(path: Path) -> bool:
    return path.name.startswith(".") or path.name in _IGNORED or (path.suffix == ".md" and path.is_file())


def _read_variant(path: Path) -> Variant:
    name = path.name if path.is_dir() else path.stem
    if not path.is_dir() and path.suffix != ".toml":
        raise VariantError(
            f"{path}: not a variant. A variant is a folder NAME/ with *.j2 templates or {_SETTINGS}, "
            "or a file NAME.toml. Move this file into a variant's folder, or away."
        )
    check_name(name, where=str(path))
    variant = _from_folder(path) if path.is_dir() else _from_toml(path, name)
    if not (variant.templates or variant.context or variant.nodes):
        reads = f"*.j2 templates, or {_SETTINGS} with" if path.is_dir() else "a table"
        raise VariantError(
            f"{path}: the variant changes nothing. Add {reads} [context], [nodes] or [templates]."
        )
    return variant


def check_name(name: str, *, where: str) -> None:
    """Refuse a name that can't be part of a test's id.

    Raises:
        VariantError: for a reserved name, or one with whitespace, brackets, slashes or ``::``.
    """
    if name in RESERVED:
        what = "the app as it stands" if name == CURRENT else "the recorded scores"
        raise VariantError(f"{where}: {name!r} is the name of {what}. Give the variant another name.")
    if not name or re.search(r"\s|[\[\]/\\]|::", name):
        raise VariantError(
            f"{where}: the name {name!r} becomes part of test ids, where whitespace, [, ], / and :: "
            "can't stand. Rename it with letters, digits, - and _."
        )


def _from_folder(folder: Path) -> Variant:
    settings = folder / _SETTINGS
    variant = _from_toml(settings, folder.name) if settings.is_file() else Variant(name=folder.name)
    templates = dict(variant.templates)
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".j2":
            if name in templates:
                raise VariantError(
                    f"{path}: {settings.name} has this template too, under [templates]. Keep one of them."
                )
            templates[name] = TemplateText(_read_text(path), str(path))
        elif path != settings:
            raise VariantError(
                f"{path}: not read. A variant's folder holds *.j2 templates and {_SETTINGS}; a template "
                f"with another extension goes into {_SETTINGS} under [templates]. Move the file away."
            )
    return dataclasses.replace(variant, templates=templates)


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if _is_ignored(path):
            continue
        if path.is_dir():
            yield from _files(path)
        else:
            yield path


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as exc:
        line = exc.object.count(b"\n", 0, exc.start) + 1
        raise VariantError(
            f"{path}:{line}: byte 0x{exc.object[exc.start]:02x} is not UTF-8. Save the file as UTF-8."
        ) from None
    except OSError as exc:
        raise VariantError(f"{path}: can't be read: {exc.strerror}. Make it a readable file.") from None


def _from_toml(path: Path, name: str) -> Variant:
    import tomllib  # only where there are variants

    text = _read_text(path)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        line = re.search(r"at line (\d+)", str(exc))
        # An unclosed string or array is noticed at the end of the document.
        number = int(line[1]) if line else text.count("\n") + 1
        raise VariantError(f"{path}:{number}: broken TOML: {exc}. Correct the file.") from None
    for key in data:
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, 1, cutoff=0.8)
            hint = f"Did you mean {near[0]!r}?" if near else "Remove it, or put it under [context]."
            raise VariantError(
                f"{path}:{_line_of(text, key)}: unknown key {key!r}; a variant has {', '.join(_KEYS)}. {hint}"
            )
    _check_types(path, text, data)
    where = f"{path} [templates."
    return Variant(
        name=name,
        description=data.get("description", ""),
        context=data.get("context", {}),
        nodes=data.get("nodes", {}),
        templates={
            key: TemplateText(value, f"{where}{key!r}]") for key, value in data.get("templates", {}).items()
        },
    )


def _line_of(text: str, key: str) -> int:
    """The line where a top-level key of a TOML document stands, 1 if it is written unusually."""
    match = re.search(rf"^[ \t]*\[*[ \t]*[\"']?{re.escape(key)}\b", text, re.MULTILINE)
    return text.count("\n", 0, match.start()) + 1 if match else 1


def _check_types(path: Path, text: str, data: Mapping[str, Any]) -> None:
    def refuse(key: str, what: str) -> VariantError:
        return VariantError(f"{path}:{_line_of(text, key)}: {what}")

    if not isinstance(data.get("description", ""), str):
        raise refuse("description", 'description is not a text. Write description = "…".')
    for key in ("context", "nodes", "templates"):
        if not isinstance(data.get(key, {}), dict):
            raise refuse(key, f"{key} is not a table. Write [{key}] and its keys below.")
    for node, table in data.get("nodes", {}).items():
        if not isinstance(table, dict):
            raise refuse("nodes", f'nodes.{node} is not a table. Write [nodes."{node}"] and its keys below.')
    for name, value in data.get("templates", {}).items():
        if not isinstance(value, str):
            raise refuse(
                "templates",
                f'templates.{name} is not a text. Write "{name}" = """…""" (names with dots need quotes).',
            )


# --- choosing -------------------------------------------------------------------------------------


def select(
    variants: Mapping[str, Variant], names: Sequence[str], *, folder: Path | None = None
) -> list[Variant]:
    """The variants with these names, in this order and once each; all of them for no names.

    Raises:
        VariantError: for a name that isn't there, with those that are, and where they were looked for.
    """
    unknown = [name for name in dict.fromkeys(names) if name not in variants]
    if not unknown:
        return [variants[name] for name in dict.fromkeys(names or variants)]
    looked = f" in {folder}" if folder is not None else ""
    if not variants:
        raise VariantError(
            f"variant {unknown[0]!r}: there are no variants{looked}. Add a folder "
            f"{unknown[0]}/ with *.j2 templates or a {_SETTINGS} there, or correct the ini key "
            "promptune_variants."
        )
    available = f"There are {', '.join(variants)}{looked}."
    raise VariantError(
        "\n".join(f"variant {name!r}: unknown.{_near(name, variants)} {available}" for name in unknown)
    )


def _near(name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, 3)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""


# --- what differs from current --------------------------------------------------------------------


def with_changes(
    variant: Variant,
    *,
    current_templates: Callable[[str], str | None],
    current_context: Mapping[str, object],
) -> Variant:
    """The variant with its ``changes`` filled in.

    What equals `current` is no change: a template with the same text, a context field with its default.

    Args:
        variant: a variant as it was read.
        current_templates: gives the text of a template in `current`, ``None`` where it has no source.
        current_context: the defaults of the graph's context; a field without default is left out.
    """
    changes: list[Change] = []
    for name, text in variant.templates.items():
        before = current_templates(name)
        if before != text:
            changes.append(Change(kind="template", target=name, before=before, after=str(text)))
    for field, value in variant.context.items():
        known = field in current_context
        if known and _equal(current_context[field], value):
            continue
        changes.append(
            Change(
                kind="context",
                target=field,
                before=_shown(current_context[field]) if known else None,
                after=_shown(value),
                what="prompt" if _is_prompt(field, value) else "parameter",
            )
        )
    for path, table in variant.nodes.items():
        changes.extend(_node_changes(path, table))
    return dataclasses.replace(variant, changes=tuple(changes))


def _equal(a: object, b: object) -> bool:
    """Equal as parameters: 0 and 0.0 are, 1 and true are not."""
    return isinstance(a, bool) == isinstance(b, bool) and bool(a == b)


def _shown(value: object) -> str:
    return value if isinstance(value, str) else repr(value)


def _is_prompt(field: str, value: object) -> bool:
    """Whether a context field reads like a prompt; a number or a flag never does."""
    if isinstance(value, str):
        return bool(_PROMPT_NAME.search(field)) or len(value.split()) > 1
    return isinstance(value, list | tuple | dict) and bool(_PROMPT_NAME.search(field))


def _node_changes(path: str, table: Mapping[str, Any]) -> Iterator[Change]:
    for key, value in table.items():
        if key == "prompt":
            if value == table.get("template"):
                continue
            yield Change(kind="node", target=path, before=table.get("template"), after=_shown(value))
        elif key == "params" and isinstance(value, Mapping):
            for name, setting in value.items():
                yield Change(
                    kind="node", target=path, before=None, after=f"{name} = {setting!r}", what="parameter"
                )
        elif key not in ("prompt_from", "template"):
            yield Change(kind="node", target=path, before=None, after=f"{key} = {value!r}")


def is_one_change(variant: Variant) -> bool:
    """Whether a difference in scores has one cause.

    One prompt (a template, a node's prompt and examples, or a prompt-like context field) is one change,
    and so are parameters alone: of one node, or any of the context's. Two prompts, prompt and
    parameters together, or parameters of several nodes are not. Reads ``changes``, or, where nobody
    filled them in, everything that the variant sets.
    """
    changes = variant.changes
    if not changes:
        changes = with_changes(variant, current_templates=lambda _: None, current_context={}).changes
    prompts = {(change.kind, change.target) for change in changes if change.what == "prompt"}
    parameters = {
        (change.kind, "" if change.kind == "context" else change.target)
        for change in changes
        if change.what != "prompt"
    }
    return len(prompts) + len(parameters) == 1
