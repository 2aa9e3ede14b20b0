"""What went on around the samples of a session, in sentences."""

import pytest

from pytest_promptune.core.course import Course, unpriced
from pytest_promptune.core.experiment import Experiment
from pytest_promptune.core.results import Result, SampleFacts


def experiment(*models: str) -> Experiment:
    """One with a sample for each model without a price."""
    made = Experiment()
    for run, model in enumerate(models, 1):
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
                sample=SampleFacts(unpriced=(model,) if model else ()),
            )
        )
    return made


def test_an_ordinary_course_has_no_warnings():
    """Neither a budget nor a model without a price is one by itself."""
    assert Course(has_budget=True).warnings(experiment("")) == []
    assert Course().warnings(experiment("m")) == []


@pytest.mark.parametrize(
    ("course", "said"),
    [
        (Course(replay_of="E1"), "Replayed: outputs of experiment E1"),
        (Course(log_problem="The disk is full."), "The disk is full."),
        (Course(stalled_s=4.0), "kept all samples waiting for 4.00 s: it blocks the event loop"),
        (Course(unpaid=2), "--promptune-max-cost was spent: 2 items not run"),
        (Course(has_budget=True), "--promptune-max-cost could not count all calls"),
    ],
    ids=["replay", "log", "stalled", "unpaid", "unpriced"],
)
def test_each_warning(course, said):
    """One warning for each thing that went wrong, and no other."""
    (found,) = course.warnings(experiment("m"))
    assert said in found


def test_unpriced_models_are_noted_once():
    """However many samples used them; none, no note."""
    (note,) = unpriced(experiment("m", "n", "m"))
    assert note.startswith("No price is known for m, n:")
    assert unpriced(experiment("", "")) == []
