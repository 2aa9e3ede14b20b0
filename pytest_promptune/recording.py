"""The session's place in the experiment log: what is stored of it, and what it takes from earlier ones."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_promptune.conditions import Commit, own_version, python_version
from pytest_promptune.core.errors import StoreError
from pytest_promptune.core.redaction import Redactor
from pytest_promptune.core.results import Result
from pytest_promptune.core.sharing import Share
from pytest_promptune.core.view import View
from pytest_promptune.facts import Facts
from pytest_promptune.resuming import find_interrupted, refuse_left_out, refuse_other_models
from pytest_promptune.sampling import StoredSamples
from pytest_promptune.settings import Settings
from pytest_promptune.store.log import (
    MODELS,
    ExperimentLog,
    LoggedCase,
    LoggedSample,
    LogWriter,
    Manifest,
    SampleKey,
    locate,
)
from pytest_promptune.store.writing import WritingProcess

if TYPE_CHECKING:
    from pytest_promptune.core.casebook import CaseBook


class Recording:
    """What is stored of one session; where nothing can be stored, the session goes on without it."""

    def __init__(
        self,
        settings: Settings,
        *,
        root: Path,
        id: str,
        started: str,
        process: WritingProcess | None = None,
        commit: Callable[[], Commit | None] = lambda: None,
    ) -> None:
        """Nothing is opened yet.

        Args:
            settings: what the user asked for.
            root: of the project.
            id: of the experiment.
            started: ISO 8601 in UTC.
            process: writes the log; without one a thread does.
            commit: what git has said so far, if it has; from any thread.

        Raises:
            SettingsError: for a store or a pattern that can't be meant.
        """
        #: Of the experiment: a resumed one keeps its own.
        self.id = id
        self.notes: list[str] = []
        self.stored = StoredSamples()
        #: Stored ones that another process of this session generated, which crashed since.
        self.of_this_session: Container[SampleKey] = ()
        self._settings = settings
        self._started = started
        self._root = root
        self._location = None if settings.store == "" else locate(settings.store, root=root)
        #: Takes secrets out of what is shown or written.
        self.redactor = Redactor(settings.redact)
        self._facts = Facts()
        #: Chat models that apps hold, by app; and what a process that stores hasn't been told of them.
        self._models: dict[str, Sequence[str]] = {}
        self._new_models: dict[str, Sequence[str]] = {}
        self._resumes = False
        #: Id of the experiment whose outputs are scored again.
        self.replay_of: str | None = None
        self._process = process
        self._commit = commit
        self._has_commit = False
        self._writer: LogWriter | None = None
        #: Of items that ended before the first sample was asked for.
        self._early: list[Result] = []

    @property
    def is_open(self) -> bool:
        """Whether samples are stored from here."""
        return self._writer is not None

    @property
    def cases(self) -> Sequence[LoggedCase]:
        """What is measured, as far as it was known before the fixtures ran."""
        return self._facts.cases

    @property
    def series(self) -> str | None:
        """What the experiment has in common with the others of its tuning series."""
        return self._facts.series

    def earlier_iterations(self) -> Sequence[bool]:
        """Whether each earlier iteration of the series brought something; unknown ones are none."""
        if self._writer is None or not self._settings.compare:
            return ()
        past = self._writer.past()
        if not past:
            return ()
        from pytest_promptune.core.series.earlier import earlier_iterations
        from pytest_promptune.core.series.model import Session

        conditions = self._facts.conditions
        now = Session(
            experiment=self.id,
            mode=self._settings.mode,
            started=self._started,
            variants=conditions["variants"],
            current=conditions["prompts"],
        )
        return earlier_iterations(past, now)

    @property
    def problem(self) -> str | None:
        """Why the session isn't stored, or not from some moment on."""
        return self._writer.problem if self._writer else None

    @property
    def continues(self) -> str | None:
        """Id of the experiment that is continued or replayed."""
        return self.replay_of or (self.id if self._resumes else None)

    def prepare(
        self, facts: Facts, share: Share | None = None, *, collected: Callable[[], Facts] | None = None
    ) -> None:
        """Find the samples of an earlier session that are asked for.

        Args:
            facts: what is measured.
            share: of this process, where there are several; it may know the experiment already.
            collected: what would be measured if nothing were deselected.

        Raises:
            StoreError: when there is no such session, or it was measured under other conditions.
        """
        self._facts = facts
        if self._settings.replay is not None:
            self._replay((share and share.continues) or self._settings.replay)
        elif self._settings.resume and share is not None and share.continues:
            self._join(share.continues, share.began)
        elif self._settings.resume:
            self._resume(collected or (lambda: facts))

    def _log(self, option: str) -> ExperimentLog:
        if self._location is None:
            raise StoreError(f"{option}: there is no experiment log, since --promptune-store is empty.")
        return ExperimentLog(self._location)

    def _replay(self, name: str) -> None:
        with self._log("--promptune-replay") as log:
            found = log.experiment(name)
            self.stored = StoredSamples(log.samples(found.id), replays=True, name=found.id)
        self.replay_of = found.id

    def _resume(self, collected: Callable[[], Facts]) -> None:
        nothing = "There was no interrupted experiment to resume: everything was measured."
        if self._location is not None and self._location.path and not self._location.path.exists():
            self.notes.append(nothing)
            return
        with self._log("--promptune-resume") as log:
            found = find_interrupted(
                log, self._facts.conditions, collected=lambda: collected().conditions, root=self._root
            )
            if found is None:
                self.notes.append(nothing)
                return
            have_results = {(result.module, result.test) for result in log.results(found.id)}
            refuse_left_out(found.id, have_results - self._facts.names)
            self._take_models(log.conditions_of(found.id))
            self.stored = StoredSamples(log.finished_samples(found.id), name=found.id)
        self.take_over(found.id)

    def _take_models(self, before: Mapping[str, Any]) -> None:
        """They are a condition from the beginning, as they were met in the experiment that goes on."""
        self._models = dict(before.get(MODELS, {}))
        self._facts = replace(self._facts, conditions={**self._facts.conditions, MODELS: dict(self._models)})

    def _join(self, id_: str, began: float | None) -> None:
        """Replace a process that crashed: the experiment, found by others before, is running by now."""
        with self._log("--promptune-resume") as log:
            samples = list(log.finished_samples(id_))
            self._take_models(log.conditions_of(id_))
        self.stored = StoredSamples(samples, name=id_)
        self.of_this_session = frozenset(
            sample.key for sample in samples if began is not None and (sample.finished or 0.0) >= began
        )
        self.take_over(id_)

    def take_over(self, id_: str) -> None:
        """Continue an interrupted experiment under its own id, or replay one under a new id."""
        if self._settings.replay is not None:
            self.replay_of = id_
        else:
            self.id = id_
            self._resumes = True

    def met(self, found: Mapping[str, Sequence[str]]) -> None:
        """An app was made, and holds these chat models, by what it is called; nothing was called of it.

        Raises:
            StoreError: when the experiment that goes on was measured with others.
        """
        clean = {app: [self.redactor.text(model) for model in models] for app, models in found.items()}
        if self._resumes:
            refuse_other_models(self.id, self._models, clean)
        self.know_models(clean)

    def mean_cost(self, wanted: Mapping[tuple[str, str], int]) -> float | None:
        """What a sample is expected to cost in USD, by the newest ones of each app and variant.

        Args:
            wanted: how many samples are to be measured, by app and variant.
        """
        location = self._location
        if location is None or (location.path and not location.path.exists()):
            return None
        try:
            with ExperimentLog(location) as log:
                return log.mean_cost(wanted)
        except StoreError:  # told where the session is stored
            return None

    # --- told between the processes of a session --------------------------------------------------

    def know_models(self, found: Mapping[str, Sequence[str]]) -> None:
        """Take over which chat models apps hold; what is known already stays."""
        new = {app: models for app, models in found.items() if models and app not in self._models}
        self._models |= new
        self._new_models |= new
        if new and self._writer is not None:
            self._writer.models(new)

    def take_new_models(self) -> dict[str, Sequence[str]]:
        """What came to be known of them, each once."""
        taken, self._new_models = self._new_models, {}
        return taken

    def knowledge(self) -> dict[str, Any]:
        """What only a process that collected knows, as plain data for the one that writes."""
        return {
            "conditions": self._facts.conditions,
            "prompts": self._facts.prompts,
            "cases": [asdict(case) for case in self._facts.cases],
            "series": self._facts.series,
            "resumes": self.stored.name,
            "notes": self.notes,
        }

    def stored_before(self) -> Iterator[LoggedSample]:
        """In an xdist controller: the samples of the experiment that goes on, before workers send more."""
        with suppress(StoreError), self._log("--promptune-resume") as log:  # told where the session is stored
            yield from log.finished_samples(self.id)

    def know(self, knowledge: Mapping[str, Any]) -> None:
        """Take over the `knowledge` of the first such process; the others know the same."""
        if self._facts.conditions:
            return
        self._facts = Facts(
            conditions=knowledge["conditions"],
            prompts=knowledge["prompts"],
            cases=tuple(LoggedCase(**case) for case in knowledge["cases"]),
            series=knowledge["series"],
        )
        self._models |= self._facts.conditions.get(MODELS, {})
        self.notes.extend(knowledge["notes"])
        if knowledge["resumes"]:
            self.take_over(knowledge["resumes"])

    # --- writing ----------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin to store; nothing waits for it."""
        if self._location is None or self._writer is not None:
            return
        options = {
            name: value for name, value in asdict(self._settings).items() if value not in (None, (), {})
        }
        commit = self._commit()
        self._has_commit = commit is not None
        conditions = self._facts.conditions
        if self._models:
            conditions = {**conditions, MODELS: dict(self._models)}
        manifest = Manifest(
            id=self.id,
            mode=self._settings.mode,
            started=self._started,
            conditions=conditions,
            options=options,
            prompts=self._facts.prompts,
            cases=self._facts.cases,
            runs=max(conditions.get("runs", {}).values(), default=None),
            variants=tuple(conditions.get("variants", ())),
            series=self._facts.series,
            note=self._settings.note,
            **({} if commit is None else asdict(commit)),
            promptune=own_version(),
            python=python_version(),
            replay_of=self.replay_of,
        )
        self._writer = LogWriter(
            self._location,
            manifest,
            redactor=self.redactor,
            resumes=self._resumes,
            process=self._process,
        )
        for result in self._early:
            self._writer.result(result)
        self._early.clear()

    def sample(self, sample: LoggedSample) -> None:
        """Store a finished sample; callable from any thread."""
        if self._writer is not None:
            if not self._has_commit:
                self._tell_commit(self._writer)
            self._writer.sample(sample)

    def _tell_commit(self, writer: LogWriter) -> None:
        commit = self._commit()
        if commit is not None:
            self._has_commit = True
            writer.update(**asdict(commit))

    def wait_for(self, key: SampleKey, *, while_waiting: Callable[[], None]) -> None:
        """Wait until a sample can't be lost any more; `while_waiting` is called several times a second."""
        if self._writer is not None:
            self._writer.wait_for(key, while_waiting=while_waiting)

    def wait_until_ready(self, timeout: float) -> None:
        """Where a thread writes: wait until the store is open, or known not to open."""
        if self._writer is not None and self._process is None:
            self._writer.is_ready.wait(timeout)

    def result(self, result: Result) -> None:
        """Store what an item contributes; comments are there already, with the sample."""
        if any(score.comment for score in result.scores.values()):
            scores = {name: replace(score, comment="") for name, score in result.scores.items()}
            result = replace(result, scores=scores)
        if self._writer is not None:
            self._writer.result(result)
        elif self._location is not None:
            self._early.append(result)

    def flush(self) -> None:
        """Wait until everything that was given is stored, or can't be."""
        if self._writer is not None:
            self._writer.flush()

    def case_book(self, view: View, results: Sequence[Result]) -> CaseBook:
        """Every case of the session with its outputs, as far as the log has them."""
        from pytest_promptune.case_books import contents_of, read_case_book
        from pytest_promptune.core.casebook import build_case_book

        why = "Outputs are not shown: nothing was stored, since --promptune-store is empty."
        if self._writer is not None and self._location is not None:
            self._writer.flush()
            try:
                with ExperimentLog(self._location) as log:
                    return read_case_book(log, view, results=results)
            except StoreError as error:
                why = f"Outputs are not shown: {self._writer.problem or error}"
        clean = self.redactor.json
        cases = (
            replace(each, input=clean(each.input), expected=clean(each.expected), tags=clean(dict(each.tags)))
            for each in self._facts.cases
        )
        return build_case_book(view, results, contents=contents_of(cases), answers={}, lacking=why)

    def finish(
        self, *, complete: bool, commit: Commit, finished: str, seconds: float, exit_code: int, results: Any
    ) -> None:
        """The session has ended; what is left is written."""
        if self._writer is None:
            return
        self._writer.update(**asdict(commit))
        self._writer.finish(
            status="finished" if complete else "interrupted",
            finished=finished,
            seconds=seconds,
            exit_code=exit_code,
            results=results,
        )
        self._writer.close()
