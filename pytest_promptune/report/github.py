"""What GitHub Actions shows: the step summary (the report has the rest), and annotations beside the tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pytest_promptune.core.annotations import Annotation, annotations_of
from pytest_promptune.core.harmless import harmless
from pytest_promptune.core.view import View
from pytest_promptune.report.markdown import values
from pytest_promptune.report.templating import render

#: As the runner undoes it (``ActionCommand.cs``); the per cent sign first.
_IN_MESSAGES = (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"))
_IN_PROPERTIES = (*_IN_MESSAGES, (":", "%3A"), (",", "%2C"))


#: Bytes that GitHub shows of the summaries of one step; of longer ones it shows nothing.
SUMMARY_LIMIT = 1024 * 1024
_CUT = "\n\nThe rest is in the report: GitHub shows summaries up to 1 MiB.\n"


def step_summary(view: View, *, taken: int = 0) -> str:
    """Markdown for ``$GITHUB_STEP_SUMMARY``, cut after a whole block where there is no room for all of it.

    Args:
        view: what was found.
        taken: bytes that are in the file already.
    """
    text = render("step_summary.md.j2", values(view))
    return _cut(text, SUMMARY_LIMIT - taken)


def _cut(text: str, room: int) -> str:
    data = text.encode("utf-8", errors="replace")
    if len(data) <= room:
        return text
    kept = data[: max(room - len(_CUT), 0)].decode("utf-8", errors="ignore").rpartition("\n\n")[0]
    return kept + _CUT if kept else ""


def workflow_commands(
    view: View, *, path_of: Callable[[str], str], lines: Mapping[str, int] | None = None
) -> tuple[str, ...]:
    """``::error`` for each failed decision of the gate, ``::warning`` for what it could not decide.

    Args:
        view: what was found.
        path_of: a test module's path as GitHub knows it.
        lines: in which a test begins, from 1, by its node id without parameters.

    Returns:
        Lines to print as they are.
    """
    return tuple(_command(each, path_of, lines or {}) for each in annotations_of(view))


def _command(annotation: Annotation, path_of: Callable[[str], str], lines: Mapping[str, int]) -> str:
    properties = {}
    if annotation.test:
        properties["file"] = path_of(annotation.test.partition("::")[0])
        if annotation.test in lines:
            properties["line"] = str(lines[annotation.test])
    properties["title"] = annotation.title
    given = ",".join(f"{name}={_escaped(value, _IN_PROPERTIES)}" for name, value in properties.items())
    return f"::{annotation.level} {given}::{_escaped(annotation.message, _IN_MESSAGES)}"


def _escaped(text: str, replaced: tuple[tuple[str, str], ...]) -> str:
    text = harmless(text)
    for character, code in replaced:
        text = text.replace(character, code)
    return text
