"""Numbers with units and directions in English and Japanese text: ``90% or higher``, 「2.0秒以下」."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

from pytest_promptune.core.goals.model import Target, Unit
from pytest_promptune.core.stats.model import Direction
from pytest_promptune.core.values import dataclass

_NUMBER = r"(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)(?:e[+-]?\d+)?"
#: By unit as written: the unit it is kept in, and what to multiply with.
_UNITS: Mapping[str, tuple[Unit, float]] = {
    "%": ("%", 0.01),
    "percent": ("%", 0.01),
    "per cent": ("%", 0.01),
    "パーセント": ("%", 0.01),
    "milliseconds": ("s", 0.001),
    "millisecond": ("s", 0.001),
    "ミリ秒": ("s", 0.001),
    "msec": ("s", 0.001),
    "ms": ("s", 0.001),
    "seconds": ("s", 1),
    "second": ("s", 1),
    "secs": ("s", 1),
    "sec": ("s", 1),
    "s": ("s", 1),
    "秒": ("s", 1),
    "minutes": ("s", 60),
    "minute": ("s", 60),
    "min": ("s", 60),
    "分": ("s", 60),
    "tokens": ("tokens", 1),
    "token": ("tokens", 1),
    "トークン": ("tokens", 1),
    "dollars": ("USD", 1),
    "dollar": ("USD", 1),
    "usd": ("USD", 1),
    "us$": ("USD", 1),
    "$": ("USD", 1),
    "米ドル": ("USD", 1),
    "ドル": ("USD", 1),
    "cents": ("USD", 0.01),
    "cent": ("USD", 0.01),
    "セント": ("USD", 0.01),
    "¢": ("USD", 0.01),
    "yen": ("JPY", 1),
    "jpy": ("JPY", 1),
    "円": ("JPY", 1),
    "¥": ("JPY", 1),
    "euros": ("EUR", 1),
    "euro": ("EUR", 1),
    "eur": ("EUR", 1),
    "€": ("EUR", 1),
    "£": ("GBP", 1),
}
_UNIT = "|".join(map(re.escape, sorted(_UNITS, key=len, reverse=True)))
_QUANTITY = re.compile(
    rf"(?<![A-Za-z0-9.,_])(?P<currency>us\$|usd|jpy|[$¢¥€£])?\s*(?P<number>{_NUMBER})(?![.,]?\d)"
    rf"(?:\s*(?P<unit>{_UNIT}))?(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_DECIMAL_COMMA = re.compile(r"(?<!\d)\d+,\d{1,2}(?!\d)")

#: What stands before a number, the negations first.
_WORDS_BEFORE: tuple[tuple[Direction, str], ...] = (
    (
        "lower",
        r"\bno (?:more|higher|longer|later|greater|slower) than|\bnot (?:be )?(?:more|higher|longer) than"
        r"|\bnot (?:to )?exceed(?:ing)?|\bwithout exceeding|<=|=<|≤|≦",
    ),
    (
        "higher",
        r"\b(?:no|not) (?:less|lower|fewer) than|\bnot (?:fall|drop|go|be) (?:below|under)|>=|=>|≥|≧",
    ),
    (
        "lower",
        r"\bat (?:the )?most|\bup to|\bunder|\bbelow|\b(?:less|lower|fewer|faster|cheaper|shorter) than"
        r"|\bwithin|\bmax(?:imum)?\b[^.;,\d]{0,25}|上限[^。、\d]{0,8}|最大(?:でも)?|最高でも|多くとも|<",
    ),
    (
        "higher",
        r"\bat (?:the )?least|\babove|\bover|\b(?:more|greater|higher|better) than|\bexceed(?:s|ing)?"
        r"|\bmin(?:imum)?\b[^.;,\d]{0,25}|下限[^。、\d]{0,8}|最低(?:でも)?|少なくとも|>",
    ),
)
_BEFORE = tuple(
    (direction, re.compile(rf"(?:{words})[\s:]*(?:an?\s)?[-−]?$", re.IGNORECASE))
    for direction, words in _WORDS_BEFORE
)
#: What stands behind it.
_WORDS_AFTER: tuple[tuple[Direction, str], ...] = (
    (
        "higher",
        r"\bor (?:higher|more|above|greater|over)\b|\band (?:above|up)\b|\bminimum\b"
        r"|\bat (?:the )?(?:minimum|least)\b|以上|を?超え(?!な|ず|ませ)|より(?:高|大き|多)"
        r"|を?上回(?!ら(?:な|ず)|りませ)|を?下回(?:ら(?:な|ず)|りませ)",
    ),
    (
        "lower",
        r"\bor (?:lower|less|below|fewer|under|faster|cheaper|shorter)\b|\bmaximum\b"
        r"|\bat (?:the )?(?:maximum|most)\b|以下|未満|以内|を?下回(?!ら(?:な|ず)|りませ)"
        r"|より(?:低|小さ|少|短|速|早)|を?超え(?:な|ず|ませ)|を?上回(?:ら(?:な|ず)|りませ)",
    ),
)
_AFTER = tuple(
    (direction, re.compile(rf"[^.;,。、\d]{{0,25}}?(?:{words})", re.IGNORECASE))
    for direction, words in _WORDS_AFTER
)
_RELATIVE_BEFORE = re.compile(r"\bby\s*(?:at least|at most|up to|more than|over|about)?\s*$", re.IGNORECASE)
_RELATIVE_AFTER = re.compile(
    r"\s*(?:less|more|faster|cheaper|fewer|lower|higher|better|shorter)\b(?! than \d)"
    r"|\s*(?:以上|程度|ほど)?の?(?:削減|短縮|改善|低減|向上)",
    re.IGNORECASE,
)
#: ``4.5/5``, ``9 out of 10``: one of the two numbers says how far the scale goes.
_SCALE_BEFORE = re.compile(r"\d\s*(?:/|\bout of)\s*$", re.IGNORECASE)
_SCALE_AFTER = re.compile(r"\s*(?:/|\bout of)\s*\d", re.IGNORECASE)
_GAP_BEFORE = re.compile(r"(?<!\d)\d{1,3} $")
_GAP_AFTER = re.compile(r" \d{3}(?!\d)")
_MINUS = re.compile(r"(?:^|[\s(:])[-−]$")
_BECOMES = re.compile(
    r"(?:\b(?:to|of|be|reach|achieve|attain)|=|から|を)\s*$",
    re.IGNORECASE,
)
_IS = re.compile(r"\bis\s*$", re.IGNORECASE)
_FROM = re.compile(r"\s*から")
_PER_MANY = re.compile(
    r"(?:\bper|/)\s*(?:[\d,]{2,}|thousand|million|day|week|month|year)"
    r"|(?:日|週|月|年|[\d,]{2,}件)あたり",
    re.IGNORECASE,
)

_RELATIVE = "it is relative to what was: state the value itself"
EXAMPLE = "`- Accuracy: 90% or higher`"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quantity:
    value: float
    unit: Unit | None
    direction: Direction | None
    #: It is what the metric is to become: ``to 90%``.
    is_aim: bool


def plain(text: str) -> str:
    """`text` with full-width characters as the usual ones, on one line."""
    return " ".join(unicodedata.normalize("NFKC", text).replace("\\$", "$").split())


def find_target(text: str, *, usual: Direction | None) -> Target | str | None:
    """The target that a text states; why it can't be told; or ``None`` where there is no number.

    Args:
        text: normalised by `plain`.
        usual: the direction where the words don't say.
    """
    if _DECIMAL_COMMA.search(text):
        return "a comma in a number is read as in 1,200; write decimals with a point, as 0.95"
    read = [_read(text, match) for match in _QUANTITY.finditer(text)]
    if not read:
        return None
    directed = any(isinstance(quantity, _Quantity) and quantity.direction for quantity in read)
    unread = [quantity for quantity in read if isinstance(quantity, str)]
    if unread and not (directed and set(unread) == {_RELATIVE}):  # by 30% to $0.01 or less
        return unread[0]
    if _PER_MANY.search(text):
        return "promptune measures single samples: state the target of one"
    return _choose([quantity for quantity in read if isinstance(quantity, _Quantity)], usual)


def _choose(found: Sequence[_Quantity], usual: Direction | None) -> Target | str:
    """Those with a direction before the others, and ``to 90%`` before ``75%``."""
    directed = [quantity for quantity in found if quantity.direction]
    aims = directed or [quantity for quantity in found if quantity.is_aim] or found
    values = {(aim.value, aim.unit, aim.direction) for aim in aims}
    if len(values) > 1:
        return "it has more than one number that could be the target"
    (value, unit, direction), *_ = values
    if direction is None and usual is None:
        return "it doesn't say which way: write `or higher` or `or less`"
    return Target(value=value, unit=unit, direction=direction or usual or "higher")


def stated_at(text: str) -> tuple[int, int] | None:
    """Where the first number stands that has a direction beside it; ``None`` where none has."""
    spans = (m.span() for m in _QUANTITY.finditer(text) if _direction(text, m) in ("higher", "lower"))
    return next(spans, None)


def aimed_at(text: str) -> tuple[int, int] | None:
    """Where the first number stands that something is to become, as ``to 90%``; ``None`` where none does.

    A whole number without a unit may count anything.
    """
    for match in _QUANTITY.finditer(text):
        is_amount = _has_unit(match) or "." in match["number"]
        if is_amount and _is_aim(text[: match.start()], text[match.end() :]):
            return match.span()
    return None


def has_amount(text: str) -> bool:
    """Whether a number has a unit or a direction, as targets do; dates, versions and counts have neither."""
    return any(_has_unit(match) or _direction(text, match) for match in _QUANTITY.finditer(text))


def has_number(text: str) -> bool:
    """Whether there is anything that could be a target."""
    return bool(_QUANTITY.search(text) or _DECIMAL_COMMA.search(text))


def _read(text: str, match: re.Match[str]) -> _Quantity | str:
    before, after = text[: match.start()], text[match.end() :]
    if _RELATIVE_BEFORE.search(before) or _RELATIVE_AFTER.match(after):
        return _RELATIVE
    direction = _direction(text, match)
    if direction == "both":
        return "its words say both at least and at most"
    if direction and (_SCALE_BEFORE.search(before) or _SCALE_AFTER.match(after)):
        return "it names a scale, as 4.5/5: state the value alone, as the metric has it"
    if direction and ((match["number"].isdigit() and _GAP_AFTER.match(after)) or _is_rest(match, before)):
        return "a space stands in a number: write 1200 or 1,200"
    unit, factor = _UNITS.get((match["unit"] or match["currency"] or "").lower(), (None, 1))
    sign = -1 if _MINUS.search(before) else 1
    value = float(f"{sign * float(match['number'].replace(',', '')) * factor:.12g}")
    return _Quantity(
        value=value,
        unit=unit,
        direction=None if direction is None else "higher" if direction == "higher" else "lower",
        is_aim=_is_aim(before, after) or bool(_IS.search(before)),
    )


def _is_rest(match: re.Match[str], before: str) -> bool:
    """Whether a number is the end of one that is written with a space, as ``1 200``."""
    return len(match["number"].partition(".")[0]) == 3 and bool(_GAP_BEFORE.search(before))


def _has_unit(match: re.Match[str]) -> bool:
    return bool(match["unit"] or match["currency"])


def _is_aim(before: str, after: str) -> bool:
    """Whether a number stands where what it is to become does; 「75%から」 is what it was."""
    return bool(_BECOMES.search(before)) and not _FROM.match(after)


def _direction(text: str, match: re.Match[str]) -> str | None:
    before, after = text[: match.start()], text[match.end() :]
    said = {direction for direction, pattern in _AFTER if pattern.match(after)}
    first = next((direction for direction, pattern in _BEFORE if pattern.search(before)), None)
    said |= {first} if first else set()
    return None if not said else said.pop() if len(said) == 1 else "both"


def shown(target: Target) -> str:
    """A target for people: ``90 % or higher``, ``$0.01 or less``."""
    way = "or higher" if target.direction == "higher" else "or less"
    return f"{amount(target.value, target.unit)} {way}"


def amount(value: float, unit: Unit | None) -> str:
    """A value with its unit, all its digits."""
    if unit == "%":
        return f"{value * 100:,.10g} %"
    if unit in ("USD", "JPY", "EUR", "GBP"):
        return f"{ {'USD': '$', 'JPY': '¥', 'EUR': '€', 'GBP': '£'}[unit] }{value:,.10g}"
    return f"{value:,.10g} {unit}" if unit else f"{value:,.10g}"
