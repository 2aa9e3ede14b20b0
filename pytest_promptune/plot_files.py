"""Plots and their reports: files beside Markdown, data within HTML."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from markupsafe import Markup

from pytest_promptune.core.errors import PlotsError
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import View
from pytest_promptune.report.escape import alternative
from pytest_promptune.report.markdown import Picture
from pytest_promptune.report.words import Words
from pytest_promptune.store.files import write_text

if TYPE_CHECKING:
    from pytest_promptune.core.series.final import FinalReport
    from pytest_promptune.report.plots import Plot

#: Names of the files that `report.plots` makes.
_OWN = re.compile(r"differences|cases-\d+|latency|nodes|progress-\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plots:
    """What goes with a report."""

    drawn: Sequence[Plot] = ()
    #: What the report says where nothing is drawn that could be.
    hint: str = ""
    problem: PlotsError | None = None


def of_session(view: View) -> Plots:
    """Those of a comparison; other sessions have nothing to set side by side."""
    if view.mode != "compare" or not view.comparisons:
        return Plots()
    from pytest_promptune.report.plots import draw

    return _drawn(lambda: draw(view), Words("en"))


def of_series(report: FinalReport, *, language: str = "en") -> Plots:
    """Those of a final report."""
    from pytest_promptune.report.plots import draw_final

    return _drawn(lambda: draw_final(report, language=language), Words(language))


def _drawn(draw: Callable[[], Sequence[Plot]], w: Words) -> Plots:
    from pytest_promptune.report.plots import is_available

    if not is_available():
        return Plots(hint=w.text("plots_hint"))
    try:
        return Plots(drawn=draw())
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
        problem = PlotsError(f"The plots can't be drawn ({told}).")
        return Plots(hint=w.text("plots_failed", error=told), problem=problem)


def beside(path: Path, plots: Sequence[Plot]) -> list[Picture]:
    """How the Markdown report at `path` refers to its plots."""
    folder = quote(f"{path.stem}_files")
    return [
        Picture(
            reference=Markup(f"{folder}/{plot.name}.svg"),
            alternative=alternative(plot.alternative),
            title=plot.title,
        )
        for plot in plots
    ]


def within(plots: Sequence[Plot]) -> list[Picture]:
    """How a page refers to plots that it holds itself."""
    return [
        Picture(
            reference=Markup(
                "data:image/svg+xml;base64," + base64.b64encode(plot.svg.encode()).decode("ascii")
            ),
            alternative=alternative(plot.alternative),
            title=plot.title,
        )
        for plot in plots
    ]


def write_plots(path: Path, plots: Sequence[Plot]) -> None:
    """Write the plots beside their report, and remove those of an earlier one.

    Raises:
        PromptuneError: when one can't be written.
    """
    folder = path.with_name(f"{path.stem}_files")
    for plot in plots:
        write_text(folder / f"{plot.name}.svg", plot.svg)
    kept = {f"{plot.name}.svg" for plot in plots}
    for old in folder.glob("*.svg"):
        if old.name not in kept and _OWN.fullmatch(old.stem):
            with suppress(OSError):
                old.unlink()
