"""Rough estimates: the true number must lie within, and unknown prices stay unknown."""

from __future__ import annotations

import pytest

from pytest_promptune.core.planning import Range
from pytest_promptune.core.rough import RoughApp, rough_estimate, tokens

PLACE = ("bot", None)


@pytest.mark.parametrize(
    ("text", "true"),
    [  # as tokenizers of OpenAI and Meta count, more or less
        ("The quick brown fox jumps over the lazy dog.", 10),
        ('{"id": 17, "name": "x", "ok": true}', 15),
        ("antidisestablishmentarianism", 6),
        ("返金してください。", 6),
        ("🙂", 1),
        ("", 0),
    ],
)
def test_tokens(text, true):
    """Of prose, code and other scripts."""
    found = tokens(text)
    assert found.low <= true <= found.high


def app(**more) -> RoughApp:
    given = {"steps": 2, "limits": [None], "prices": [lambda read, written: (read + 10 * written) / 1e6]}
    return RoughApp(**{**given, **more})


def estimated(of: RoughApp, calls: int = 10, at_least: int = 10, inputs=("a" * 60,)):
    return rough_estimate(
        PLACE, of, calls={"current": calls}, at_least={"current": at_least}, inputs=list(inputs)
    )


def test_from_one_call_to_each_step_twice():
    """Ten samples of two steps are 10 to 40 calls; the inputs are read in each of them."""
    found = estimated(app())
    assert found.model_calls == Range(low=10, high=40)
    assert found.input_tokens == Range(low=100, high=40 * (60 / 2 + 1500))
    assert found.output_tokens == Range(low=10, high=40_000)
    assert found.experiment is None
    assert "1 to 4 model calls a sample" in found.basis


def test_limits_and_templates_count():
    """A limit of output tokens is the most that comes; templates are read too."""
    assert estimated(app(limits=[20])).output_tokens.high == 40 * 20
    assert estimated(app(limits=[20, 64_000])).output_tokens.high == 40 * 1_000
    longer = estimated(app(templates=["b" * 200]))
    assert longer.input_tokens.high == 40 * (60 / 2 + 100 + 1500)


def test_cost_is_from_the_cheapest_to_the_dearest():
    """It isn't known which step has which model."""
    found = estimated(app(prices=[lambda read, written: 1.0, lambda read, written: 3.0]))
    assert found.cost_usd == Range(low=1.0, high=3.0)


@pytest.mark.parametrize("prices", [[], [lambda read, written: 1.0, lambda read, written: None]])
def test_an_unknown_price_is_unknown(prices):
    """And not that of the other model."""
    assert estimated(app(prices=prices)).cost_usd is None


def test_the_first_look_is_the_lower_end():
    """A session may end there."""
    assert estimated(app(), calls=10, at_least=4).model_calls == Range(low=4, high=40)


def test_nothing_to_measure():
    """All samples are stored, or no input is known."""
    found = estimated(app(), calls=0, at_least=0)
    assert found.input_tokens == found.output_tokens == Range(low=0, high=0)
    assert estimated(app(), inputs=()).input_tokens.low == 0
