"""From verdicts to the exit code: the gate's decisions as results."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from pytest_promptune.core.display import adjusted, amount, clean, count, effect, mean, probability
from pytest_promptune.core.harmless import harmless
from pytest_promptune.core.model import CURRENT
from pytest_promptune.core.stats.wording import not_shown
from pytest_promptune.core.view import ComparisonRow, GateItem, MetricName, Mode
from pytest_promptune.core.wording import VERDICTS, against

#: Stored outputs are scored again.
REPLAY = "pytest --promptune-replay=last"
#: Makes a variant the app's own.
ADOPT = "pytest-promptune adopt "
#: Cases that a message names; the results have all.
MOST_CASES = 10


def gate_nodeid(name: MetricName, candidate: str) -> str:
    """``<module>::<test>::gate[<metric>-<candidate>]``, on one line that pytest can print anywhere."""
    return harmless(clean(f"{name.test}::gate[{name.metric}-{candidate}]"))


def gate_message(row: ComparisonRow) -> str:
    """Which metric, why it failed, by how much, with which interval, compared with what."""
    if row.p is None:
        why = _failed_by(row)
        return f"{row.name.metric}: {row.reason}" + (f" {why[0].upper()}{why[1:]}." if why else "")
    p = f"p {probability(row.p)}" + (f" (adjusted {adjusted(row)})" if adjusted(row) else "")
    verdict = VERDICTS[row.verdict]
    why = _failed_by(row).removeprefix(f"{verdict}, ")
    return (
        f"{row.name.metric} {verdict}{f', {why}' if why else ''}: {effect(row)}, {p} "
        f"({mean(row.name, row.reference_mean)} in {against(row.reference)}, "
        f"{mean(row.name, row.candidate_mean)} in {row.candidate}). {row.reason}{_failing_cases(row)}"
    )


def _failed_by(row: ComparisonRow) -> str:
    """The rule behind a failure that the verdict doesn't tell by itself."""
    if row.failure == "inconclusive":
        return "inconclusive, which fails under --promptune-strict"
    if row.failure == "not_shown":
        margin = None if row.margin is None else amount(row, row.margin)
        return f"{not_shown(row.name.direction, margin)} (--promptune-gate=non-inferiority)"
    if row.failure == "cases":
        return f"but {count(len(row.failing_cases), 'case')} got worse (--promptune-gate-cases)"
    return ""


def _failing_cases(row: ComparisonRow) -> str:
    """The cases that got worse by themselves, with their means."""
    if not row.failing_cases:
        return ""
    cases = []
    for case in row.failing_cases[:MOST_CASES]:
        before, now = row.case_means.get(case, (None, None))
        cases.append(f"{clean(case)} ({mean(row.name, before)} to {mean(row.name, now)})")
    return f" Worse by themselves: {_and_more(cases, len(row.failing_cases))}."


def _and_more(shown: Sequence[str], of: int) -> str:
    """Those that are shown, and how many there are beside them."""
    rest = of - len(shown)
    return f"{', '.join(shown)}{f' and {rest:,} more' if rest else ''}"


def gate_items(rows: Iterable[ComparisonRow]) -> list[GateItem]:
    """One result per gated comparison."""
    return [
        GateItem(
            nodeid=gate_nodeid(row.name, row.candidate),
            failed=row.gate == "failed",
            message=gate_message(row),
        )
        for row in rows
        if row.gate != "off"
    ]


def missing_baseline(
    name: MetricName, candidate: str, *, path: str, cases: Sequence[str], against: str
) -> GateItem:
    """The failed decision on a gated metric (or some of its cases) that has no baseline.

    Args:
        cases: those without a baseline; empty when the metric has none at all.
    """
    of = _and_more([clean(case) for case in cases[:MOST_CASES]], len(cases))
    what = f"no baseline for {of}" if cases else "no baseline"
    return GateItem(
        nodeid=gate_nodeid(name, candidate),
        failed=True,
        message=f"{name.metric}: {what} in {path}, and --promptune-require-baseline is set. Record it with "
        f"pytest --promptune-baseline{named(against)} and commit the file.",
    )


def not_judged(name: MetricName, candidate: str, obstacle: str) -> GateItem:
    """The failed decision on a gated metric that has a baseline and can't be compared with it."""
    return GateItem(
        nodeid=gate_nodeid(name, candidate),
        failed=True,
        message=f"{name.metric}: {obstacle} It is gated, and --promptune-require-baseline is set.",
    )


def rerun_hint(mode: Mode, against: str, variant: str) -> str:
    """The command that runs the tests behind a failed decision."""
    option = " --promptune-compare" if mode == "compare" else measured_as(variant)
    return (
        "A gate[…] is a decision, not a test to select. The tests behind it: "
        f"pytest --lf{option}{named(against)}"
    )


def replay_hint(mode: Mode, against: str, variant: str) -> str:
    """The command that asks scorers again about the stored outputs."""
    option = " --promptune-compare" if mode == "compare" else measured_as(variant)
    return (
        "The outputs are stored. This asks the scorers about them again, without calling the app: "
        f"{REPLAY}{option}{named(against)}"
    )


def named(against: str) -> str:
    """The option that names a baseline, where it isn't the usual one."""
    return "" if against == "main" else f" --promptune-against={against}"


def measured_as(variant: str) -> str:
    """The option that names what is measured in place of `current`."""
    return "" if variant == CURRENT else f" --promptune-variant={shlex.quote(variant)}"
