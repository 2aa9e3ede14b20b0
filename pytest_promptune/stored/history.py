"""What the newest experiments measured, each beside the one before it of the same tuning series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from pytest_promptune.core.display import some
from pytest_promptune.core.errors import SettingsError
from pytest_promptune.core.matching import is_named
from pytest_promptune.core.model import CURRENT
from pytest_promptune.core.stats.model import Direction, Kind
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import MetricName
from pytest_promptune.store.log import ExperimentLog, ExperimentSummary, Measured

#: No beginning of an id is shorter: it should still say the day.
_SHORTEST = 8

_UNITS = {"h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """Which experiments and metrics are wanted."""

    #: ``None``: all.
    limit: int | None = 10
    mode: str | None = None
    #: Only experiments that measured it, and its values.
    variant: str | None = None
    #: Id, its beginning or ``last``: only experiments of its series.
    series: str | None = None
    #: By full name or last part; none for the tests' own.
    metrics: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A metric under one variant in one experiment."""

    name: MetricName
    variant: str
    mean: float | None
    ci: tuple[float | None, float | None] | None
    n_cases: int | None
    n_samples: int | None
    #: What it is beside: of variants, `current` in the same experiment; of `current`, the experiment before
    #: of the same series. ``None`` where there is none.
    before: float | None = None

    @property
    def change(self) -> float | None:
        """Since then, in the metric's own unit; a difference of means that nobody tested."""
        if self.mean is None or self.before is None:
            return None
        return float(f"{self.mean - self.before:.12g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One experiment of the history."""

    summary: ExperimentSummary
    #: The shortest beginning of its id that names it alone.
    short: str
    values: tuple[Value, ...]
    #: Variants that its numbers spoke for, and that became the app's own prompts.
    adopted: tuple[str, ...] = ()

    def of(self, metric: tuple[str, str], variant: str) -> Value | None:
        """The value of a metric, by module and name."""
        found = (v for v in self.values if (v.name.module, v.name.metric) == metric and v.variant == variant)
        return next(found, None)

    @property
    def variants(self) -> tuple[str, ...]:
        """Those with values, `current` first."""
        names = dict.fromkeys(value.variant for value in self.values)
        return tuple(sorted(names, key=lambda name: name != CURRENT))


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Experiments, newest first, and the metrics that are shown of them."""

    entries: tuple[Entry, ...]
    metrics: tuple[MetricName, ...]
    #: How many there are in the log, whatever was wanted.
    total: int


def read_history(log: ExperimentLog, wishes: Wishes) -> History:
    """The experiments that are wanted.

    Raises:
        SettingsError: for a metric that none of them has, or a variant that nothing in the log measured.
        StoreError: when the log can't be read.
    """
    series = log.experiment(wishes.series).series if wishes.series is not None else None
    if wishes.series is not None and series is None:
        raise SettingsError(f"--series: {wishes.series!r} belongs to no tuning series: it has no cases.")
    limit = None if wishes.limit is None else wishes.limit + 1  # the oldest is beside one more
    found = log.history(limit, mode=wishes.mode, series=series, variant=wishes.variant)
    if wishes.variant is not None and not found:
        _check_variant(wishes.variant, log.lists.measured_variants())
    measured = log.lists.means([summary.id for summary in found])
    names = _names(measured)
    chosen = _chosen(names, wishes.metrics)
    ids = log.ids()
    adopted = _adopted(log, {summary.series for summary in found})
    entries = tuple(
        Entry(
            summary=summary,
            short=short,
            values=_values(measured[summary.id], before, names),
            adopted=tuple(adopted.get(summary.id, ())),
        )
        for summary, short, before in zip(
            found, shortest([s.id for s in found], ids), _before(found, measured), strict=True
        )
    )
    shown = entries if wishes.limit is None else entries[: wishes.limit]
    return History(entries=shown, metrics=chosen, total=len(ids))


def _check_variant(variant: str, valid: set[str]) -> None:
    if valid and variant not in valid:
        names = some(sorted(valid), 12)
        raise SettingsError(f"--variant: {variant!r} is in no experiment of the log. Valid: {names}.")


def shortest(ids: Sequence[str], among: Sequence[str]) -> list[str]:
    """Beginnings of one length that name each of `ids` alone, longer ones where that takes more."""
    ordered = sorted(set(among) | set(ids))
    place = {id_: number for number, id_ in enumerate(ordered)}
    needed = []
    for id_ in ids:
        here = place[id_]
        beside = [ordered[n] for n in (here - 1, here + 1) if 0 <= n < len(ordered)]
        needed.append(max((_common(id_, other) + 1 for other in beside), default=1))
    common = max([_SHORTEST, *(length for length in needed if length <= len("20260801T101500"))])
    return [id_[: max(common, length)] for id_, length in zip(ids, needed, strict=True)]


def _common(one: str, other: str) -> int:
    equal = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        equal += 1
    return equal


def _name(row: Measured) -> MetricName:
    return MetricName(
        metric=row.metric,
        test=row.test,
        module=row.module,
        app=row.app,
        kind=cast("Kind", row.kind),
        direction=cast("Direction", row.direction),
        unit=row.unit,
    )


def _names(measured: Mapping[str, Sequence[Measured]]) -> dict[tuple[str, str], MetricName]:
    """Of all metrics, in the order of the newest experiment; what it is, is what it was last."""
    names: dict[tuple[str, str], MetricName] = {}
    for rows in measured.values():
        for row in rows:
            names.setdefault((row.module, row.metric), _name(row))
    return names


def _chosen(names: Mapping[tuple[str, str], MetricName], wanted: Sequence[str]) -> tuple[MetricName, ...]:
    if not wanted:
        return tuple(name for name in names.values() if "::" not in name.metric)
    unknown = [text for text in wanted if not any(is_named(name, [text]) for name in names.values())]
    if unknown and names:
        valid = some(sorted({name.metric for name in names.values()}), 12)
        raise SettingsError(f"--metric: {unknown[0]!r} is in none of these experiments. Valid: {valid}.")
    return tuple(name for name in names.values() if is_named(name, wanted))


def _before(
    found: Sequence[ExperimentSummary], measured: Mapping[str, Sequence[Measured]]
) -> list[Mapping[tuple[str, str], float | None]]:
    """For each, newest first: means of `current` in the last of its series before it that has any."""
    last: dict[str, Mapping[tuple[str, str], float | None]] = {}
    before: list[Mapping[tuple[str, str], float | None]] = []
    for summary in reversed(found):
        if summary.series is None or summary.replay_of is not None:
            before.append({})
            continue
        before.append(last.get(summary.series, {}))
        if means := _of_current(measured[summary.id]):
            last[summary.series] = means
    return before[::-1]


def _of_current(rows: Sequence[Measured]) -> dict[tuple[str, str], float | None]:
    return {(row.module, row.metric): row.mean for row in rows if row.variant == CURRENT}


def _adopted(log: ExperimentLog, series: set[str | None]) -> dict[str, list[str]]:
    """Adopted variants by the id of their experiment."""
    found: dict[str, list[str]] = {}
    for each in series - {None}:
        for adoption in log.adoptions_of(str(each)):
            found.setdefault(adoption.experiment, []).append(adoption.variant)
    return found


def _values(
    rows: Sequence[Measured],
    before: Mapping[tuple[str, str], float | None],
    names: Mapping[tuple[str, str], MetricName],
) -> tuple[Value, ...]:
    current = _of_current(rows)
    return tuple(
        Value(
            name=names[row.module, row.metric],
            variant=row.variant,
            mean=row.mean,
            ci=row.ci,
            n_cases=row.n_cases,
            n_samples=row.n_samples,
            before=(before if row.variant == CURRENT else current).get((row.module, row.metric)),
        )
        for row in rows
    )


# -- retention -------------------------------------------------------------------------------------------


def moment(text: str, *, now: datetime) -> str:
    """The moment that ``30d``, ``12h``, ``2w`` or a date means, ISO 8601 in UTC.

    Raises:
        SettingsError: when it means none.
    """
    number, unit = text[:-1], text[-1:]
    try:
        if unit in _UNITS and number.isascii() and number.isdigit():
            then = now - timedelta(seconds=int(number) * _UNITS[unit])
        else:
            then = datetime.fromisoformat(text)
            then = then.astimezone() if then.tzinfo is None else then
        return then.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):
        raise SettingsError(
            f"--older-than: {text!r} is no age and no date. Give 30d, 12h, 2w, or a date as 2026-01-31."
        ) from None


# -- data ------------------------------------------------------------------------------------------------


def to_json(history: History) -> dict[str, Any]:
    """Everything that is known, the metrics that the table leaves out, too."""
    return {"total": history.total, "experiments": [_entry(entry) for entry in history.entries]}


def _entry(entry: Entry) -> dict[str, Any]:
    summary = asdict(entry.summary)
    values = [
        {
            "module": value.name.module,
            "metric": value.name.metric,
            "variant": value.variant,
            "kind": value.name.kind,
            "direction": value.name.direction,
            "unit": value.name.unit,
            "n_cases": value.n_cases,
            "n_samples": value.n_samples,
            "mean": value.mean,
            "ci": value.ci,
            "before": value.before,
            "change": value.change,
        }
        for value in entry.values
    ]
    return {**summary, "short": entry.short, "adopted": entry.adopted, "metrics": values}
