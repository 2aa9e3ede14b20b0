"""What went on around the samples of a session, and how it is said."""

from __future__ import annotations

from pytest_promptune.core.display import clean, count, money, seconds, some
from pytest_promptune.core.experiment import Experiment
from pytest_promptune.core.prices import unpriced_note
from pytest_promptune.core.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How a session went, whatever its samples are worth."""

    #: Id of the experiment whose outputs were scored again.
    replay_of: str | None = None
    #: Items that it has no sample of.
    unstored: int = 0
    #: Why it isn't in the experiment log, or not from some moment on.
    log_problem: str | None = None
    #: For how long an app kept all samples waiting.
    stalled_s: float | None = None
    #: Items whose sample was not generated since the budget was spent.
    unpaid: int = 0
    #: What the session might spend, ``None`` for any amount, and has spent, as far as that is known.
    budget_usd: float | None = None
    spent_usd: float | None = None

    def warnings(self, experiment: Experiment) -> list[str]:
        """What the reader of the results has to know, most important first."""
        found = []
        if self.replay_of:
            found.append(
                f"Replayed: outputs of experiment {self.replay_of}, scored with today's tests; "
                f"the app was not called.{_skipped(self.unstored)}"
            )
        if self.log_problem:
            found.append(self.log_problem)
        if self.stalled_s is not None:
            found.append(
                f"An app kept all samples waiting for {seconds(self.stalled_s)}: it blocks the "
                "event loop. Await its calls, or make it a synchronous function, which runs in a thread."
            )
        if self.unpaid:
            found.append(
                f"--promptune-max-cost was spent: {count(self.unpaid, 'item')} not run, whose "
                "samples count as missing. --promptune-resume measures them with a budget of their own."
            )
        found += self._overspent()
        found += _mixed(experiment)
        if self.budget_usd is not None and any(fact.unpriced for fact in experiment.samples.values()):
            found.append(
                "--promptune-max-cost could not count all calls: some models have no known price. Give it in "
                "promptune_prices."
            )
        return found

    def _overspent(self) -> list[str]:
        """What was in flight when the budget was reached is paid for as well."""
        spent, budget = self.spent_usd, self.budget_usd
        if spent is None or budget is None or spent <= budget * (1 + 1e-9):
            return []
        return [
            f"--promptune-max-cost was exceeded: {money(spent)} were spent of {money(budget)}. What is in "
            "flight when it is reached is paid for; a lower --promptune-concurrency makes that less."
        ]


def _skipped(unstored: int) -> str:
    if not unstored:
        return ""
    return f" {count(unstored, 'item')} skipped: there is no stored sample of them, as they are now."


def _mixed(experiment: Experiment) -> list[str]:
    """Samples of an earlier session beside those of a changed app: neither says what the other's app does."""
    models: dict[tuple[str, str], tuple[set[str], set[str]]] = {}
    for (app, _, variant, *_), facts in experiment.distinct_samples.items():
        models.setdefault((app, variant), (set(), set()))[facts.reused].update(facts.models)
    return [
        f"{clean(app)} under {clean(variant)}: the samples that were taken over are of "
        f"{some([clean(model) for model in sorted(old)])}, those of this session of "
        f"{some([clean(model) for model in sorted(new)])}. They are samples of two apps: measure all of them "
        "again, without --promptune-resume."
        for (app, variant), (new, old) in models.items()
        if new and old and new.isdisjoint(old)
    ]


def unpriced(experiment: Experiment) -> list[str]:
    """A note on the models without a price, if there are any."""
    facts = experiment.samples.values()
    models = dict.fromkeys(model for fact in facts for model in fact.unpriced)
    return [note] if (note := unpriced_note(tuple(models))) else []
