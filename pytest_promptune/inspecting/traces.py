"""What the experiment log says about an app's nodes, beside what its source says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_promptune.core.errors import SettingsError, StoreError
from pytest_promptune.core.literals import Literal, LiteralIndex
from pytest_promptune.core.model import CURRENT
from pytest_promptune.core.nodes.findings import find
from pytest_promptune.core.nodes.headroom import failed_cases
from pytest_promptune.core.nodes.merging import Places, merge
from pytest_promptune.core.nodes.priority import priorities, unmet_goals
from pytest_promptune.core.nodes.traces import Trace, TraceBuilder, labels_of
from pytest_promptune.core.redaction import Redactor
from pytest_promptune.core.results import Result
from pytest_promptune.core.values import dataclass
from pytest_promptune.inspecting.finding import Inspection
from pytest_promptune.store.log import STORE_OPTION, ExperimentLog, locate

if TYPE_CHECKING:
    from pytest_promptune.settings import Settings
    from pytest_promptune.store.log import ExperimentSummary, Location

#: Experiments that are looked at for one with samples.
_MOST_LOOKED_AT = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One variant of an experiment, as far as nodes are concerned."""

    trace: Trace
    #: What its items contributed.
    results: tuple[Result, ...] = ()
    #: The results document; empty where the experiment didn't finish.
    document: Mapping[str, Any]


def read_trace(
    root: Path, *, store: str | None, experiment: str | None, is_fake: bool = False
) -> Stored | None:
    """The newest experiment with samples, or the one that is asked for; `None` where there is none.

    Of its variants `current` is read, or the first.

    Args:
        root: of the project.
        store: URL, empty for no store, ``None`` for the default one.
        experiment: id, its beginning, or ``last``; ``None`` for the newest, if there is one.
        is_fake: its models were fakes.

    Raises:
        SettingsError: when an experiment is asked for and nothing is stored.
        StoreError: when the log can't be read, or lacks what was asked for.
    """
    if store == "":
        if experiment is not None:
            raise SettingsError("--store: is empty, and --experiment reads from it.")
        return None
    location = locate(store, root=root, option=STORE_OPTION)
    if location.path is not None and not location.path.exists():
        if experiment is None:
            return None
        raise StoreError(
            f"{location}: there is no experiment log. Run pytest first, or say where with --store."
        )
    with ExperimentLog(location) as log:
        found = _chosen(log, experiment, location)
        return None if found is None else _read(log, found, is_fake=is_fake)


def _chosen(log: ExperimentLog, name: str | None, location: Location) -> ExperimentSummary | None:
    if name is None:
        newest = log.history(_MOST_LOOKED_AT)
        return next((each for each in newest if each.samples and each.replay_of is None), None)
    found = log.experiment(name)
    if not found.samples:
        raise StoreError(f"{location}: experiment {found.id} has no samples. Take another one.")
    return found


def _read(log: ExperimentLog, found: ExperimentSummary, *, is_fake: bool) -> Stored | None:
    builders: dict[str, TraceBuilder] = {}
    for sample in log.samples(found.id):
        builders.setdefault(sample.key.variant, TraceBuilder()).add(sample.key.app, sample.record)
    if not builders:
        return None
    variant = CURRENT if CURRENT in builders else next(iter(builders))
    results = tuple(result for result in log.results(found.id) if result.variant == variant)
    trace = builders[variant].trace(found.id, variant, labels=labels_of(results), is_fake=is_fake)
    return Stored(trace=trace, results=results, document=log.results_of(found.id))


def with_trace(found: Inspection, stored: Stored, *, root: Path, settings: Settings) -> Inspection:
    """The nodes with what the samples of an experiment showed of them, and findings made of both.

    Args:
        found: in the source.
        stored: the experiment.
        root: of the project.
        settings: of the project: secrets that aren't shown, error level of the comparisons to come.
    """
    from pytest_promptune.langgraph.nodes.sources import Sources

    trace, sources = stored.trace, Sources(root, variants=Path(settings.variants))
    texts = _Texts(sources.every_text, Redactor(settings.redact))
    merged = merge(found.nodes, trace, found.paths, Places(locate=texts.locate, name=sources.name))
    notes = [
        f"App {app} of experiment {trace.id} has no node of this graph: it is left out."
        for app in merged.foreign
    ]
    nodes = tuple(find(node) for node in merged.nodes)
    together = replace(found, nodes=nodes, trace=trace, notes=(*found.notes, *notes))
    if trace.is_fake:
        return together
    unmet = unmet_goals(stored.document.get("goals", ()), stored.results, variant=trace.variant)
    from pytest_promptune.inspecting.efforts import efforts  # with numpy, for what was measured alone

    costs = efforts(trace, stored.results, unmet.measures, alpha=settings.alpha)
    return replace(
        together,
        failed=frozenset(failed_cases(stored.results)),
        priorities=priorities(nodes, unmet, costs),
        unmet=unmet,
    )


class _Texts:
    """The project's texts without secrets, as stored prompts are; read when one is looked for."""

    def __init__(self, read: Callable[[], Iterable[Literal]], redactor: Redactor) -> None:
        self._read = read
        self._redactor = redactor

    @cached_property
    def _index(self) -> LiteralIndex:
        clean = self._redactor.text
        return LiteralIndex(replace(each, text=clean(each.text)) for each in self._read())

    def locate(self, rendered: str) -> Literal | None:
        """The one that a rendered prompt was made from: that which covers most of it."""
        return next(iter(self._index.rank(self._redactor.text(rendered))), None)
