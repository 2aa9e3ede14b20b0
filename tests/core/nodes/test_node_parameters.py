"""What the parameters of nodes were before."""

from __future__ import annotations

import pytest

from pytest_promptune.core.model import Change, ModelCall
from pytest_promptune.core.nodes.parameters import named, with_old_values


def change(after: str, **values: str | None) -> Change:
    given = {"kind": "node", "target": "ask", "before": None, "what": "parameter"} | values
    return Change(after=after, **given)


WARM = ("ask", [ModelCall(model="m", temperature=0.7, max_tokens=8)])
OTHER = ("reply", [ModelCall(temperature=0.1)])


@pytest.mark.parametrize(
    ("after", "calls", "before"),
    [
        ("temperature = 0.2", [WARM, OTHER, WARM], "temperature = 0.7"),
        ("max_tokens = 99", [WARM], "max_tokens = 8"),
        ("max_completion_tokens = 99", [WARM], "max_completion_tokens = 8"),
        ("model = 'n'", [WARM], "model = 'm'"),
        ("top_p = 0.2", [WARM], None),
        ("temperature = 0.2", [OTHER], None),
        ("temperature = 0.2", [("ask", [ModelCall()])], None),
        ("temperature = 0.2", [WARM, ("ask", [ModelCall(temperature=0.1)])], None),
        ("temperature = 0.2", [], None),
    ],
)
def test_old_values_are_those_of_the_traces(after, calls, before):
    """Of the node itself; none where nothing was seen, or several."""
    (found,) = with_old_values([change(after)], calls)
    assert found == change(after, before=before)


def test_prompts_and_other_kinds_stay_as_they_are():
    """Only parameters of nodes have no value of their own."""
    kept = (
        change("few_shot = []", what="prompt"),
        change("0.2", kind="context", target="temperature", before="0.5"),
        change("temperature = 0.2", before="temperature = 0.3"),
    )
    assert with_old_values(kept, [WARM]) == kept


def test_a_parameter_of_a_node_is_named_with_its_node():
    """Its values stand without the name."""
    assert named(change("temperature = 0.2", before="temperature = 0.7")) == (
        "ask: temperature",
        "0.7",
        "0.2",
    )
    assert named(change("stop = 'a = b'")) == ("ask: stop", None, "'a = b'")
    assert named(change("x = y", kind="context", target="style")) == ("style", None, "x = y")
