"""Way B: a variant's template in place of the app's file, where the app's own loader says it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pytest_promptune.adopting.source_files import read_source
from pytest_promptune.adopting.values import AdoptError, ByHand, ByHandError, FileEdit
from pytest_promptune.prompts import AppPrompts


def template_changes(
    templates: Mapping[str, str], prompts: AppPrompts, *, root: Path, variants: Path
) -> tuple[list[FileEdit], list[ByHand]]:
    """What is to be written for templates, and what a person has to change.

    Args:
        templates: texts by name.
        prompts: the app's, prepared.
        root: the project; files outside of it are not written.
        variants: folder of the variants, whose files are not the app's.
    """
    edits: list[FileEdit] = []
    by_hand: list[ByHand] = []
    for name, text in templates.items():
        if prompts.text_of(name) == text:
            continue
        path = prompts.file_of(name)
        try:
            edits.append(_edit(name, str(text), path, root, variants))
        except ByHandError as why:
            where = str(path) if path is not None else f"where the app's loader has {name}"
            what = f"the template {name} becomes:\n{text}"
            by_hand.append(ByHand(where=where, what=what, why=str(why)))
    return edits, by_hand


def _edit(name: str, text: str, path: Path | None, root: Path, variants: Path) -> FileEdit:
    if path is None:
        raise ByHandError("its loader doesn't read it from a file")
    path = path.resolve()
    if not path.is_file():
        raise ByHandError("its loader doesn't read it from a file of its own")
    if not path.is_relative_to(root.resolve()) or "site-packages" in path.parts:
        raise ByHandError(f"that file is not under {root}")
    if path.is_relative_to(variants.resolve()):
        raise ByHandError("that is a file of the variants, and none of the app's")
    source = read_source(path)
    return FileEdit(path=path, before=source.raw, after=source.encoded(text), what=f"template {name}")


def check_templates(templates: Mapping[str, str], prompts: AppPrompts) -> None:
    """See, after writing, that the app's loader gives the new texts.

    Raises:
        AdoptError: when it gives another one.
    """
    for name, text in templates.items():
        if prompts.text_of(name) != text:
            raise AdoptError(
                f"the template {name} was written, and the app's loader still gives another text: everything "
                "was put back. Does the loader change what it reads?"
            )
