"""A plan as lines for a terminal; nothing here prints."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from pytest_promptune.core.display import clean, count, number, wrap
from pytest_promptune.core.estimates import summed
from pytest_promptune.core.lines import (
    BAD,
    BOLD,
    DIM,
    INDENT,
    WARN,
    Line,
    bullets,
    line,
    paragraph,
    rule,
    table_lines,
)
from pytest_promptune.core.planning import Check, Estimate, MatrixRow, Place, Plan, Range, Sensitivity

UNKNOWN = "unknown"
_STATUS_WIDTH = 9
_COLOURS: Mapping[str, Mapping[str, bool]] = {"ok": {}, "warning": WARN, "failed": BAD}
#: Upper ends up to which durations are told in a unit, and how many seconds it has.
_UNITS = ((1.0, "ms", 0.001), (90.0, "s", 1.0), (5400.0, "min", 60.0), (math.inf, "h", 3600.0))


def plan_lines(plan: Plan, *, verbosity: int, width: int) -> list[Line]:
    """What the terminal shows of a plan, in lines of at most `width` columns.

    Quiet (negative verbosity) is the totals and what is not in order; a positive one adds the cases.
    """
    width = max(width, 20)
    wrong = [check for check in plan.checks if check.status != "ok"]
    if verbosity < 0:
        return [*paragraph(f"promptune plan: {_sum(plan)}", width), *_checks(wrong, width)]
    lines = [rule("promptune: plan", width), *paragraph(_intention(plan), width, DIM)]
    lines += _matrix(plan, verbosity, width)
    lines += _estimates(plan, width)
    lines += _sensitivities(plan.sensitivities, width)
    lines += _variants(plan, width)
    lines += bullets(plan.notes, width, "Notes")
    lines += [Line(), line("Checklist", BOLD), *_checks(plan.checks, width)]
    return [*lines, Line(), *_verdict(plan, width)]


def _intention(plan: Plan) -> str:
    what = {
        "baseline": f"record the baseline {plan.against}",
        "compare": f"compare the variants with current, and current with the baseline {plan.against}",
        "check": f"compare with the baseline {plan.against}, and gate",
    }[plan.mode]
    return f"Without --promptune-plan this session would {what}. Nothing was run."


def _verdict(plan: Plan, width: int) -> list[Line]:
    failed = sum(check.status == "failed" for check in plan.checks)
    warned = sum(check.status == "warning" for check in plan.checks)
    if failed:
        return paragraph(
            f"Not ready: {count(failed, 'check')} failed, {count(warned, 'warning')}.", width, BAD
        )
    more = f", with {count(warned, 'warning')}" if warned else ""
    return paragraph(f"Ready{more}.", width, BOLD)


# -- matrix ----------------------------------------------------------------------------------------------


def _sum(plan: Plan) -> str:
    rows = plan.matrix
    nouns = {"samples": "sample", "tests": "test", "scorer_calls": "scorer call"}
    text = ", ".join(_most(_total(rows, name), noun) for name, noun in nouns.items())
    reused = sum(row.reused for row in rows)
    return text + (f", {count(reused, 'sample')} taken from the store" if reused else "")


def _matrix(plan: Plan, verbosity: int, width: int) -> list[Line]:
    header = ["", "cases", "variants", "runs", "samples", "tests", "scorer calls"]
    rows = [_counts(row) for row in plan.matrix]
    if len(rows) > 1:
        totals = (_total(plan.matrix, name) for name in ("samples", "tests", "scorer_calls"))
        rows.append(["all", "", "", "", *map(_span, totals)])
    named = _names(plan)
    lines = [Line(), line("Matrix", BOLD), *table_lines(header, rows, width)]
    for row in plan.matrix:
        if verbosity > 0 and row.cases:
            lines += paragraph(f"cases of {named[row.place]}: {', '.join(row.cases)}", width, DIM, INDENT)
        if row.has_unknown_cases:
            text = (
                f"{named[row.place]}: some cases are known only to fixtures, each test is taken to have one"
            )
            lines += paragraph(text, width, DIM, INDENT)
        if row.reused:
            text = f"{named[row.place]}: {count(row.reused, 'sample')} taken from the store"
            lines += paragraph(text, width, DIM, INDENT)
    if plan.set_aside:
        text = f"{count(plan.set_aside, 'test')} not counted: skipped by marks or by the app's fixture"
        lines += paragraph(text, width, DIM, INDENT)
    return lines


def _counts(row: MatrixRow) -> list[str]:
    low, high = (row.at_least or row).runs[0], row.runs[1]
    return [
        _name(row.place),
        "?" if row.has_unknown_cases and not row.cases else f"{len(row.cases):,}",
        f"{len(row.variants):,}",
        str(low) if low == high else f"{low}–{high}",
        *(_span(_total([row], name)) for name in ("samples", "tests", "scorer_calls")),
    ]


def _total(rows: Sequence[MatrixRow], name: str) -> tuple[int, int]:
    """Of a count: up to the first look, and at most."""
    least = sum(getattr(row.at_least or row, name) for row in rows)
    return least, sum(getattr(row, name) for row in rows)


def _span(total: tuple[int, int]) -> str:
    low, high = total
    return f"{high:,}" if low == high else f"{low:,}–{high:,}"


def _most(total: tuple[int, int], noun: str) -> str:
    low, high = total
    return count(high, noun) if low == high else f"{low:,}–{count(high, noun)}"


def _name(place: Place) -> str:
    app, home = place
    return clean(app) if home is None else f"{clean(app)} ({clean(home)})"


def _names(plan: Plan) -> Mapping[Place, str]:
    """What to call the apps below the matrix: without their modules, where that is clear."""
    apps = [row.place[0] for row in plan.matrix]
    return {
        row.place: clean(row.place[0]) if apps.count(row.place[0]) == 1 else _name(row.place)
        for row in plan.matrix
    }


# -- estimates -------------------------------------------------------------------------------------------


def _estimates(plan: Plan, width: int) -> list[Line]:
    if not any(each.experiment or each.basis for each in plan.estimates):
        return []
    header = ["", "model calls", "input tokens", "output tokens", "cost"]
    named = _names(plan)
    rows = [[named[each.place], *_amounts_of([each])] for each in plan.estimates]
    if len(rows) > 1:
        rows.append(["all", *_amounts_of(plan.estimates)])
    lines = [Line(), line("Estimates", BOLD), *table_lines(header, rows, width)]
    for each in plan.estimates:
        lines += paragraph(f"{named[each.place]}: {_origin(each)}", width, DIM, INDENT)
        if each.scorer_cost_usd is not None and each.scorer_cost_usd.high > 0:
            text = f"{named[each.place]}: scorers cost {money_range(each.scorer_cost_usd)} beside that"
            lines += paragraph(text, width, indent=INDENT)
    limits = f"{plan.concurrency} in flight"
    limits += "" if plan.rate is None else f", at most {number(plan.rate)} begun per second"
    return [*lines, *paragraph(f"time: {time_range(plan.seconds)} ({limits})", width, indent=INDENT)]


def _amounts_of(estimates: Sequence[Estimate]) -> list[str]:
    return [
        plain_range(summed(each.model_calls for each in estimates)),
        plain_range(summed(each.input_tokens for each in estimates)),
        plain_range(summed(each.output_tokens for each in estimates)),
        money_range(summed(each.cost_usd for each in estimates)),
    ]


def _origin(each: Estimate) -> str:
    if each.experiment is None:
        return f"rough, {clean(each.basis)}" if each.basis else "no stored samples"
    text = f"from {count(each.stored, 'sample')} of experiment {each.experiment}"
    if each.unmeasured:
        text += f"; {', '.join(map(clean, each.unmeasured))} not measured there, taken to be alike"
    return text


def _range(found: Range | None, shown: Callable[[float], str]) -> str:
    if found is None:
        return UNKNOWN
    low, high = shown(found.low), shown(found.high)
    return low if low == high else f"{low}–{high}"


def rounded(value: float) -> float:
    """Two significant digits."""
    return round(value, 1 - math.floor(math.log10(abs(value)))) if value else 0.0


def plain_range(found: Range | None) -> str:
    """``24,000–26,000``, or one number where both ends are the same; counts are whole."""
    return _range(found, lambda value: f"{rounded(value):,.0f}")


def money_range(found: Range | None) -> str:
    """``$0.012–0.034``."""
    text = _range(found, lambda value: number(rounded(value), digits=2))
    return text if text == UNKNOWN else f"${text}"


def time_range(found: Range | None) -> str:
    """``3.2–4.1 min``, in the unit that suits the upper end."""
    if found is None:
        return UNKNOWN
    unit, size = next((unit, size) for end, unit, size in _UNITS if found.high < end)
    return f"{_range(found, lambda value: number(rounded(value / size), digits=2))} {unit}"


# -- the rest --------------------------------------------------------------------------------------------


def _sensitivities(found: Sequence[Sensitivity], width: int) -> list[Line]:
    title = "Smallest change that would be found, four times of five"
    lines = [Line(), *paragraph(title, width, BOLD)] if found else []
    modules = {each.module for each in found}
    for each in found:
        where = f" ({each.module})" if len(modules) > 1 else ""
        before, now = each.runs
        runs = f"{now:.2g} runs" if before == now else f"{now:.2g} runs against {before:.2g}"
        text = (
            f"{each.metric}{where}: {number(rounded(each.minimum * 100), digits=2)} points against "
            f"{each.against} ({count(each.cases, 'case')}, {runs})"
        )
        lines += paragraph(text, width, indent=INDENT)
    return lines


def _variants(plan: Plan, width: int) -> list[Line]:
    lines = [Line(), line("Variants", BOLD)] if plan.variants else []
    for variant in plan.variants:
        what = ", ".join(variant.changes) or "changes nothing that is known"
        about = f" ({variant.description})" if variant.description else ""
        lines += paragraph(f"{variant.name}{about}: {what}", width, indent=INDENT)
    return lines


def _checks(checks: Iterable[Check], width: int) -> list[Line]:
    """The status in a column of its own, where there is room for one."""
    lines = []
    for check in checks:
        head = f"{INDENT}{check.status:<{_STATUS_WIDTH}}"
        texts = wrap(clean(f"{check.what}: {check.text}"), max(width - len(head), 8))
        for number_, text in enumerate(texts):
            lines.append(line((head if number_ == 0 else " " * len(head)) + text, _COLOURS[check.status]))
    return lines
