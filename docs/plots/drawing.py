"""Charts as SVG, with nothing but text: a card with axes, lines, bars and labels.

The card is light and opaque and has its own border, so that it reads the same on a light and on a dark page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape

INK = "#1f2328"
FAINT = "#59636e"
GRID = "#d1d9e0"
#: Told apart without red and green (Okabe and Ito).
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072b2", "#d55e00", "#009e73", "#aa4499", "#8c959f"
_FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Values from `low` to `high` along one side, with labels at `ticks`."""

    low: float
    high: float
    ticks: Sequence[float]
    label: str = ""
    text: Callable[[float], str] = "{:g}".format


@dataclass(kw_only=True)
class Chart:
    """One picture; coordinates of what is drawn are those of its axes."""

    title: str
    #: What there is to see, for those who don't see it.
    description: str
    x: Axis
    y: Axis
    width: int = 720
    height: int = 350
    left: int = 70
    right: int = 24
    top: int = 66
    bottom: int = 58
    _parts: list[str] = field(default_factory=list)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a point lies, in pixels."""
        across = (x - self.x.low) / (self.x.high - self.x.low)
        up = (y - self.y.low) / (self.y.high - self.y.low)
        wide, tall = self.width - self.left - self.right, self.height - self.top - self.bottom
        return self.left + across * wide, self.top + (1 - up) * tall

    def line(
        self, points: Sequence[tuple[float, float]], colour: str, *, width: float = 2, dash: str = ""
    ) -> None:
        """A line through points."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self.at(*point) for point in points))
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{dashes}/>'
        )

    def bar(self, low: tuple[float, float], high: tuple[float, float], colour: str) -> None:
        """A rectangle from its lower left to its upper right corner."""
        (left, bottom), (right, top) = self.at(*low), self.at(*high)
        self._parts.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{max(right - left, 0):.1f}" '
            f'height="{max(bottom - top, 0):.1f}" fill="{colour}"/>'
        )

    def dot(self, x: float, y: float, colour: str) -> None:
        """A point."""
        across, down = self.at(x, y)
        self._parts.append(f'<circle cx="{across:.1f}" cy="{down:.1f}" r="4.5" fill="{colour}"/>')

    def label(
        self,
        x: float,
        y: float,
        text: str,
        colour: str = INK,
        *,
        anchor: str = "start",
        shift: tuple[float, float] = (0, 0),
        bold: bool = False,
    ) -> None:
        """Text at a point, moved by so many pixels to the right and down."""
        across, down = self.at(x, y)
        self._text(across + shift[0], down + shift[1], text, colour, anchor=anchor, bold=bold)

    def _text(
        self,
        x: float,
        y: float,
        text: str,
        colour: str,
        *,
        anchor: str = "start",
        size: int = 13,
        bold: bool = False,
    ) -> None:
        weight = ' font-weight="600"' if bold else ""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-size="{size}" text-anchor="{anchor}"'
            f"{weight}>{escape(text)}</text>"
        )

    def _frame(self) -> None:
        for tick in self.y.ticks:
            self.line([(self.x.low, tick), (self.x.high, tick)], GRID, width=1)
            x, y = self.at(self.x.low, tick)
            self._text(x - 8, y + 4, self.y.text(tick), FAINT, anchor="end", size=12)
        for tick in self.x.ticks:
            x, y = self.at(tick, self.y.low)
            self._text(x, y + 18, self.x.text(tick), FAINT, anchor="middle", size=12)
        self.line([(self.x.low, self.y.low), (self.x.high, self.y.low)], FAINT, width=1)
        middle = (self.left + self.width - self.right) / 2
        self._text(middle, self.height - 16, self.x.label, INK, anchor="middle")
        self._text(self.left, self.top - 12, self.y.label, INK)

    def svg(self) -> str:
        """The whole file."""
        drawn, self._parts = self._parts, []
        self._frame()
        frame, self._parts = self._parts, drawn
        title = escape(self.title)
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" role="img" aria-labelledby="title desc" '
            f'font-family="{_FONT}">'
        )
        card = (
            f'<rect x="0.5" y="0.5" width="{self.width - 1}" height="{self.height - 1}" rx="8" '
            f'fill="#ffffff" stroke="{GRID}"/>'
        )
        return "\n".join(
            [
                head,
                f'<title id="title">{title}</title>',
                f'<desc id="desc">{escape(self.description)}</desc>',
                card,
                f'<text x="16" y="24" fill="{INK}" font-size="15" font-weight="600">{title}</text>',
                *frame,
                *drawn,
                "</svg>",
                "",
            ]
        )
