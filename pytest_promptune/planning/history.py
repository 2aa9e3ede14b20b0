"""What earlier experiments say about the samples to come: what they used, and how far runs differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_promptune.conditions import changed_tests
from pytest_promptune.core.errors import StoreError
from pytest_promptune.core.estimates import Used, estimate, spanning
from pytest_promptune.core.experiment import Column, Experiment
from pytest_promptune.core.planning import Check, Estimate, MatrixRow, Place
from pytest_promptune.core.values import dataclass
from pytest_promptune.store.log import (
    ExperimentLog,
    Location,
    LoggedSample,
    SampleKey,
    check_writable,
)

#: How many of the newest experiments are looked through for samples of an app.
MOST_EXPERIMENTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    experiment: str
    samples: Sequence[Used]


class History:
    """The experiment log, read once; where it can't be, nothing is known and `note` says why."""

    def __init__(
        self,
        location: Location | None,
        rows: Sequence[MatrixRow],
        rough: Mapping[Place, Estimate] | None = None,
    ) -> None:
        """Look for the newest samples of each app.

        Args:
            location: of the log, ``None`` where there is none.
            rows: of the matrix.
            rough: estimates of apps that have no stored samples.
        """
        self._location = location
        self._rows = rows
        self._rough = rough or {}
        self._stored: dict[Place, _Stored] = {}
        self._tables: dict[str, Experiment] = {}
        #: Hashes of their test files, by path.
        self._tests: dict[str, Mapping[str, str]] = {}
        #: Why something isn't known, empty when all is.
        self.note = ""
        if location is None:
            self.note = f"Nothing is stored, since --promptune-store is empty: {self._without()}."
            return
        try:
            self._read(location)
        except StoreError as error:
            self.note = f"The experiment log can't be read, {self._without()}: {error}"

    def _read(self, location: Location) -> None:
        if location.path is not None and not location.path.exists():
            self.note = f"No experiment is stored yet: {self._without()} until one was measured."
            return
        with ExperimentLog(location) as log:
            self._stored = _newest(log, [row.place for row in self._rows])
            for experiment in {stored.experiment for stored in self._stored.values()}:
                self._tests[experiment] = log.conditions_of(experiment).get("tests") or {}
                table = self._tables[experiment] = Experiment()
                for result in log.results(experiment):
                    table.add(result)
        unknown = [row.place[0] for row in self._rows if row.place not in self._stored]
        if unknown:
            self.note = f"No stored experiment has samples of {', '.join(unknown)}: {self._without()}."

    def _without(self) -> str:
        """What comes of apps that have no stored samples."""
        missing = [row.place for row in self._rows if row.place not in self._stored]
        are_rough = missing and all(place in self._rough for place in missing)
        return f"estimates are {'rough' if are_rough else 'unknown'}"

    def estimates(self) -> list[Estimate]:
        """What each app will use."""
        return [self._estimate(row) for row in self._rows]

    def _estimate(self, row: MatrixRow) -> Estimate:
        stored = self._stored.get(row.place)
        if stored is None:
            return self._rough.get(row.place, Estimate(place=row.place))
        most = estimate(row.place, row.calls, stored.samples, stored.experiment)
        if row.at_least is None:
            return most
        return spanning(estimate(row.place, row.at_least.calls, stored.samples, stored.experiment), most)

    def scores(self, module: str, metric: str) -> Mapping[str, Sequence[float | None]]:
        """Stored values of an assertion metric under one variant, the first that has any."""
        for table in self._tables.values():
            for column in table.columns():
                if (column.name.module, column.name.metric) == (module, metric):
                    return _of_one_variant(column)
        return {}

    def tested_as_now(self, root: Path) -> list[Experiment]:
        """What was scored by tests that are the same by now; `root` is the project's.

        Of experiments whose test files are no longer known nothing is.
        """
        return [
            self._tables[experiment]
            for experiment, files in self._tests.items()
            if files and not changed_tests(files, root=root)
        ]

    def check(self) -> Check:
        """Whether a session could write to it."""
        if self._location is None:
            return Check(status="ok", what="experiment log", text="none, since --promptune-store is empty")
        try:
            check_writable(self._location)
        except StoreError as error:
            return Check(status="failed", what="experiment log", text=str(error))
        path = self._location.path
        text = "writable" if path is None or path.exists() else "will be made, its folder is writable"
        return Check(status="ok", what="experiment log", text=text)


def _of_one_variant(column: Column) -> Mapping[str, Sequence[float | None]]:
    return next((found for name in column.values if (found := column.scores(name))), {})


def _newest(log: ExperimentLog, places: Sequence[Place]) -> dict[Place, _Stored]:
    """By app: the newest experiment that called it, with what its samples used."""
    found: dict[Place, _Stored] = {}
    for experiment in log.history(MOST_EXPERIMENTS):
        wanted = [place for place in places if place not in found]
        if not wanted:
            break
        if not experiment.samples or experiment.replay_of is not None:
            continue
        samples: dict[Place, list[Used]] = {}
        for sample in log.samples(experiment.id, outputs=False):
            error = sample.record.error
            if error is None or not error.infrastructure:
                for place in wanted:
                    if is_of(sample.key, place):
                        samples.setdefault(place, []).append(_used(sample))
        for place, of_place in samples.items():
            found[place] = _Stored(experiment=experiment.id, samples=of_place)
    return found


def is_of(key: SampleKey, place: Place) -> bool:
    """An app that belongs somewhere has the place at the beginning of the scope of its samples."""
    app, home = place
    return key.app == app and (home is None or f"{key.scope} ".startswith(f"{home} "))


def _used(sample: LoggedSample) -> Used:
    record = sample.record
    seconds = record.latency_s
    if sample.started is not None and sample.finished is not None:
        seconds = max(0.0, sample.finished - sample.started)
    scorer_costs = [s.usage.cost_usd for s in record.scorings if s.usage.cost_usd is not None]
    return Used(
        variant=sample.key.variant,
        model_calls=sum(node.calls for node in record.nodes) if record.nodes else None,
        input_tokens=record.usage.input_tokens,
        output_tokens=record.usage.output_tokens,
        cost_usd=record.usage.cost_usd,
        scorer_cost_usd=sum(scorer_costs) if scorer_costs else None,
        seconds=seconds,
    )
