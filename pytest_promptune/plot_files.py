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

from pytest_promptune.core.errors import PromptuneError
from pytest_promptune.report.markdown import Picture
from pytest_promptune.store.files import write_text

if TYPE_CHECKING:
    from pytest_promptune.report.plots import Plot

#: What a report says without them.
HINT = "Plots need an extra: pip install pytest-promptune[plots]"
#: Names of the files that `report.plots` makes.
_OWN = re.compile(r"differences|cases-\d+|latency|nodes|progress-\d+")


def drawn(draw: Callable[[], Sequence[Plot]]) -> tuple[Sequence[Plot], PromptuneError | None]:
    """What `draw` gives, or why it gives nothing: a picture is never worth a report."""
    try:
        return draw(), None
    except Exception as error:
        return (), PromptuneError(f"The plots can't be drawn ({type(error).__name__}: {error}).")


def beside(path: Path, plots: Sequence[Plot]) -> list[Picture]:
    """How the Markdown report at `path` refers to its plots."""
    folder = quote(f"{path.stem}_files")
    return [
        Picture(reference=Markup(f"{folder}/{plot.name}.svg"), alternative=plot.alternative, title=plot.title)
        for plot in plots
    ]


def within(plots: Sequence[Plot]) -> list[Picture]:
    """How a page refers to plots that it holds itself."""
    return [
        Picture(
            reference=Markup(
                "data:image/svg+xml;base64," + base64.b64encode(plot.svg.encode()).decode("ascii")
            ),
            alternative=plot.alternative,
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
