"""What a session leaves behind for people and machines, beside what the terminal shows."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_promptune.core.shards import Shard
from pytest_promptune.core.view import View
from pytest_promptune.settings import Settings
from pytest_promptune.store.files import append_text, write_text


def write_outputs(
    view: View, settings: Settings, *, root: Path, shard: Shard | None = None
) -> tuple[str, ...]:
    """Write JSON, reports, and the summary of a GitHub job, whichever are asked for.

    Args:
        view: what was found.
        settings: where to write.
        root: paths are relative to it.
        shard: what lets the results be merged with others', for the JSON.

    Returns:
        The paths of reports and JSON, relative to `root` where they lie below it.

    Raises:
        PromptuneError: when one can't be rendered or written.
    """
    if settings.json is not None:
        from pytest_promptune.report.json_results import dumps

        write_text(root / settings.json, dumps(view, shard))
    if settings.report:
        from pytest_promptune.report.markdown import render_markdown

        templates = root / settings.templates if settings.templates else None
        text = render_markdown(view, templates=templates)
        for path in settings.report:
            write_text(root / path, text)
    if job_summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        from pytest_promptune.report.github import step_summary

        append_text(Path(job_summary), step_summary(view))
    written = (*settings.report, *([settings.json] if settings.json is not None else []))
    return tuple(_shown(root / path, root) for path in written)


def _shown(path: Path, root: Path) -> str:
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
