"""Figures of matplotlib as SVG text: no display, no global state, the same bytes for the same input.

The card is white and opaque: no colour has 4.5:1 against both white and GitHub's dark #0d1117 (the most that
one can have against both is 4.3:1), and `prefers-color-scheme` in
an image follows the system, not the page.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from importlib.util import find_spec
from io import StringIO
from typing import TYPE_CHECKING, Any

from pytest_promptune.core.display import clean, columns, cut
from pytest_promptune.core.values import dataclass

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, FAINT, GRID = "#1f2328", "#59636e", "#d1d9e0"
#: Told apart without red and green (Okabe and Ito), each at least 3:1 on white.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072b2", "#d55e00", "#00855f", "#aa4499", "#6e7781"
SERIES = (BLUE, ORANGE, GREEN, PURPLE, GREY)
#: Inches; a column of text is about as wide as 1/13 inch.
WIDTH, COLUMN = 8.0, 1 / 13
_TAG = re.compile(r"<[^<>]*>")
_ID = re.compile(r'(\bid="|href="#|url\(#)')


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """One picture of a report."""

    #: Stem of its file.
    name: str
    title: str
    #: A sentence that tells what it shows, for those who don't see it.
    alternative: str
    #: Without prolog; ids begin with the name, so that several fit in one document.
    svg: str


def is_available() -> bool:
    """Whether the extra ``[plots]`` is installed; imports nothing."""
    return find_spec("matplotlib") is not None


def load_ahead() -> None:
    """Import matplotlib now, where it is installed, so that drawing takes less time."""
    if is_available():
        import matplotlib.backends.backend_svg
        import matplotlib.figure  # noqa: F401  # the first of both is an import of the same name


def figure(height: float) -> Figure:
    """An empty card, `height` inches high."""
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height), facecolor="white", edgecolor=GRID)


def panel(on: Figure, left: float, top: float, wide: float, tall: float) -> Any:
    """Axes in inches from the upper left corner, with a quiet frame."""
    height = on.get_figheight()
    axes = on.add_axes((left / WIDTH, 1 - (top + tall) / height, wide / WIDTH, tall / height))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.tick_params(colors=FAINT, labelsize=9, length=0)
    axes.set_axisbelow(True)
    return axes


def write(axes: Any, x: float, y: float, text: str, *, inches: float | None = None, **style: Any) -> None:
    """Foreign text at a point in data units, cut to a width in inches; never a formula."""
    shown = label(text, inches)
    style = {"color": INK, "fontsize": 10, "va": "center", "clip_on": False} | style
    axes.text(x, y, shown, parse_math=False, **style)


def label(text: str, inches: float | None = None) -> str:
    """`text` on one harmless line, cut to a width in inches."""
    return clean(text) if inches is None else cut(clean(text), max(int(inches / COLUMN), 4))


def width(texts: list[str], *, most: float) -> float:
    """Inches that the longest of some texts takes, but not more than `most`."""
    return min(max((columns(clean(text)) for text in texts), default=0) * COLUMN + 0.1, most)


def finish(on: Figure, name: str, title: str, alternative: str) -> Plot:
    """The figure as a plot, with its title above it."""
    on.text(
        0.15 / WIDTH,
        1 - 0.28 / on.get_figheight(),
        label(title, 7.6),
        color=INK,
        fontsize=12,
        fontweight="bold",
        va="center",
        parse_math=False,
    )
    sentence = clean(alternative)
    return Plot(name=name, title=title, alternative=sentence, svg=_svg(on, name, clean(title), sentence))


def _svg(on: Figure, name: str, title: str, alternative: str) -> str:
    from matplotlib import rc_context

    file = StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}), _quiet():
        on.savefig(file, format="svg", metadata=nothing)
    text = file.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = _TAG.sub(lambda tag: _ID.sub(rf"\g<1>{name}-", tag[0]), text)
    text = text.replace("*{stroke", f"#{name}-figure_1 *{{stroke", 1)
    # The reader's own fonts: those of this machine may be unknown there, and lack the letters.
    text = text.replace("'DejaVu Sans'", "system-ui, 'DejaVu Sans'")
    end = text.index(">") + 1
    named = f"<title>{escape(title)}</title>\n<desc>{escape(alternative)}</desc>"
    return f'{text[: end - 1]} role="img">\n{named}{text[end:]}'.rstrip() + "\n"


@contextmanager
def _quiet() -> Iterator[None]:
    """Letters that our font lacks are drawn by the reader's."""
    fonts = logging.getLogger("matplotlib.font_manager")
    level = fonts.level
    fonts.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph")
            yield
    finally:
        fonts.setLevel(level)
