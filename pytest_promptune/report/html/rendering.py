"""The page around a report: style, script, and a policy that lets nothing else run or load."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from pytest_promptune.core import wording
from pytest_promptune.core.casebook import CaseBook
from pytest_promptune.core.display import clean
from pytest_promptune.core.harmless import harmless_markup
from pytest_promptune.core.view import View
from pytest_promptune.report.html.casebook_data import to_script
from pytest_promptune.report.html.converting import to_html
from pytest_promptune.report.markdown import Picture, render_markdown
from pytest_promptune.report.templating import render_page
from pytest_promptune.report.words import Words

_FOLDER = "html/"
#: Elements in which there are no character references.
_RAW = re.compile(r"(<style>.*?</style>|<script\b.*?</script>)", re.DOTALL)


def render_html(
    view: View,
    book: CaseBook | None = None,
    *,
    templates: Path | None = None,
    plots: Sequence[Picture] = (),
    plots_hint: str = "",
) -> str:
    """The report of a session as one HTML file.

    Args:
        view: what was found.
        book: every case with its outputs, where they are known.
        templates: a folder with templates that replace ours by name, ``html/page.html.j2`` and those of the
            Markdown report among them.
        plots: pictures that the page holds itself.
        plots_hint: why there are none.

    Raises:
        ReportError: when a template has an error or asks for a value that does not exist.
    """
    failed = any(item.failed for item in view.gate)
    is_worse = failed or bool(wording.regressed(view))
    state = "interrupted" if view.interrupted else "failed" if is_worse else "passed"
    if not view.comparisons and not failed:
        state = "recorded"
    return page(
        render_markdown(view, templates=templates, plots=plots, plots_hint=plots_hint),
        title=wording.TITLES[view.mode],
        state=state,
        badges=_badges(view),
        facts=_facts(view),
        book=book,
        templates=templates,
    )


def page(
    markdown: str,
    *,
    title: str = "",
    state: str = "",
    badges: Sequence[tuple[str, str]] = (),
    facts: Sequence[tuple[str, str]] = (),
    book: CaseBook | None = None,
    language: str = "en",
    templates: Path | None = None,
) -> str:
    """Any of our Markdown reports as a page.

    Args:
        markdown: the report; its first heading becomes that of the page.
        title: of the window; that of the report where there is none.
        state: ``passed``, ``failed``, ``recorded``, ``interrupted`` or nothing: the colour of its head.
        badges: class and text of each.
        facts: name and value of what stands below the heading.
        book: every case with its outputs.
        language: of the text, one of `words.LANGUAGES`.
        templates: a folder with templates that replace ours.

    Raises:
        ReportError: see `render_html`.
    """
    first, _, rest = markdown.partition("\n")
    heading = to_html(first.removeprefix("# "))[0].removeprefix("<p>").strip().removesuffix("</p>")
    body, sections = to_html(rest)
    w = Words(language)
    style, script = (_own(name) for name in ("page.css", "page.js"))
    values: Mapping[str, Any] = {
        "title": title or Markup(heading).striptags(),
        "heading": Markup(heading),
        "state": state,
        "badges": badges,
        "facts": facts,
        "sections": sections,
        "body": Markup(body),
        "book": book,
        "data": Markup(to_script(book, w)) if book is not None else "",
        "language": language,
        "t": w.text,
        "style": Markup(style),
        "script": Markup(script),
        "policy": (
            f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
            "img-src data:; base-uri 'none'; form-action 'none'"
        ),
    }
    return _harmless(render_page(f"{_FOLDER}page.html.j2", values, templates=templates))


def _harmless(html: str) -> str:
    """The page without commands to CI runners in its text; its data has none (`casebook_data`)."""
    parts = _RAW.split(html)  # every second one is raw
    parts[::2] = ["\n".join(map(harmless_markup, part.split("\n"))) for part in parts[::2]]
    return "".join(parts)


def _badges(view: View) -> list[tuple[str, str]]:
    counts = dict.fromkeys(wording.VERDICTS, 0)
    for row in view.comparisons:
        if row.gated:
            counts[row.verdict] += 1
    found = [
        (verdict, f"{number} {wording.VERDICTS[verdict]}") for verdict, number in counts.items() if number
    ]
    gate = [item.failed for item in view.gate]
    if gate:
        found.insert(0, ("failed" if any(gate) else "passed", f"Gate {'failed' if any(gate) else 'passed'}"))
    return found


def _facts(view: View) -> list[tuple[str, str]]:
    experiment = view.experiment
    facts = [("Measured", experiment.started), ("Experiment", experiment.id)]
    if experiment.commit:
        changed = " + uncommitted changes" if experiment.dirty else ""
        facts.append(("Commit", f"{experiment.commit}{changed}"))
    if experiment.models:
        facts.append(("Models", ", ".join(experiment.models)))
    facts.append(("Effort", wording.effort(view)))
    return [(name, clean(value)) for name, value in facts]


def _own(name: str) -> str:
    """One of our files, as the page has it: its hash is in the policy."""
    folder = Path(__file__).parent.parent / "templates" / "html"
    return (folder / name).read_text(encoding="utf-8").strip("\n")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
