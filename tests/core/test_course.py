"""What went on around the samples of a session, in sentences."""

import pytest

from pytest_promptune.core.course import Course, unpriced
from pytest_promptune.core.experiment import Experiment
from pytest_promptune.core.results import Result, SampleFacts


def experiment(*models: str) -> Experiment:
    """One with a sample for each model without a price."""
    return measured(*(SampleFacts(unpriced=(model,) if model else ()) for model in models))


def measured(*samples: SampleFacts) -> Experiment:
    """One with these samples."""
    made = Experiment()
    for run, sample in enumerate(samples, 1):
        made.add(
            Result(
                nodeid=f"test_m.py::test_a[{run}]",
                module="test_m.py",
                test="test_a",
                metric="test_a",
                app="bot",
                case_id="c",
                case_hash="h",
                variant="current",
                run=run,
                outcome="passed",
                sample=sample,
            )
        )
    return made


def test_an_ordinary_course_has_no_warnings():
    """Neither a budget nor a model without a price is one by itself."""
    assert Course(budget_usd=1.0).warnings(experiment("")) == []
    assert Course().warnings(experiment("m")) == []


@pytest.mark.parametrize(
    ("course", "said"),
    [
        (Course(replay_of="E1"), "Replayed: outputs of experiment E1"),
        (Course(log_problem="The disk is full."), "The disk is full."),
        (Course(stalled_s=4.0), "kept all samples waiting for 4.00 s: it blocks the event loop"),
        (Course(unpaid=2), "--promptune-max-cost was spent: 2 items not run"),
        (Course(budget_usd=1.0), "--promptune-max-cost could not count all calls"),
    ],
    ids=["replay", "log", "stalled", "unpaid", "unpriced"],
)
def test_each_warning(course, said):
    """One warning for each thing that went wrong, and no other."""
    (found,) = course.warnings(experiment("m"))
    assert said in found


def test_a_budget_that_was_exceeded():
    """What is just spent is no excess, nor is what isn't known."""
    (found,) = Course(budget_usd=1.0, spent_usd=1.1).warnings(experiment(""))
    assert "exceeded: $1.10 were spent of $1.00" in found
    assert Course(budget_usd=1.1, spent_usd=0.4 + 0.7).warnings(experiment("")) == []
    assert Course(budget_usd=1.1).warnings(experiment("")) == []
    assert Course(spent_usd=50.0).warnings(experiment("")) == []


def test_samples_of_two_models():
    """Those that were taken over and those of now; a router's overlap, and without any nothing is known."""

    def told(old: tuple[str, ...], new: tuple[str, ...]) -> list[str]:
        return Course().warnings(measured(SampleFacts(models=old, reused=True), SampleFacts(models=new)))

    (found,) = told(("gpt-4.1-mini",), ("gpt-4.1",))
    assert "bot under current: the samples that were taken over are of gpt-4.1-mini" in found
    assert "those of this session of gpt-4.1. " in found
    assert told(("a", "b"), ("b", "c")) == []
    assert told((), ("a",)) == []


def test_unpriced_models_are_noted_once():
    """However many samples used them; none, no note."""
    (note,) = unpriced(experiment("m", "n", "m"))
    assert note.startswith("No price is known for m, n:")
    assert unpriced(experiment("", "")) == []
