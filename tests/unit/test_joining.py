"""When samples may join those of an interrupted session."""

from __future__ import annotations

from pytest_promptune.core.model import NodeRun, SampleRecord
from pytest_promptune.sampling import FirstSamples
from pytest_promptune.store.log import LoggedSample, SampleKey


def sample(run: int, *, app: str = "bot", case: str = "c", **nodes: str) -> LoggedSample:
    """Of nodes and the models they called, as ``answer="acme-1"``."""
    runs = tuple(NodeRun(node=node, calls=1, models=(model,)) for node, model in nodes.items())
    key = SampleKey(app=app, case_id=case, case_hash=f"hash of {case}", variant="current", run=run)
    return LoggedSample(key=key, record=SampleRecord(case_id=case, variant="current", run=run, nodes=runs))


def joined(
    stored: list[LoggedSample], *new: LoggedSample, is_whole: bool = True
) -> tuple[list[int], list[str]]:
    """Runs of the new samples that were handed on, in order, and why it was stopped."""
    handed: list[LoggedSample] = []
    reasons: list[str] = []
    first = FirstSamples(stored, finished=handed.append, stop=reasons.append)
    for each in new:
        first.take(each)
    first.close(is_whole=is_whole)
    return [each.key.run for each in handed], reasons


OLD = [sample(1, sort="small", answer="acme-1"), sample(2, answer="acme-2")]


def test_the_same_models_join_at_once():
    """Any of those that the node had."""
    assert joined(OLD, sample(3, answer="acme-2"), sample(4, answer="other")) == ([3, 4], [])


def test_three_of_another_model_are_refused():
    """None of them joins, whichever node it is; what comes after doesn't either."""
    new = [sample(run, sort="small", answer="acme-9") for run in (3, 4, 5, 6)]
    handed, reasons = joined(OLD, *new)
    assert handed == []
    assert reasons == ["other models: models of bot under current in answer: acme-9; before: acme-1, acme-2"]


def test_a_router_is_let_through():
    """A model that is known shows that the app is the same: what was held back joins first."""
    new = [sample(3, answer="rare"), sample(4, answer="rare"), sample(5, answer="acme-1")]
    assert joined(OLD, *new) == ([3, 4, 5], [])


def test_an_app_that_chooses_by_the_case_is_let_through():
    """Of a case that nothing is stored of, another model says nothing; where all had one model, it does."""
    stored = [sample(1, answer="acme-1"), sample(1, case="d", answer="acme-2")]
    new = [sample(run, case="e", answer="acme-9") for run in (1, 2, 3, 4)]
    assert joined(stored, *new) == ([1, 2, 3, 4], [])
    assert joined(stored[:1], *new)[0] == []
    assert joined(stored, *(sample(run, answer="acme-9") for run in (2, 3, 4)))[0] == []


def test_a_controller_refuses_nothing():
    """Its workers look by themselves; what they were not certain of is left out if one of them was."""
    for is_whole, expected in ((True, [3, 4, 5, 6]), (False, [])):
        handed: list[LoggedSample] = []
        first = FirstSamples(OLD, finished=handed.append, stop=None)
        for run in (3, 4, 5, 6):
            first.take(sample(run, answer="acme-9"))
        first.close(is_whole=is_whole)
        assert [each.key.run for each in handed] == expected


def test_nothing_joins_after_a_refusal():
    """A sample that was in flight may have a model that is known."""
    new = [sample(run, answer="acme-9") for run in (3, 4, 5)]
    handed, reasons = joined(OLD, *new, sample(6, answer="acme-1"))
    assert (handed, len(reasons)) == ([], 1)


def test_names_are_compared_as_they_are_stored():
    """A name that the store has no more, since it is a secret, is the same."""
    handed: list[LoggedSample] = []
    first = FirstSamples(
        [sample(1, answer="[redacted]")],
        finished=handed.append,
        stop=lambda why: None,
        clean=lambda text: "[redacted]" if text == "acme-777" else text,
    )
    first.take(sample(2, answer="acme-777"))
    assert len(handed) == 1


def test_too_few_are_no_evidence():
    """They join in the end; the session warns of them. One that was stopped leaves them out."""
    new = [sample(3, answer="acme-9"), sample(4, answer="acme-9")]
    assert joined(OLD, *new) == ([3, 4], [])
    assert joined(OLD, *new, is_whole=False) == ([], [])


def test_what_cannot_be_compared_joins():
    """Nodes and apps that no stored sample has, and samples without any."""
    new = [sample(3, later="x"), sample(4), sample(5, app="other", answer="x")] * 3
    assert joined(OLD, *new) == ([3, 4, 5] * 3, [])
