"""Every option once: default, help and parser; flags and ini keys are derived from the fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pytest_promptune.core.errors import SettingsError
from pytest_promptune.core.margins import read_sizes
from pytest_promptune.core.runs import Runs, parse_runs
from pytest_promptune.core.stages import SIZES, Stage
from pytest_promptune.option_specs import OptionSpec, option
from pytest_promptune.option_values import (
    read_flag,
    read_functions,
    read_gate,
    read_goal_metrics,
    read_level,
    read_positive_int,
    read_prices,
    read_rate,
    read_reports,
    read_scope,
    read_stage,
    read_text,
    read_texts,
    read_usd,
    read_word,
)

if TYPE_CHECKING:
    from pytest_promptune.core.prices import Price

Gate = Literal["regression", "non-inferiority", "off"]
Scope = Literal["suite", "population"]

DEFAULT_RUNS = 5
DEFAULT_CONCURRENCY = 16
DEFAULT_REPORT = "promptune-report.md"
DEFAULT_VARIANTS = "prompts/variants"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the user asked for; read once, at the start of the session."""

    baseline: bool = option(
        False,
        "measure `current` and record it as the baseline; nothing is gated",
        read_flag,
        kind="flag",
        in_ini=False,
    )
    compare: bool = option(
        False,
        "measure `current` and the variants interleaved, and compare each with `current`",
        read_flag,
        kind="flag",
        in_ini=False,
    )
    variant: tuple[str, ...] = option(
        (),
        "with --promptune-compare: only this variant beside `current`; else: measure it in place of "
        "`current` (repeatable)",
        read_texts,
        kind="list",
        metavar="NAME",
    )
    against: str = option(
        "main", "which baseline to record or to compare with (default: main)", read_word, metavar="NAME"
    )
    runs: Runs | None = option(
        None,
        f"runs per case; on the command line it overrides the marker (default: {DEFAULT_RUNS}). MIN..MAX, as "
        "3..10, stops early once the verdict is clear",
        parse_runs,
        metavar="N",
    )
    baseline_runs: int | None = option(
        None,
        "runs per case with --promptune-baseline, instead of the marker's; --promptune-runs overrides it "
        "(recommended: 10, against 5 of a check)",
        read_positive_int,
        metavar="N",
    )
    stage: Stage = option(
        "full",
        "how much is measured: `quick`, 3 cases of each test, once each; `medium`, 10 cases, 3 runs; `full`, "
        "everything (default). Cases are drawn evenly over their categories, the same ones each time",
        read_stage,
        metavar="STAGE",
    )
    gate: Gate = option(
        "regression",
        "`regression`: a significant regression fails (default); `non-inferiority`: whatever "
        "is not shown to be within the margin fails; `off`",
        read_gate,
        metavar="RULE",
    )
    margin: Mapping[str, float] = option(
        {},
        "how much worse a metric may acceptably get (repeatable; default: 0.10 for 0/1 metrics "
        "and scores within [0,1], 10%% of the reference for others, 20%% for latency)",
        read_sizes,
        kind="list",
        metavar="METRIC=VALUE",
    )
    tolerance: Mapping[str, float] = option(
        {},
        "how much worse a metric may measurably get without being called regressed (repeatable; default: "
        "10%% for latency, as machines differ from day to day, else 0)",
        read_sizes,
        kind="list",
        metavar="METRIC=VALUE",
    )
    strict: bool = option(False, "an inconclusive gated metric fails too", read_flag, kind="flag")
    gate_cases: bool = option(
        False,
        "a gated metric fails too when single cases of it got worse by themselves (one in ten of the cases "
        "named may be by chance)",
        read_flag,
        kind="flag",
    )
    alpha: float = option(
        0.05,
        "two-sided error level: 95%% intervals, and an unchanged app fails the gate with at most half "
        "of it (default: 0.05)",
        read_level,
        metavar="LEVEL",
    )
    scope: Scope = option(
        "suite",
        "`suite`: would these cases regress (default); `population`: inputs like them",
        read_scope,
        metavar="SCOPE",
    )
    require_baseline: bool = option(
        False, "a gated metric or case without a baseline fails (for CI)", read_flag, kind="flag"
    )
    concurrency: int = option(
        DEFAULT_CONCURRENCY,
        f"samples in flight (default: {DEFAULT_CONCURRENCY})",
        read_positive_int,
        metavar="N",
    )
    rate: float | None = option(
        None, "begin at most this many calls, as 5/s or 300/min (retries count)", read_rate, metavar="N/s"
    )
    max_cost: float | None = option(
        None,
        "begin no further sample once this much is spent; what was measured is kept and reported",
        read_usd,
        metavar="USD",
    )
    resume: bool = option(
        False,
        "take the finished samples of the newest interrupted experiment with the same conditions, and "
        "measure the rest",
        read_flag,
        kind="flag",
        in_ini=False,
    )
    replay: str | None = option(
        None,
        "score the stored outputs of an experiment again (`last` for the newest); the app is not called",
        read_text,
        in_ini=False,
        metavar="EXPERIMENT",
    )
    note: str | None = option(
        None,
        "what was changed or learned, stored with the experiment and told in history and final report",
        read_text,
        in_ini=False,
        metavar="TEXT",
    )
    plan: bool = option(
        False,
        "show what would be measured, what it would take and what would fail; nothing runs (exit code 1 if "
        "something would fail)",
        read_flag,
        kind="flag",
        in_ini=False,
    )
    goals: str | None = option(
        None,
        "goals file, Markdown in English or Japanese (default: fine-tune.md at the root, or in "
        ".langgraph-architect/ or .langgraph-master/; an empty value reads none)",
        lambda value: str(value).strip(),
        metavar="PATH",
    )
    goal_metrics: Mapping[str, str] = option(
        {},
        "which metric a goal of the goals file means, where its name doesn't say, as Accuracy = test_intent "
        "(one line each)",
        read_goal_metrics,
        kind="list",
        on_command_line=False,
    )
    store: str | None = option(
        None,
        "experiment log: sqlite:///PATH or postgresql+psycopg://… (default: SQLite under .promptune/; an "
        "empty value stores nothing)",
        lambda value: str(value).strip(),
        metavar="URL",
    )
    redact: tuple[str, ...] = option(
        (),
        "regular expressions of secrets that must not be stored or shown, beside those that are known",
        read_texts,
        kind="list",
        on_command_line=False,
    )
    report: tuple[str, ...] = option(
        (DEFAULT_REPORT,),
        "report, Markdown or, where the path ends in .html, one HTML file (repeatable; default: "
        f"{DEFAULT_REPORT}; an empty value writes none)",
        read_reports,
        kind="list",
        metavar="PATH",
    )
    json: str | None = option(None, "machine-readable results", read_text, metavar="PATH")
    variants: str = option(
        DEFAULT_VARIANTS,
        f"folder of the variants (default: {DEFAULT_VARIANTS})",
        read_text,
        on_command_line=False,
    )
    jinja_env: str | None = option(
        None,
        "the jinja2.Environment of the app's prompts, as my_app.prompts:env",
        read_text,
        on_command_line=False,
    )
    graph: str | None = option(
        None,
        "the app's compiled graph, for pytest-promptune nodes, as my_app.graph:graph",
        read_text,
        on_command_line=False,
    )
    llm_calls: tuple[str, ...] = option(
        (),
        "functions that call a model in a way of their own, for pytest-promptune nodes, as my_app.llm:ask",
        read_functions,
        kind="list",
        on_command_line=False,
    )
    gate_metrics: tuple[str, ...] = option(
        (),
        "metrics to gate beside the default ones, as latency_s",
        read_texts,
        kind="list",
        on_command_line=False,
    )
    prices: Mapping[str, Price] = option(
        {},
        "USD per million input / output tokens of models whose price is not published, or another one, as "
        "my-model = 0.15 / 0.60 (one line each)",
        read_prices,
        kind="list",
        on_command_line=False,
    )
    one_change: bool = option(
        False,
        "refuse variants that change more than one prompt or set of parameters",
        read_flag,
        kind="flag",
        on_command_line=False,
    )
    templates: str | None = option(
        None, "folder with report templates that replace the built-in ones", read_text, on_command_line=False
    )
    #: Whether `runs` was given on the command line, where it overrides the marker.
    runs_override: bool = False
    #: Whether these were given on the command line, where an unknown metric is refused.
    margin_override: bool = False
    tolerance_override: bool = False

    @property
    def mode(self) -> Literal["baseline", "compare", "check"]:
        """What the session is for."""
        if self.baseline:
            return "baseline"
        return "compare" if self.compare else "check"

    def runs_of(self, marked: Runs | None) -> Runs:
        """Runs per case of a test whose marker says `marked`."""
        if self.runs_override and self.runs is not None:
            return self.runs
        if self.mode == "baseline" and self.baseline_runs is not None:
            return self.baseline_runs
        if self.stage in SIZES:
            return SIZES[self.stage].runs
        return marked or self.runs or DEFAULT_RUNS

    @property
    def named_metrics(self) -> list[tuple[str, str, bool]]:
        """Where metrics are given a margin or tolerance, their names, and whether that was typed."""
        given = [
            ("margin", self.margin, self.margin_override),
            ("tolerance", self.tolerance, self.tolerance_override),
        ]
        return [
            (OPTIONS[option].flag if is_typed else OPTIONS[option].ini, metric, is_typed)
            for option, sizes, is_typed in given
            for metric in sizes
        ]


SPECS: tuple[OptionSpec, ...] = tuple(
    OptionSpec(name=f.name, **f.metadata) for f in dataclasses.fields(Settings) if f.metadata
)
#: By name.
OPTIONS: Mapping[str, OptionSpec] = {spec.name: spec for spec in SPECS}
#: Options of which it matters whether they were typed: `Settings` has a field NAME_override for each.
_TOLD_APART = tuple(name for name in OPTIONS if f"{name}_override" in Settings.__dataclass_fields__)


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
            values[spec.name] = parsed(spec, spec.flag, typed)
            if spec.name in _TOLD_APART:
                values[spec.name + "_override"] = True
        elif spec.in_ini and (written := ini(spec.ini)) is not None:
            values[spec.name] = parsed(spec, spec.ini, written)
    settings = Settings(**values)
    _check_together(settings)
    return settings


def parsed(spec: OptionSpec, where: str, value: Any) -> Any:
    """What was given for an option, as its field has it.

    Raises:
        SettingsError: naming `where` it was given, what was given, and what would be valid.
    """
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
    if settings.baseline and settings.stage in SIZES:
        raise SettingsError(
            f"--promptune-baseline and --promptune-stage={settings.stage} contradict each other: a baseline "
            "holds all runs of its cases, and fewer would take their place. Add --promptune-stage=full, with "
            "-k for a part of the cases."
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
