"""Every option once: default, help and parser; flags and ini keys are derived from the fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pytest_promptune.core.errors import SettingsError
from pytest_promptune.core.margins import Percent
from pytest_promptune.core.prices import Price
from pytest_promptune.core.runs import Runs, parse_runs

Gate = Literal["regression", "non-inferiority", "off"]
Scope = Literal["suite", "population"]
SCOPES = ("suite", "population")
GATES = ("regression", "non-inferiority", "off")

DEFAULT_RUNS = 5
DEFAULT_CONCURRENCY = 16
DEFAULT_REPORT = "promptune-report.md"
DEFAULT_VARIANTS = "prompts/variants"


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionSpec:
    """How one field of `Settings` is given on the command line and in the ini file."""

    name: str
    help: str
    #: Turns what was given into the field's value; raises `ValueError` with what would be valid.
    parse: Callable[[Any], Any]
    #: ``flag`` takes no value, ``text`` one, ``list`` one each time it is given.
    kind: Literal["flag", "text", "list"] = "text"
    metavar: str | None = None
    on_command_line: bool = True
    in_ini: bool = True

    @property
    def flag(self) -> str:
        """The option as it is typed, ``--promptune-against``."""
        return "--promptune-" + self.name.replace("_", "-")

    @property
    def ini(self) -> str:
        """The key in the ini file, ``promptune_against``."""
        return "promptune_" + self.name


def _flag(value: Any) -> bool:
    return bool(value)


def _text(value: Any) -> str:
    text = str(value).strip()
    if not text:
        raise ValueError("a non-empty text")
    return text


def _word(value: Any) -> str:
    text = _text(value)
    if any(character in text for character in "/\\:.[]") or text != "".join(text.split()):
        raise ValueError("one word without / \\ : . [ ] (it becomes part of a file name)")
    return text


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(text for value in values if (text := str(value).strip()))


def _positive_int(value: Any) -> int:
    try:
        number = int(str(value).strip())
    except ValueError:
        raise ValueError("a whole number of at least 1") from None
    if number < 1:
        raise ValueError("a whole number of at least 1")
    return number


def _alpha(value: Any) -> float:
    try:
        number = float(value)
    except ValueError:
        raise ValueError("a number between 0 and 0.5, as 0.05") from None
    if not 0 < number <= 0.5:
        raise ValueError("a number between 0 and 0.5, as 0.05")
    return number


def _gate(value: Any) -> str:
    text = str(value).strip()
    if text not in GATES:
        raise ValueError(" or ".join(GATES))
    return text


def _scope(value: Any) -> str:
    text = str(value).strip()
    if text not in SCOPES:
        raise ValueError(" or ".join(SCOPES))
    return text


def _rate(value: Any) -> float:
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


def _usd(value: Any) -> float:
    try:
        amount = float(str(value).strip().removeprefix("$"))
    except ValueError:
        amount = 0.0
    if not 0 < amount < float("inf"):
        raise ValueError("an amount of USD above 0, as 2.50")
    return amount


def _margins(values: Any) -> Mapping[str, float]:
    return dict(_margin(str(value)) for value in values)


def _margin(text: str) -> tuple[str, float]:
    expected = "METRIC=VALUE with a VALUE of at least 0, as test_intent=0.05 or bot::latency_s=20%"
    metric, equals, number = text.rpartition("=")
    number = number.strip()
    try:
        value = Percent(float(number[:-1]) / 100) if number.endswith("%") else float(number)
    except ValueError:
        raise ValueError(expected) from None
    if not equals or not metric.strip() or not 0 <= value < float("inf"):
        raise ValueError(expected)
    return metric.strip(), value


def _prices(values: Any) -> Mapping[str, Price]:
    prices: dict[str, Price] = {}
    for line in _texts(values):
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
    return model, Price(input=usd[0], output=usd[1], cache_read=usd[2] if len(usd) == 3 else None)


def _reports(values: Any) -> tuple[str, ...]:
    paths = _texts(values)
    for path in paths:
        if not path.lower().endswith((".md", ".markdown")):
            raise ValueError(f"a path that ends in .md ({path!r} doesn't), or nothing for no report")
    return paths


def _option(default: Any, help: str, parse: Callable[[Any], Any], **spec: Any) -> Any:
    metadata = {"help": help, "parse": parse, **spec}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the user asked for; read once, at the start of the session."""

    baseline: bool = _option(
        False,
        "measure `current` and record it as the baseline; nothing is gated",
        _flag,
        kind="flag",
        in_ini=False,
    )
    compare: bool = _option(
        False,
        "measure `current` and the variants interleaved, and compare each with `current`",
        _flag,
        kind="flag",
        in_ini=False,
    )
    variant: tuple[str, ...] = _option(
        (),
        "with --promptune-compare: only this variant beside `current`; else: measure it in place of "
        "`current` (repeatable)",
        _texts,
        kind="list",
        metavar="NAME",
    )
    against: str = _option(
        "main", "which baseline to record or to compare with (default: main)", _word, metavar="NAME"
    )
    runs: Runs | None = _option(
        None,
        f"runs per case; on the command line it overrides the marker (default: {DEFAULT_RUNS}). MIN..MAX, as "
        "3..10, stops early once the verdict is clear",
        parse_runs,
        metavar="N",
    )
    gate: Gate = _option(
        "regression",
        "`regression`: a significant regression fails (default); `non-inferiority`: whatever "
        "is not shown to be within the margin fails; `off`",
        _gate,
        metavar="RULE",
    )
    margin: Mapping[str, float] = _option(
        {},
        "how much worse a metric may acceptably get (repeatable; default: 0.10 for 0/1 metrics "
        "and scores within [0,1], 10%% of the reference for others, 20%% for latency)",
        _margins,
        kind="list",
        metavar="METRIC=VALUE",
    )
    alpha: float = _option(
        0.05,
        "two-sided error level: 95%% intervals, and an unchanged app fails the gate with at most half "
        "of it (default: 0.05)",
        _alpha,
        metavar="LEVEL",
    )
    scope: Scope = _option(
        "suite",
        "`suite`: would these cases regress (default); `population`: inputs like them",
        _scope,
        metavar="SCOPE",
    )
    require_baseline: bool = _option(
        False, "a gated metric or case without a baseline fails (for CI)", _flag, kind="flag"
    )
    concurrency: int = _option(
        DEFAULT_CONCURRENCY, f"samples in flight (default: {DEFAULT_CONCURRENCY})", _positive_int, metavar="N"
    )
    rate: float | None = _option(
        None, "begin at most this many calls, as 5/s or 300/min (retries count)", _rate, metavar="N/s"
    )
    max_cost: float | None = _option(
        None,
        "begin no further sample once this much is spent; what was measured is kept and reported",
        _usd,
        metavar="USD",
    )
    resume: bool = _option(
        False,
        "take the finished samples of the newest interrupted experiment with the same conditions, and "
        "measure the rest",
        _flag,
        kind="flag",
        in_ini=False,
    )
    replay: str | None = _option(
        None,
        "score the stored outputs of an experiment again (`last` for the newest); the app is not called",
        _text,
        in_ini=False,
        metavar="EXPERIMENT",
    )
    plan: bool = _option(
        False,
        "show what would be measured, what it would take and what would fail; nothing runs (exit code 1 if "
        "something would fail)",
        _flag,
        kind="flag",
        in_ini=False,
    )
    store: str | None = _option(
        None,
        "experiment log: sqlite:///PATH or postgresql+psycopg://… (default: SQLite under .promptune/; an "
        "empty value stores nothing)",
        lambda value: str(value).strip(),
        metavar="URL",
    )
    redact: tuple[str, ...] = _option(
        (),
        "regular expressions of secrets that must not be stored, beside those that are known",
        _texts,
        kind="list",
        on_command_line=False,
    )
    report: tuple[str, ...] = _option(
        (DEFAULT_REPORT,),
        f"Markdown report (repeatable; default: {DEFAULT_REPORT}; an empty value writes none)",
        _reports,
        kind="list",
        metavar="PATH",
    )
    json: str | None = _option(None, "machine-readable results", _text, metavar="PATH")
    variants: str = _option(
        DEFAULT_VARIANTS,
        f"folder of the variants (default: {DEFAULT_VARIANTS})",
        _text,
        on_command_line=False,
    )
    jinja_env: str | None = _option(
        None,
        "the jinja2.Environment of the app's prompts, as my_app.prompts:env",
        _text,
        on_command_line=False,
    )
    gate_metrics: tuple[str, ...] = _option(
        (),
        "metrics to gate beside the default ones, as latency_s",
        _texts,
        kind="list",
        on_command_line=False,
    )
    prices: Mapping[str, Price] = _option(
        {},
        "USD per million input / output tokens of models whose price is not published, or another one, as "
        "my-model = 0.15 / 0.60 (one line each)",
        _prices,
        kind="list",
        on_command_line=False,
    )
    one_change: bool = _option(
        False,
        "refuse variants that change more than one prompt or set of parameters",
        _flag,
        kind="flag",
        on_command_line=False,
    )
    templates: str | None = _option(
        None, "folder with report templates that replace the built-in ones", _text, on_command_line=False
    )
    #: Whether `runs` was given on the command line, where it overrides the marker.
    runs_override: bool = False
    #: Whether `margin` was given on the command line, where an unknown metric is refused.
    margin_override: bool = False

    @property
    def mode(self) -> Literal["baseline", "compare", "check"]:
        """What the session is for."""
        if self.baseline:
            return "baseline"
        return "compare" if self.compare else "check"


SPECS: tuple[OptionSpec, ...] = tuple(
    OptionSpec(name=f.name, **f.metadata) for f in dataclasses.fields(Settings) if f.metadata
)


def read(command_line: Callable[[str], Any], ini: Callable[[str], Any]) -> Settings:
    """Build the settings; the command line wins over the ini file.

    Args:
        command_line: gives what was typed for a field's name, ``None`` or an empty list if nothing.
        ini: gives what the ini file says for a key, ``None`` if nothing.

    Raises:
        SettingsError: naming the option or key, what was given, and what would be valid.
    """
    values: dict[str, Any] = {}
    for spec in SPECS:
        typed = command_line(spec.name) if spec.on_command_line else None
        if typed is not None and typed is not False and typed != []:
            values[spec.name] = _parsed(spec, spec.flag, typed)
            if spec.name in ("runs", "margin"):
                values[spec.name + "_override"] = True
        elif spec.in_ini and (written := ini(spec.ini)) is not None:
            values[spec.name] = _parsed(spec, spec.ini, written)
    settings = Settings(**values)
    _check_together(settings)
    return settings


def _parsed(spec: OptionSpec, where: str, value: Any) -> Any:
    try:
        return spec.parse(value)
    except ValueError as error:
        shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        raise SettingsError(f"{where}: {shown!r} is not valid; expected {error}.") from None


def _check_together(settings: Settings) -> None:
    if settings.baseline and settings.compare:
        raise SettingsError(
            "--promptune-baseline and --promptune-compare contradict each other: record the baseline first, "
            "then compare in a second session."
        )
    if settings.resume and settings.replay is not None:
        raise SettingsError(
            "--promptune-resume and --promptune-replay contradict each other: the first measures what is "
            "missing, the second measures nothing."
        )
    if not settings.compare and len(settings.variant) > 1:
        raise SettingsError(
            f"--promptune-variant: {', '.join(settings.variant)} can be measured together only with "
            "--promptune-compare; without it, name one variant."
        )
