"""Calibrations and plans as lines for a terminal; nothing here prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from pytest_promptune.core.display import amount_of, clean, count, listed, number
from pytest_promptune.core.lines import BAD, BOLD, DIM, INDENT, WARN, Line, paragraph, styled, table
from pytest_promptune.core.stats.calibration import FEWEST_RUNS
from pytest_promptune.core.stats.model import Verdict
from pytest_promptune.core.view import MetricName
from pytest_promptune.core.wording import VERDICTS
from pytest_promptune.sizing.calibrating import DROPS, Behaviour, Calibration
from pytest_promptune.sizing.planning import Need, RunsPlan

UNKNOWN = "–"


def calibration_lines(found: Calibration, *, width: int) -> list[Line]:
    """What the terminal shows of a calibration, in lines of at most `width` columns."""
    width = max(width, 20)
    return [
        *paragraph("Calibration on stored runs", width, BOLD),
        *paragraph(found.source, width, DIM, INDENT),
        Line(),
        *_alarms(found, width),
        Line(),
        *_verdicts(found, width),
        Line(),
        *_power(found, width),
    ]


def _alarms(found: Calibration, width: int) -> list[Line]:
    alarms = found.alarms
    low, high = (f"{share * 100:.1f}" for share in alarms.ci)
    halves = [each.half for each in found.metrics if each.half is not None]
    few, many = min(few for few, _ in halves), max(many for _, many in halves)
    size = f"{few} runs against {few}" if few == many else f"{few} to {many} runs a side"
    title = f"False alarms: {alarms.splits} random halves of the same runs ({size}), where nothing changed"
    observed = (
        f"{alarms.failed} of {alarms.splits} failed the gate: {_percent(alarms.failed / alarms.splits)} "
        f"(95 % interval {low} to {high} %, Clopper–Pearson)."
    )
    lines = [
        *paragraph(title, width, BOLD),
        *paragraph(observed, width, BAD if alarms.is_broken else None, INDENT),
        *paragraph(f"Promised: at most {_percent(alarms.promised)}.", width, None, INDENT),
    ]
    if alarms.is_broken:
        text = (
            "The promise is broken on these runs: even the lower end is above it. Please report it, with the "
            "baseline if you can share it."
        )
        lines += paragraph(text, width, BAD, INDENT)
    if rules := found.questions.other_rules:
        fails = "nothing fails then" if rules[0].endswith("off") else "sessions fail more often then"
        text = f"Regressions alone are judged here. The ini file sets {', '.join(rules)}: {fails}."
        lines += paragraph(text, width, WARN, INDENT)
    note = (
        "All splits are of the same stored runs and no recordings of their own: the interval is about these "
        "runs, and halves of one session can't show that a model or a service drifts between sessions."
    )
    return lines + paragraph(note, width, DIM, INDENT)


def _verdicts(found: Calibration, width: int) -> list[Line]:
    verdicts: tuple[Verdict, ...] = get_args(Verdict)
    header = ["", *(VERDICTS[verdict] for verdict in verdicts)]
    rows = []
    for each in found.metrics:
        shares = [
            _percent(each.verdicts.get(verdict, 0) / found.alarms.splits, 0) if each.verdicts else UNKNOWN
            for verdict in verdicts
        ]
        rows.append([_named(each.name, [other.name for other in found.metrics]), *shares])
    made = table(header, rows, width, range(1, len(header)))
    lines = [*paragraph("Verdicts on these halves", width, BOLD), *styled(made)]
    for each in found.metrics:
        if each.left_out:
            named = listed(each.left_out, width)
            text = f"{each.name.metric}: without {named}, which ran fewer than {FEWEST_RUNS} times"
            lines += paragraph(text, width, WARN, INDENT)
    return lines


def _power(found: Calibration, width: int) -> list[Line]:
    scope = found.questions.scope
    title = "Power at the present size: how often the gate fails when a metric got worse by"
    header = ["", "cases × runs", *(f"{drop * 100:.0f} pts" for drop in DROPS), "smallest"]
    names = [each.name for each in found.metrics]
    rows = [[_named(each.name, names), *_power_cells(each)] for each in found.metrics]
    made = table(header, rows, width, range(1, len(header)))
    note = (
        f"Simulated {found.simulations} times each, with as many runs on both sides as are stored: every "
        "case's rate as its runs tell it, all moved on the logit scale until the mean is worse by so much."
    )
    lines = [*paragraph(title, width, BOLD), *styled(made)]
    lines += paragraph(note, width, DIM, INDENT)
    if scope == "suite":
        lines += paragraph("smallest: the change that fails four times of five.", width, DIM, INDENT)
    else:
        text = "smallest: unknown for inputs like these; plan-runs tells how many cases a change needs."
        lines += paragraph(text, width, DIM, INDENT)
    return lines


def _power_cells(each: Behaviour) -> list[str]:
    few, many = each.runs
    power = [each.power.get(drop) for drop in DROPS]
    return [
        f"{each.cases} × {few if few == many else f'{few}–{many}'}",
        *(UNKNOWN if share is None else _percent(share, 0) for share in power),
        UNKNOWN if each.minimum is None else amount_of(each.name, each.mean, each.minimum),
    ]


# -- plan-runs -------------------------------------------------------------------------------------------


def plan_lines(plan: RunsPlan, *, width: int) -> list[Line]:
    """What the terminal shows of a plan, in lines of at most `width` columns."""
    width = max(width, 20)
    names = [need.name for need in plan.needs]
    noise = table(
        ["", "cases × runs", "within", "between", "ICC", "smallest"],
        [[_named(need.name, names), *_noise_cells(need)] for need in plan.needs],
        width,
        range(1, 6),
    )
    needed = table(
        ["", "wanted", "runs", "runs here", "cases"],
        [[_named(need.name, names), *_need_cells(need)] for need in plan.needs],
        width,
        range(1, 5),
    )
    level = (
        f"{count(plan.family, 'gated comparison')} at an error level of {plan.goals.alpha:g} in all; a "
        f"change is to be found in {_percent(plan.goals.power, 0)} of sessions."
    )
    variances = (
        "within and between: variance of the runs of a case, and of the cases; ICC: the share of the cases. "
        "smallest: the change that is found now."
    )
    legend = (
        "runs: per case, on both sides; runs here: of the candidate, against the stored runs; cases: for a "
        "verdict on inputs like these (--promptune-scope=population)."
    )
    lines = [
        *paragraph("Runs and cases needed", width, BOLD),
        *paragraph(plan.source, width, DIM, INDENT),
        *paragraph(level, width, DIM, INDENT),
        Line(),
        *paragraph("Noise that was measured", width, BOLD),
        *styled(noise),
        *paragraph(variances, width, DIM, INDENT),
        Line(),
        *paragraph("Needed for the wanted change", width, BOLD),
        *styled(needed),
        *paragraph(legend, width, DIM, INDENT),
        Line(),
    ]
    for need in plan.needs:
        lines += paragraph(f"{_named(need.name, names)}: {sentence(need)}", width)
    if any(need.size and need.size.cases_like_these and need.size.is_bound for need in plan.needs):
        note = (
            "≥: if all cases change alike; the less they do, the more cases it takes. To know it, compare a "
            "variant once (pytest --promptune-compare), then give --experiment=last."
        )
        lines += paragraph(note, width, DIM)
    return lines


def _noise_cells(need: Need) -> list[str]:
    size = need.size
    if size is None:
        return [UNKNOWN] * 5
    return [
        f"{size.cases} × {round(size.runs, 1):g}",
        number(size.components.within, digits=2),
        number(size.components.between, digits=2),
        number(size.components.icc, digits=2),
        amount_of(need.name, size.mean, size.minimum),
    ]


def _need_cells(need: Need) -> list[str]:
    size = need.size
    if size is None:
        return [UNKNOWN] * 4
    bound = "≥ " if size.is_bound else ""
    return [
        amount_of(need.name, size.mean, size.difference),
        _whole(size.runs_both),
        "impossible" if size.is_impossible else _whole(size.runs_candidate),
        UNKNOWN if size.cases_like_these is None else f"{bound}{size.cases_like_these:,}",
    ]


def sentence(need: Need) -> str:
    """What one metric needs, plainly."""
    size = need.size
    if size is None:
        return "has no value in these runs."
    if not size.difference:
        return (
            "its mean is 0, and a share of nothing is no change. Give one in its own unit: "
            f"--difference={need.name.metric}=VALUE."
        )
    if size.runs_both is None:
        return (
            "each case ran once, so that nothing is known of the noise between runs. Measure with more: "
            "--promptune-runs=5."
        )
    wanted = amount_of(need.name, size.mean, size.difference)
    runs = round(size.runs)
    if size.is_enough:
        smallest = amount_of(need.name, size.mean, size.minimum)
        text = f"{count(runs, 'run')} are enough for a change of {wanted}; the smallest found is {smallest}."
    elif size.is_impossible:
        text = (
            f"no number of runs finds a change of {wanted} against the stored ones (impossible: baseline too "
            f"noisy). Record it again with {size.runs_both:,} runs and measure as many."
        )
    else:
        text = (
            f"a change of {wanted} needs {size.runs_both:,} runs of each case on both sides (now {runs}), or "
            f"{_whole(size.runs_candidate)} in a check against the stored ones."
        )
    return f"{text} {_cases_needed(need)}"


def _cases_needed(need: Need) -> str:
    size = need.size
    if size is None or size.cases_like_these is None:
        return ""
    least = "at least " if size.is_bound else ""
    return f"For inputs like these it takes {least}{count(size.cases_like_these, 'case')}."


# -- pieces ----------------------------------------------------------------------------------------------


def _named(name: MetricName, names: Sequence[MetricName]) -> str:
    """The metric, with its module where several have one of that name."""
    twice = sum(other.metric == name.metric for other in names) > 1
    return clean(f"{name.module}::{name.metric}" if twice else name.metric)


def _percent(share: float, digits: int = 1) -> str:
    text = f"{share * 100:.{digits}f}"
    return f"{text.removesuffix('.0')} %"


def _whole(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value:,}"
