"""Numbers and foreign text as people read them: pure functions, shared by the terminal and the reports."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_promptune.core.view import ComparisonRow, Interval, MetricName

UNKNOWN = "–"
MINUS = "−"
ELLIPSIS = "…"

#: Escape sequences of terminals: CSI, OSC, other strings, two-character ones.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]"
)
#: Spaces to break lines at: not between a number and its unit.
_BREAKS = re.compile(r"\s+(?!(?:%|pts|points|ms|s|USD)(?!\w))")
#: Joiners inside emoji and Persian words: the only invisible characters that stay.
_JOINERS = "\u200c\u200d"


# -- text ------------------------------------------------------------------------------------------------


def visible(text: str) -> str:
    """`text` without anything that moves the cursor, changes colours or direction, or can't be encoded.

    Line breaks and tabs become spaces; other spaces stay as they are.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(character) for character in _ESCAPES.sub("", text))


def _visible(character: str) -> str:
    if character in "\t\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029":
        return " "
    category = unicodedata.category(character)
    if category in ("Cc", "Cf") and character not in _JOINERS:
        return ""
    return "\ufffd" if category in ("Cs", "Co") else character


def clean(text: str) -> str:
    """`text` from a model, an exception or a file, on one line and harmless."""
    return " ".join(visible(text).split())


def clean_lines(text: str) -> list[str]:
    """The lines of `text` with invisible characters made visible, as in ``<U+202E>``.

    A prompt can differ from another in such a character alone, so a diff must show it.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    return [line if line.isprintable() else "".join(map(_shown, line)) for line in lines]


def _shown(character: str) -> str:
    if character == "\t" or character in _JOINERS or character.isprintable():
        return character
    invisible = unicodedata.category(character) != "Zs"
    return f"<U+{ord(character):04X}>" if invisible else character


def columns(text: str) -> int:
    """How many columns of a terminal `text` takes; wide characters take two."""
    return len(text) if text.isascii() else sum(map(_columns, text))


@lru_cache(maxsize=4096)
def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "FW" else 1


def cut(text: str, width: int) -> str:
    """`text` in at most `width` columns, with an ellipsis where something is missing."""
    if columns(text) <= width:
        return text
    return _head(text, max(width - 1, 0)) + ELLIPSIS if width > 0 else ""


def _head(text: str, width: int) -> str:
    taken = 0
    for position, character in enumerate(text):
        taken += _columns(character)
        if taken > width:
            return text[:position]
    return text


def wrap(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` columns, broken at spaces where there are any."""
    lines, line = [], ""
    for word in _BREAKS.split(text.strip()):
        if line and columns(line) + 1 + columns(word) > width:
            lines.append(line)
            line = ""
        line = f"{line} {word}" if line else word
        while columns(line) > width > 1:
            head = _head(line, width)
            lines.append(head)
            line = line[len(head) :]
    return [*lines, line] if line else lines


def listed(items: Sequence[str], width: int) -> str:
    """As many of `items` as fit in `width` columns, and how many more there are."""
    names = [clean(item) for item in items]
    for shown in range(len(names), 0, -1):
        rest = len(names) - shown
        text = ", ".join(names[:shown]) + (f" and {rest} more" if rest else "")
        if columns(text) <= width:
            return text
    return cut(f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else "".join(names), width)


def count(number: int, noun: str) -> str:
    """``1 case``, ``20 cases``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


# -- numbers ---------------------------------------------------------------------------------------------


def number(value: float | None, *, digits: int = 3) -> str:
    """`value` with `digits` significant digits; all digits of whole thousands."""
    value = _finite(value)
    if value is None:
        return UNKNOWN
    if value != 0 and not 1e-6 <= abs(value) < 1e12:
        return f"{value:.{digits - 1}e}".replace("-", MINUS)
    return _fixed(value, _decimals(value, digits), grouped=True)


def signed(value: float | None, decimals: int) -> str:
    """`value` with its sign, except for what rounds to zero."""
    value = _finite(value)
    if value is None:
        return UNKNOWN
    text = _fixed(value, decimals)
    return f"+{text}" if value > 0 and float(text) != 0 else text


def probability(p: float | None) -> str:
    """A p-value with two digits that matter, never as small as zero."""
    p = _finite(p)
    if p is None:
        return UNKNOWN
    if p < 0.001:
        return "<0.001"
    return f"{p:.2f}" if p >= 0.1 else f"{p:.3f}"


def adjusted(row: ComparisonRow) -> str:
    """The p-value adjusted for the other gated metrics, or nothing where that changes nothing."""
    text = probability(row.p_adjusted) if row.gated and row.p_adjusted is not None else ""
    return "" if text == probability(row.p) else text


def money(value: float | None) -> str:
    """US dollars: cents for sums, three digits for the price of one call."""
    value = _finite(value)
    if value is None:
        return UNKNOWN
    return f"${value:,.2f}" if value >= 0.1 or value == 0 else f"${number(value)}"


def seconds(value: float | None) -> str:
    """A duration in the unit that suits it: ``412 ms``, ``2.41 s``, ``3 min 20 s``."""
    value = _finite(value)
    if value is None:
        return UNKNOWN
    if value >= 600:
        return f"{value // 60:.0f} min {value % 60:.0f} s"
    return f"{number(value)} s" if value >= 1 or value == 0 else f"{number(value * 1000)} ms"


def mean(name: MetricName, value: float | None) -> str:
    """A value of the metric in its own unit: ``75.0 %``, ``412 ms``, ``$0.0150``, ``41.2``."""
    value = _finite(value)
    if value is None:
        return UNKNOWN
    if name.kind == "binary":
        return f"{_fixed(value * 100, 1)} %"
    if _unit(name) == "s":
        return seconds(value)
    if _unit(name) == "USD":
        return money(value)
    return number(value)


def deviation(name: MetricName, value: float | None) -> str:
    """A standard deviation of the metric: points for shares, else as :func:`mean`."""
    text = mean(name, value)
    return text.replace("%", "pts") if name.kind == "binary" else text


def interval(name: MetricName, limits: Interval | None) -> str:
    """The interval of a mean: ``[66.0, 84.0] %``."""
    low, high = (_finite(limit) for limit in limits or (None, None))
    factor, unit = scale(name, [low, high])
    largest = _largest([low, high])
    if largest is None:
        return UNKNOWN
    decimals = 1 if unit == "%" else _decimals(largest * factor, 3)
    shown = [UNKNOWN if limit is None else _fixed(limit * factor, decimals) for limit in (low, high)]
    return f"[{shown[0]}, {shown[1]}] {unit}".rstrip()


def scale(name: MetricName, values: Sequence[float | None]) -> tuple[float, str]:
    """What to multiply values of the metric by to show them all in one unit."""
    if name.kind == "binary":
        return 100, "%"
    unit = _unit(name)
    if unit == "s":
        return (1000, "ms") if 0 < (_largest(values) or 0) < 1 else (1, "s")
    return 1, unit


def effect(row: ComparisonRow) -> str:
    """The difference with its interval as one text: ``+11.0 [+2.9, +19.5] pts``.

    Shares differ in points, latency in per cent of the ratio, cost and tokens in per cent of the
    reference's mean (treated as fixed), everything else in its own unit.
    """
    value, limits, unit = effect_values(row)
    decimals = 1 if unit in ("pts", "%") else _digits_of([value, *(limits or ())])
    return _with_limits(value, limits, unit, decimals)


def difference(row: ComparisonRow) -> str:
    """As :func:`effect`, but always in the metric's own unit."""
    factor, unit = scale(row.name, [row.difference, *(row.ci or ())])
    value, limits = _times(row.difference, factor), scaled(row.ci, factor)
    if row.name.kind == "binary":
        return _with_limits(value, limits, "pts", 1)
    if row.name.kind == "latency" and row.ratio is not None:
        limits = None
    return _with_limits(value, limits, unit, _digits_of([value, *(limits or ())]))


def amount(row: ComparisonRow, value: float | None) -> str:
    """A size of effect without sign, in words: ``11 points``, ``8.3 %``, ``4.2 words``."""
    return amount_of(row.name, row.reference_mean, value)


def amount_of(name: MetricName, reference: float | None, value: float | None) -> str:
    """As :func:`amount`; times, tokens and money in per cent of the `reference`, where there is one."""
    value = _finite(value)
    if value is None:
        return UNKNOWN
    value = abs(value)
    if name.kind == "binary":
        return f"{number(value * 100, digits=2)} points"
    if name.kind in ("latency", "cost") and reference:
        return f"{number(value / abs(reference) * 100, digits=2)} %"
    factor, unit = scale(name, [value])
    return f"{number(value * factor, digits=2)} {unit}".rstrip()


def change(name: MetricName, reference: float | None, candidate: float | None) -> str:
    """What happened to one case: the difference of its means without interval."""
    reference, candidate = _finite(reference), _finite(candidate)
    if reference is None or candidate is None:
        return UNKNOWN
    if name.kind == "binary":
        return f"{signed((candidate - reference) * 100, 1)} pts"
    factor, unit = scale(name, [reference, candidate])
    value = (candidate - reference) * factor
    return f"{signed(value, _digits_of([value]))} {unit}".rstrip()


def effect_values(row: ComparisonRow) -> tuple[float | None, Interval | None, str]:
    """The numbers that :func:`effect` shows: difference, interval, and the unit of both."""
    kind, base = row.name.kind, row.reference_mean
    if kind == "binary":
        return _times(row.difference, 100), scaled(row.ci, 100), "pts"
    if kind == "latency" and row.ratio is not None:
        low, high = row.ratio_ci or (None, None)
        return _percent(row.ratio), (_percent(low), _percent(high)), "%"
    if kind == "cost" and base:
        return _times(row.difference, 100 / base), scaled(row.ci, 100 / base), "%"
    factor, unit = scale(row.name, [row.difference, *(row.ci or ())])
    return _times(row.difference, factor), scaled(row.ci, factor), unit


def _with_limits(value: float | None, limits: Interval | None, unit: str, decimals: int) -> str:
    value = _finite(value)
    if value is None:
        return UNKNOWN
    text = signed(value, decimals)
    if limits is not None and _largest(limits) is not None:
        text += f" [{signed(limits[0], decimals)}, {signed(limits[1], decimals)}]"
    return f"{text} {unit}".rstrip()


def _unit(name: MetricName) -> str:
    if name.kind == "latency":
        return name.unit or "s"
    if name.kind == "cost" and name.unit is None:
        return "USD" if name.metric.endswith("cost_usd") else ""
    return clean(name.unit or "")


def _digits_of(values: Sequence[float | None]) -> int:
    """Decimals that give the largest of `values` two significant digits."""
    return _decimals(_largest(values) or 0, 2)


def _largest(values: Sequence[float | None]) -> float | None:
    return max((abs(value) for value in map(_finite, values) if value is not None), default=None)


def _finite(value: float | None) -> float | None:
    """An infinite limit is as unknown as a missing one."""
    return value if value is not None and math.isfinite(value) else None


def _decimals(value: float, digits: int) -> int:
    return min(max(digits - 1 - math.floor(math.log10(abs(value))), 0), 8) if value else 0


def _fixed(value: float, decimals: int, *, grouped: bool = False) -> str:
    """Rounding may leave ``-0.0``, which is no number for people."""
    rounded = round(value, decimals) + 0.0
    text = f"{rounded:,.{decimals}f}" if grouped else f"{rounded:.{decimals}f}"
    return text.replace("-", MINUS)


def _percent(ratio: float | None) -> float | None:
    ratio = _finite(ratio)
    return None if ratio is None else (ratio - 1) * 100


def _times(value: float | None, factor: float) -> float | None:
    value = _finite(value)
    return None if value is None else value * factor


def scaled(limits: Interval | None, factor: float) -> Interval | None:
    """Both ends of an interval times a factor."""
    if limits is None:
        return None
    low, high = _times(limits[0], factor), _times(limits[1], factor)
    return (low, high) if factor >= 0 else (high, low)


def some(names: Sequence[str], most: int = 5) -> str:
    """The first `most` of them, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest:,} more" if rest > 0 else "")


def percent(share: float | None, digits: int = 6) -> str:
    """A share in per cent, without decimals it doesn't need."""
    return UNKNOWN if share is None else f"{share * 100:.{digits}g} %"
