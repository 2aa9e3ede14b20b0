"""Where stored runs are found: baseline files, or an experiment of the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_promptune.core.baseline import Baseline, BaselineMetric
from pytest_promptune.core.display import some
from pytest_promptune.core.errors import BaselineError, SettingsError, StoreError
from pytest_promptune.core.experiment import Column, Experiment, Scores
from pytest_promptune.core.matching import is_gated, is_named, recorded_name
from pytest_promptune.core.model import CURRENT
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import MetricName
from pytest_promptune.store.baselines import FOLDER, baseline_path, find_baselines, read_baseline
from pytest_promptune.store.log import STORE_OPTION, ExperimentLog, locate

if TYPE_CHECKING:
    from pytest_promptune.store.log import Location

_MOST_NAMED = 8

RECORD = "pytest --promptune-baseline --promptune-runs=10"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which runs the user means."""

    root: Path
    #: Baseline files, test modules and folders; none for all below the root.
    paths: Sequence[str] = ()
    against: str = "main"
    #: Id, its beginning, or ``last``.
    experiment: str | None = None
    variant: str | None = None
    store: str | None = None
    #: Only these metrics, by full name or last part.
    metrics: Sequence[str] = ()
    #: Those that are gated beside the default ones.
    gate_metrics: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMetric:
    """A gated metric with its stored runs."""

    name: MetricName
    scores: Scores
    #: The runs of other variants of the same experiment.
    others: Mapping[str, Scores]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The runs that were found."""

    #: Where they are from, for people.
    source: str
    metrics: Sequence[StoredMetric]

    def refuse_unknown(self, option: str, wanted: Iterable[str]) -> None:
        """Check that each of the metrics that an option names is here.

        Raises:
            SettingsError: with the names that are.
        """
        _refuse_unknown(option, wanted, self.metrics, "among the metrics judged")


def _refuse_unknown(option: str, wanted: Iterable[str], found: Sequence[StoredMetric], where: str) -> None:
    for name in wanted:
        if not any(is_named(metric.name, [name]) for metric in found):
            known = ", ".join(dict.fromkeys(metric.name.metric for metric in found))
            raise SettingsError(f"{option}: {name!r} is not {where}. Valid: {known}.")


def find(asked: Asked) -> Pool:
    """Read the runs of the gated metrics.

    Raises:
        SettingsError: for arguments that contradict each other, and unknown metrics and variants.
        BaselineError, StoreError: when there are none, or they can't be read.
    """
    if asked.experiment is None:
        if asked.variant or asked.store is not None:
            raise SettingsError(
                "--variant and --store are for --experiment: a baseline has the runs of one variant."
            )
        return _of_baselines(asked)
    if asked.paths:
        raise SettingsError(
            f"--experiment and {asked.paths[0]} contradict each other: take the runs of an experiment or of "
            "baselines."
        )
    return _of_experiment(asked, asked.experiment)


def _chosen(asked: Asked, found: Sequence[StoredMetric], gated: Sequence[bool], source: str) -> Pool:
    """The metrics that were asked for, or those that are gated."""
    _refuse_unknown("--metric", asked.metrics, found, f"in {source}")
    kept = [
        metric
        for metric, is_default in zip(found, gated, strict=True)
        if (
            is_named(metric.name, asked.metrics)
            if asked.metrics
            else is_default or is_named(metric.name, asked.gate_metrics)
        )
    ]
    if not kept:
        raise BaselineError(f"{source}: has no gated metric. Name one with --metric.")
    return Pool(source=source, metrics=kept)


# -- baselines -------------------------------------------------------------------------------------------


def _of_baselines(asked: Asked) -> Pool:
    files = sorted(set(_files(asked)))
    if not files:
        where = ", ".join(asked.paths) or asked.root
        named = "" if asked.against == "main" else f" --promptune-against={asked.against}"
        raise BaselineError(
            f"No baseline named {asked.against} in {where}. Record one with {RECORD}{named}, or take the "
            "runs of an experiment with --experiment=last."
        )
    found: list[StoredMetric] = []
    gated: list[bool] = []
    for path in files:
        baseline = read_baseline(path)
        if baseline is not None:
            found += _metrics(baseline, _module(path, asked.root))
            gated += [not metric.is_of_app_usage for metric in _scored(baseline).values()]
    shown = some([_relative(path, asked.root) for path in files], _MOST_NAMED)
    return _chosen(asked, found, gated, shown)


def _scored(baseline: Baseline) -> dict[str, BaselineMetric]:
    return {name: metric for name, metric in baseline.metrics.items() if baseline.scores.get(name)}


def _metrics(baseline: Baseline, module: str) -> list[StoredMetric]:
    return [
        StoredMetric(name=recorded_name(name, metric, module), scores=dict(baseline.scores[name]), others={})
        for name, metric in _scored(baseline).items()
    ]


def _module(path: Path, root: Path) -> str:
    """The test module that a baseline file lies beside."""
    return _relative(path.parent.parent / f"{path.name.partition('.')[0]}.py", root)


def _relative(path: Path, root: Path) -> str:
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def _files(asked: Asked) -> Iterator[Path]:
    if not asked.paths:
        yield from find_baselines(asked.root, asked.against)
    for text in asked.paths:
        path = (asked.root / text).resolve()
        if path.is_dir():
            yield from find_baselines(path, asked.against)
        elif path.suffix == ".json" and path.is_file():
            yield path
        elif path.suffix == ".py" and path.is_file():
            recorded = baseline_path(path.parent, path.name, asked.against)
            if recorded.is_file():
                yield recorded
        else:
            raise SettingsError(
                f"{text}: no baseline file, test module or folder. Baselines are "
                f"{FOLDER}/<test module>.<NAME>.json beside the test module."
            )


# -- experiments -----------------------------------------------------------------------------------------


def _of_experiment(asked: Asked, name: str) -> Pool:
    if asked.store == "":
        raise SettingsError("--store: is empty, and --experiment reads from it.")
    location = locate(asked.store, root=asked.root, option=STORE_OPTION)
    experiment, id_ = _read(location, name)
    columns = list(experiment.columns())
    variants = list(dict.fromkeys(variant for column in columns for variant in column.values))
    if not variants:
        raise StoreError(f"{location}: experiment {id_} has no scores. Take another one.")
    variant = asked.variant or (CURRENT if CURRENT in variants else variants[0])
    if variant not in variants:
        raise SettingsError(
            f"--variant: {variant!r} is not in experiment {id_}. Valid: {', '.join(variants)}."
        )
    scored = [column for column in columns if column.scores(variant)]
    source = f"experiment {id_} ({variant})"
    return _chosen(
        asked,
        [_stored(column, variant) for column in scored],
        [is_gated(column, ()) for column in scored],
        source,
    )


def _read(location: Location, name: str) -> tuple[Experiment, str]:
    if location.path is not None and not location.path.exists():
        raise StoreError(
            f"{location}: there is no experiment log. Run pytest first, or say where with --store."
        )
    experiment = Experiment()
    with ExperimentLog(location) as log:
        id_ = log.experiment(name).id
        for result in log.results(id_):
            experiment.add(result)
    return experiment.in_order(), id_


def _stored(column: Column, variant: str) -> StoredMetric:
    others = {other: column.scores(other) for other in column.values if other != variant}
    return StoredMetric(
        name=column.name,
        scores=column.all_scores(variant),
        others={other: scores for other, scores in others.items() if scores},
    )
