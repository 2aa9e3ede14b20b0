"""The report of a session as a file: Markdown has its plots beside it, HTML within."""

from __future__ import annotations

from pathlib import Path

from pytest_promptune.core.casebook import CaseBook
from pytest_promptune.core.view import View
from pytest_promptune.plot_files import Plots, beside, within, write_plots
from pytest_promptune.report.markdown import render_markdown
from pytest_promptune.store.files import write_text


def write_markdown(path: Path, view: View, plots: Plots, *, templates: Path | None) -> None:
    """Write the Markdown report, and its plots.

    Raises:
        ReportError: when a template has an error or asks for a value that does not exist.
        WriteError: when a file can't be written.
    """
    pictures = beside(path, plots.drawn)
    write_text(path, render_markdown(view, templates=templates, plots=pictures, plots_hint=plots.hint))
    write_plots(path, plots.drawn)


def html_page(view: View, book: CaseBook | None, plots: Plots, *, templates: Path | None) -> str:
    """The HTML report.

    Raises:
        ReportError: as `write_markdown`.
    """
    from pytest_promptune.report.html import render_html  # its libraries are of no use to Markdown

    pictures = within(plots.drawn)
    return render_html(view, book, templates=templates, plots=pictures, plots_hint=plots.hint)
