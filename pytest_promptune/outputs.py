"""What a session leaves behind for people and machines, beside what the terminal shows."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_promptune.core.errors import PlotsError, PromptuneError
from pytest_promptune.core.shards.shard import Shard
from pytest_promptune.core.view import View
from pytest_promptune.option_values import HTML
from pytest_promptune.settings import Settings
from pytest_promptune.store.files import append_text, write_text

if TYPE_CHECKING:
    from pytest_promptune.core.casebook import CaseBook
    from pytest_promptune.plot_files import Plots


class OutputError(PromptuneError):
    """Not everything could be rendered or written; what could be is there."""

    def __init__(self, errors: Sequence[PromptuneError], written: tuple[str, ...]) -> None:
        super().__init__("\n".join(dict.fromkeys(map(str, errors))))
        #: Paths as `write_outputs` returns them.
        self.written = written
        #: Whether a whole file is missing, not only its pictures.
        self.is_file_missing = not all(isinstance(error, PlotsError) for error in errors)


def write_outputs(
    view: View,
    settings: Settings,
    *,
    root: Path,
    shard: Shard | None = None,
    book: Callable[[], CaseBook | None] = lambda: None,
) -> tuple[str, ...]:
    """Write JSON, reports, and the summary of a GitHub job, whichever are asked for.

    Args:
        view: what was found.
        settings: where to write.
        root: paths are relative to it.
        shard: what lets the results be merged with others', for the JSON.
        book: gives every case with its outputs, for HTML; asked once, if at all.

    Returns:
        The paths of reports and JSON, relative to `root` where they lie below it.

    Raises:
        OutputError: when one can't be rendered or written, after the others were tried.
    """
    errors: list[PromptuneError] = []
    written = []
    for name, write in _outputs(view, settings, root, shard, book):
        try:
            write()
        except PlotsError as error:
            errors.append(error)
            written.append(name)
        except PromptuneError as error:
            errors.append(error)
        else:
            written.append(name)
    paths = (*settings.report, *([settings.json] if settings.json is not None else []))
    shown = tuple(_shown(root / path, root) for path in paths if path in written)
    if errors:
        raise OutputError(errors, shown)
    return shown


def is_on_github() -> bool:
    """Whether this is a job of GitHub Actions, or of what behaves like it."""
    return os.environ.get("GITHUB_ACTIONS", "").lower() not in ("", "0", "false")


def annotation_lines(view: View, *, root: Path, lines: Mapping[str, int] | None = None) -> tuple[str, ...]:
    """Commands that annotate the job's run with what the gate says; none outside of GitHub Actions.

    Args:
        view: what was found.
        root: that the view's paths are relative to; GitHub wants them relative to the repository's root.
        lines: in which a test begins, from 1, by its node id without parameters.
    """
    if not is_on_github():
        return ()
    from pytest_promptune.report.github import workflow_commands

    workspace = Path(os.environ.get("GITHUB_WORKSPACE") or root).resolve()
    return workflow_commands(
        view, path_of=lambda module: _shown(root.resolve() / module, workspace), lines=lines
    )


def _outputs(
    view: View,
    settings: Settings,
    root: Path,
    shard: Shard | None,
    book: Callable[[], CaseBook | None],
) -> list[tuple[object, Callable[[], None]]]:
    """What is asked for, and how it is written."""
    found: list[tuple[object, Callable[[], None]]] = []
    results = settings.json
    if results is not None:
        from pytest_promptune.report.json_results import dumps

        found.append((results, lambda: write_text(root / results, dumps(view, shard))))

    templates = root / settings.templates if settings.templates else None

    @cache
    def plots() -> Plots:
        from pytest_promptune.plot_files import of_session

        return of_session(view)

    @cache
    def html() -> str:
        from pytest_promptune.report_files import html_page

        return html_page(view, book(), plots(), templates=templates)

    def written_to(path: Path) -> Callable[[], None]:
        def write() -> None:
            if path.name.lower().endswith(HTML):
                write_text(path, html())
            else:
                from pytest_promptune.report_files import write_markdown

                write_markdown(path, view, plots(), templates=templates)
            if (problem := plots().problem) is not None:
                raise problem

        return write

    found += [(path, written_to(root / path)) for path in settings.report]
    if job_summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        from pytest_promptune.report.github import step_summary

        found.append(
            (None, lambda: append_text(Path(job_summary), step_summary(view, taken=_size(job_summary))))
        )
    return found


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


def _shown(path: Path, root: Path) -> str:
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
