"""Names that are nearly a usual parameter of chat models."""

from __future__ import annotations

import pytest

from pytest_promptune.core.parameters import USUAL, meant_parameter


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("temperatur", "temperature"),
        ("temprature", "temperature"),
        ("max_token", "max_tokens"),
        ("top_pp", "top_p"),
        ("stop_sequence", "stop_sequences"),
        ("presence_penality", "presence_penalty"),
    ],
)
def test_slips_of_the_pen(name, meant):
    """The usual one is named."""
    assert meant_parameter(name) == meant


@pytest.mark.parametrize(
    "name",
    [*sorted(USUAL), "creativity", "guardrails", "maxTokens", "topP", "num_gpu", "typical_p", "safe_prompt"],
)
def test_parameters_that_are_somebodys(name):
    """Usual ones, and those that resemble none."""
    assert meant_parameter(name) is None


def test_parameters_of_the_models_at_hand():
    """A model that has such a parameter may well be meant."""
    assert meant_parameter("temperatures") == "temperature"
    assert meant_parameter("temperatures", {"temperatures"}) is None
