"""What a variant may change of a node, and what it is told when that can't work."""

from typing import Any

import pytest

from pytest_promptune.core.errors import OverrideError, ParameterRejected, TemplateMismatch, VariantError
from pytest_promptune.core.failures import describe, is_worth_another_try
from pytest_promptune.core.model import Variant
from pytest_promptune.core.overrides import NodeOverride, read_overrides


def override(*, built: bool = False, **table: Any) -> NodeOverride:
    return read_overrides(Variant(name="v", nodes={"a/b": table}), built=built)["a/b"]


def refused(**table: Any) -> str:
    with pytest.raises(VariantError) as caught:
        override(**table)
    text = str(caught.value)
    assert text.startswith("variant 'v', nodes.a/b: ")
    return text


def test_a_prompt_is_rewritten_with_its_values():
    """The values come from the rendered text, in whatever order the new prompt has them."""
    changed = override(template="{a} then {b}.", prompt="B: {b}, A: {a}, {{json}}")
    assert changed.rewritten("one then {two}.") == "B: {two}, A: one, {json}"
    assert changed.rewritten("another text") is None


def test_short_names_stand_for_long_ones():
    """`{q}` in the new prompt is the old one's `{state["q"]}`."""
    changed = override(template='Text: {state["q"]}', prompt="T: {q}")
    assert changed.rewritten("Text: x") == "T: x"
    assert override(template='Text: {state["q"]}', prompt="T: {state['q']}").rewritten("Text: x") == "T: x"


@pytest.mark.parametrize("rendered", ["\n    Be brief.\n    {q}\n", "Be brief.\nX", "\nBe brief.\nX\n"])
def test_strip_and_dedent_are_allowed_for(rendered):
    """Source text is often dedented and stripped before it is used."""
    changed = override(template="\n    Be brief.\n    {q}\n", prompt="Short: {q}")
    assert changed.rewritten(rendered.replace("{q}", "X")) == "Short: X"


def test_braces_of_a_text_that_is_never_formatted():
    """The same text is the prompt whether the app formats it or sends it as it stands."""
    changed = override(template='Give {"a": {"b": 1}} for {q}', prompt='As {{"a": {{"b": 2}}}}: {q}')
    assert changed.rewritten('Give {"a": {"b": 1}} for x') == 'As {"a": {"b": 2}}: x'
    changed = override(template='Give {{"a": {{"b": 1}}}} for {q}', prompt="{q}")
    assert changed.rewritten('Give {"a": {"b": 1}} for x') == "x"
    assert changed.rewritten('Give {{"a": {{"b": 1}}}} for x') == "x"
    assert changed.rewritten('Give {{"a": {"b": 1}}} for x') is None


def test_several_ways_are_refused_if_they_matter():
    """Nobody guesses which value a text belongs to; where both ways give one prompt it doesn't matter."""
    with pytest.raises(TemplateMismatch, match=r"node 'a/b'.*split in several ways.*'x, y, z'"):
        override(template="{a}, {b}", prompt="{b} after {a}").rewritten("x, y, z")
    assert override(template="{a}, {b}", prompt="Of: {a}, {b}").rewritten("x, y, z") == "Of: x, y, z"


def test_a_builder_may_have_rendered_the_new_prompt():
    """Then there is nothing left to do; an app that isn't built for the variant has no such excuse."""
    changes = {"template": "Old {q}", "prompt": "New {q}"}
    assert override(**changes, built=True).rewritten("New x") == "New x"
    assert override(**changes).rewritten("New x") is None


def test_the_mismatch_shows_both_texts():
    """Where, the template, what came instead, and what to do; on one line whatever the model said."""
    error = override(template="Old {q}", prompt="New {q}").mismatch(["\x1b[31mred\nline", "b"])
    assert isinstance(error, OverrideError)
    assert str(error) == (
        "node 'a/b': the template no longer matches what the app renders. The template: "
        "'Old {q}'. The system and user messages of the call: 'red line'; 'b'. Copy the prompt from the app "
        "into template, or correct prompt_from."
    )


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "changes nothing"),
        ({"promt": "x"}, "unknown key 'promt'; a node has prompt, .* Did you mean 'prompt'"),
        ({"prompt": 3, "template": "a"}, "prompt is not a text"),
        ({"prompt": "x"}, "doesn't say what it replaces.*prompt_from"),
        ({"template": "x"}, "no new one"),
        ({"template": "a {x}{y}", "prompt": "{x} {y}"}, "{x} and {y} stand side by side"),
        ({"template": "{q}", "prompt": "Hi {q}"}, "no words of its own"),
        ({"template": "a {q}", "prompt": "b"}, "the new prompt lacks {q}"),
        (
            {"template": "a", "prompt": "b {q}"},
            "uses {q}, which the old one doesn't have.*old prompt's: none",
        ),
        (
            {"template": "a {q}", "prompt": "b {p}"},
            "lacks {q} and uses {p}, which .* the old prompt's: {q}",
        ),
        (
            {"template": "a", "prompt": 'b {"x": {"y": 1}}'},
            "the new prompt has a }} that closes no {{.*every brace, as {{",
        ),
        ({"few_shot": "x"}, "few_shot is a list of pairs"),
        ({"few_shot": [["a", "b", "c"]]}, "few_shot is a list of pairs"),
        ({"few_shot": [["a", 1]]}, "few_shot is a list of pairs"),
        ({"params": [1]}, "params is not a table"),
        ({"params": {"callbacks": []}}, r"params\.callbacks is no parameter"),
    ],
)
def test_slips(table, words):
    """Each is told before any call, with what would be right."""
    import re

    assert re.search(words, refused(**table)), refused(**table)


def test_all_slips_at_once():
    """And a table that is none."""
    with pytest.raises(VariantError) as caught:
        read_overrides(Variant(name="v", nodes={"a": {}, "b": 3, "c": {"params": {"stop": ["x"]}}}))  # type: ignore[dict-item]
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "variant 'v', nodes.a",
        "variant 'v', nodes.b",
    ]


def test_a_rejected_parameter_is_no_miss():
    """Such a sample is missing, not errored, and isn't tried again; a mismatch is errored."""
    rejected, mismatch = ParameterRejected("no"), TemplateMismatch("no")
    assert describe(rejected).infrastructure
    assert not describe(mismatch).infrastructure
    assert not is_worth_another_try(rejected)
    assert not is_worth_another_try(mismatch)
