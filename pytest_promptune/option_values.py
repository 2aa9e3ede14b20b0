"""What is given for an option, as a value: each function raises `ValueError` with what is valid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_promptune.core.stages import STAGES

if TYPE_CHECKING:
    from pytest_promptune.core.prices import Price

SCOPES = ("suite", "population")
#: How the paths of reports end.
MARKDOWN = (".md", ".markdown")
HTML = (".html", ".htm")
GATES = ("regression", "non-inferiority", "off")


def read_flag(value: Any) -> bool:
    """Whether it was given."""
    return bool(value)


def read_text(value: Any) -> str:
    """A text that is not empty."""
    text = str(value).strip()
    if not text:
        raise ValueError("a non-empty text")
    return text


def read_word(value: Any) -> str:
    """A word that can be part of a file name."""
    text = read_text(value)
    if any(character in text for character in "/\\:.[]") or text != "".join(text.split()):
        raise ValueError("one word without / \\ : . [ ] (it becomes part of a file name)")
    return text


def read_texts(values: Any) -> tuple[str, ...]:
    """Those that are not empty."""
    return tuple(text for value in values if (text := str(value).strip()))


def read_functions(values: Any) -> tuple[str, ...]:
    """Where functions are, as ``my_app.llm:ask``."""
    given = read_texts(values)
    if not all(all(text.partition(":")) for text in given):
        raise ValueError("module:function, as my_app.llm:ask")
    return given


def read_positive_int(value: Any) -> int:
    """A whole number of at least 1."""
    try:
        number = int(str(value).strip())
    except ValueError:
        raise ValueError("a whole number of at least 1") from None
    if number < 1:
        raise ValueError("a whole number of at least 1")
    return number


def read_level(value: Any) -> float:
    """A two-sided error level: inside the open interval (0, 0.5)."""
    try:
        number = float(value)
    except ValueError:
        raise ValueError("a number between 0 and 0.5, as 0.05") from None
    if not 0 < number < 0.5:
        raise ValueError("a number between 0 and 0.5, as 0.05")
    return number


def read_gate(value: Any) -> str:
    """A rule of the gate."""
    text = str(value).strip()
    if text not in GATES:
        raise ValueError(" or ".join(GATES))
    return text


def read_scope(value: Any) -> str:
    """What a verdict speaks of."""
    text = str(value).strip()
    if text not in SCOPES:
        raise ValueError(" or ".join(SCOPES))
    return text


def read_stage(value: Any) -> str:
    """How much of the suite is measured."""
    text = str(value).strip()
    if text not in STAGES:
        raise ValueError(" or ".join(STAGES))
    return text


def read_rate(value: Any) -> float:
    """Calls per second."""
    expected = ValueError("a number per second, minute or hour above 0, as 5/s or 300/min")
    number, slash, unit = (part.strip() for part in str(value).partition("/"))
    try:
        rate = float(number) / _UNITS[unit if slash else "s"]
    except (ValueError, KeyError):
        raise expected from None
    if not 0 < rate < float("inf"):
        raise expected
    return rate


_UNITS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600}


def read_usd(value: Any) -> float:
    """An amount of US dollars above 0."""
    try:
        amount = float(str(value).strip().removeprefix("$"))
    except ValueError:
        amount = 0.0
    if not 0 < amount < float("inf"):
        raise ValueError("an amount of USD above 0, as 2.50")
    return amount


def read_prices(values: Any) -> Mapping[str, Price]:
    """Model → price, each model once."""
    prices: dict[str, Price] = {}
    for line in read_texts(values):
        model, price = _price(line)
        if model in prices:
            raise ValueError(f"each model once ({model} is there twice)")
        prices[model] = price
    return prices


def _price(line: str) -> tuple[str, Price]:
    expected = ValueError(
        "MODEL = INPUT / OUTPUT in USD per million tokens, as my-model = 0.15 / 0.60, or with the price of "
        f"cached input as the third number, as my-model = 0.15 / 0.60 / 0.075 ({line!r} is neither)"
    )
    model, _, numbers = (part.strip() for part in line.rpartition("="))
    try:
        usd = [float(number) for number in numbers.split("/")]
    except ValueError:
        raise expected from None
    if not model or len(usd) not in (2, 3) or not all(0 <= number < float("inf") for number in usd):
        raise expected
    from pytest_promptune.core.prices import Price  # few give any, and every session reads its options

    return model, Price(input=usd[0], output=usd[1], cache_read=usd[2] if len(usd) == 3 else None)


def read_goal_metrics(values: Any) -> Mapping[str, str]:
    """Goal → metric, each goal once."""
    metrics: dict[str, str] = {}
    for line in read_texts(values):
        goal, _, metric = (part.strip() for part in line.partition("="))
        if not goal or not metric:
            raise ValueError(f"GOAL = METRIC, as Accuracy = test_intent ({line!r} isn't)")
        if goal in metrics:
            raise ValueError(f"each goal once ({goal} is there twice)")
        metrics[goal] = metric
    return metrics


def read_reports(values: Any) -> tuple[str, ...]:
    """Paths of Markdown and HTML files."""
    paths = read_texts(values)
    for path in paths:
        if not path.lower().endswith((*MARKDOWN, *HTML)):
            raise ValueError(f"a path that ends in .md or .html ({path!r} doesn't), or nothing for no report")
    return paths
