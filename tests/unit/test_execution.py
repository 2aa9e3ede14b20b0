"""One sample on its way: the input that its app gets."""

import threading

import pytest
from echoing import built, execution, output

from pytest_promptune.core.errors import CaseError
from pytest_promptune.core.jobs import Outcome
from pytest_promptune.core.model import CURRENT, Variant

NOW = Variant(name=CURRENT)


def test_each_run_has_an_input_of_its_own():
    """What an app does to it, the next one doesn't see."""
    given = {"q": ["Hi"]}

    def app(value):
        value["q"].append("and more")
        return {"heard": len(value["q"])}

    assert [output(app, NOW, given)["heard"] for _ in range(2)] == [2, 2]
    assert given == {"q": ["Hi"]}


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"q": "Hi", "model": threading.Lock()}, "input['model'] (lock)"),
        ([threading.Lock()], "input (list)"),
    ],
)
def test_an_input_that_cannot_be_copied(given, part):
    """Says of which case, which part of it, and what to do."""
    sample = execution(built(lambda value: value), NOW, given)
    with pytest.raises(CaseError) as raised:
        sample.call()
    text = str(raised.value)
    assert text.startswith(f"case 'c': its {part} can't be copied (TypeError: cannot pickle '_thread.lock'")
    assert "the fixture may return a function of the case's input" in text
    logged = sample.logged(Outcome(error=raised.value, latency_s=0.0))
    assert str(logged.record.error).startswith("CaseError: case 'c'")
