"""What must not be measured because its results would mislead; found before the first call of an app."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from pytest_promptune.core.errors import CaseError, SettingsError
from pytest_promptune.core.model import Case
from pytest_promptune.core.plan import Cell, PlannedItem

#: Metrics of every app, known before anything ran.
APP_METRICS = ("latency_s", "cost_usd", "input_tokens", "output_tokens", "error_rate")


def refuse_contradictions(items: Sequence[PlannedItem]) -> None:
    """Two tests with one metric, two cases with one id.

    Raises:
        SettingsError: when scores of two tests would run together under one name.
        CaseError: when an id doesn't say which case is meant.
    """
    _refuse_shared_metrics(items)
    _refuse_repeated_ids(items)


def _refuse_shared_metrics(items: Iterable[PlannedItem]) -> None:
    owners: dict[tuple[str, str], str] = {}
    for item in items:
        owner = owners.setdefault((item.module, item.metric), item.test)
        if owner != item.test:
            raise SettingsError(
                f"{item.module}: {owner} and {item.test} both score the metric {item.metric!r}; give one of "
                'them a name of its own with @pytest.mark.promptune(metric="…").'
            )


def _refuse_repeated_ids(items: Iterable[PlannedItem]) -> None:
    places: dict[tuple[str, str, str, Cell], str] = {}
    contents: dict[tuple[str, str], tuple[Case, str]] = {}
    for item in items:
        case = item.case
        if case is None:
            continue
        first = places.setdefault((item.module, item.test, case.id, item.cell), item.nodeid)
        if first != item.nodeid:
            raise CaseError(
                f"{item.module}::{item.test}: two cases have the id {case.id!r} ({first} and {item.nodeid}). "
                "Ids pair an experiment with its baseline: give each case its own."
            )
        other, nodeid = contents.setdefault((item.module, case.id), (case, item.nodeid))
        if other is not case and other.fingerprint != case.fingerprint:
            raise CaseError(
                f"{item.module}: the id {case.id!r} means two cases, of different input or expected, in "
                f"{nodeid} and {item.nodeid}. A baseline file keeps one per id: rename one."
            )


def refuse_unknown_metrics(
    named: Iterable[tuple[str, str, bool]], items: Sequence[PlannedItem], aggregates: Iterable[str] = ()
) -> None:
    """A misspelt metric must not run with the default margin; what a test will score isn't known yet.

    Args:
        named: options, the metrics they name, and whether that was typed: an ini file speaks of all tests.
        items: that were collected.
        aggregates: names of those that users give.

    Raises:
        SettingsError: naming the metrics there are.
    """
    tests = {item.test for item in items}
    known = {item.metric for item in items}
    of_apps = {*APP_METRICS, *aggregates}
    known |= {f"{app}::{name}" for app in {item.marks.app for item in items} for name in of_apps} | of_apps
    for option, metric, is_typed in named:
        test, separator, _ = metric.rpartition("::")
        if not is_typed or metric in known or (separator and test in tests):
            continue
        near = difflib.get_close_matches(metric, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise SettingsError(
            f"{option}={metric}=…: no collected test has the metric {metric!r}.{hint} Known: "
            f"{', '.join(sorted(known))}; scores are named TEST::SCORE."
        )
