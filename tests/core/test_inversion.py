"""Templates backwards: exactly, or not at all."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_promptune.core.inversion import Template, has_unpaired, is_expression, short_names


@pytest.mark.parametrize(
    ("text", "parts", "names"),
    [
        ("plain", ("plain",), ()),
        ("Text: {q}", ("Text: ", ""), ("q",)),
        ('{state["q"]}!', ("", "!"), ("state['q']",)),
        ("{q}, {m.text}", ("", ", ", ""), ("q", "m.text")),
        ("{x!r:>10} {y:.2f}", ("", " ", ""), ("x", "y")),
        ("{state.get('q')}", ("", ""), ("state.get('q')",)),
        ('answer {{"a": 1}}', ('answer {"a": 1}',), ()),
        ('answer {"a": 1} or {}', ('answer {"a": 1} or {}',), ()),
        ('{"a": {}} or {{"a": {}}}', ('{"a": {}} or {"a": {}}',), ()),
        ("lone { and }", ("lone { and }",), ()),
        ("{{{q}}}", ("{", "}"), ("q",)),
        ("{größe}", ("", ""), ("größe",)),
    ],
)
def test_what_is_a_placeholder(text, parts, names):
    """Names, attributes, items and calls; every other brace is a brace."""
    assert Template.parse(text) == Template(parts, names)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('{q}: {"a": {"b": 1}}', ("", ': {"a": {"b": 1}}')),
        ('{{"a": {q}}}', ('{{"a": ', "}}")),
        ("a {q}", ("a ", "")),
    ],
)
def test_a_text_that_is_never_formatted(text, parts):
    """Its double braces are two."""
    assert Template.parse(text, verbatim=True) == Template(parts, ("q",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": {"b": 1}}', True),
        ('{{"a": {"b": 1}}', True),
        ('{{"a": {{"b": 1}}}}', False),
        ('{{"a": {q}}}', False),
        ('{"a": {q}}}', True),
        ('{"a": {q}}', False),
        ("{{ {} }} {{{q}}}", False),
        ("a { and {{b}} } or }", False),
        ("an end }}", True),
        ('{"a": {}}, {{"a": {}}}', False),
        ("{{", False),
    ],
)
def test_double_braces_that_close_nothing(text, expected):
    """They close single ones, or none at all."""
    assert has_unpaired(text) is expected


def test_values_are_found():
    """Whatever stands where a placeholder is, line breaks and braces included."""
    template = Template.parse("Context: {c}\nQuestion: {q}?")
    text = "Context: a {q}\n\nb\nQuestion: why?\n??"
    assert template.splits(text) == ({"c": "a {q}\n\nb", "q": "why?\n?"},)
    assert template.fill({"c": "a {q}\n\nb", "q": "why?\n?"}) == text


@pytest.mark.parametrize(
    "text",
    ["", "Context: ", "context: a\nQuestion: b?", "Context: a\nQuestion: b", "Context: a Question: b?"],
)
def test_another_text_has_no_values(text):
    """Not even one character may differ."""
    assert Template.parse("Context: {c}\nQuestion: {q}?").splits(text) == ()


def test_parts_dont_overlap():
    """The beginning and the end may not share characters."""
    assert Template.parse("ab{x}ba").splits("aba") == ()
    assert Template.parse("ab{x}ba").splits("abba") == ({"x": ""},)


def test_ambiguous_texts_have_two_ways():
    """A value with the text between two placeholders in it."""
    assert Template.parse("{a}, {b}").splits("x, y, z") == (
        {"a": "x", "b": "y, z"},
        {"a": "x, y", "b": "z"},
    )


def test_a_name_that_occurs_again_has_one_value():
    """Both places must agree, which may also decide between two ways."""
    template = Template.parse("{q}|{q}")
    assert template.splits("a|b") == ()
    assert template.splits("a|a") == ({"q": "a"},)
    assert Template.parse("{a}|{b}|{a}").splits("x|y|x") == ({"a": "x", "b": "y"},)


def test_no_placeholders():
    """A text without them is itself, or isn't."""
    assert Template.parse("a").splits("a") == ({},)
    assert Template.parse("a").splits("ab") == ()


def test_touching_and_bare():
    """What can't be told apart, and what would fit everything."""
    assert Template.parse("a {x}{y} b").touching == ("x", "y")
    assert Template.parse("{x} {y}").touching is None
    assert Template.parse("{x} \n{y}").is_bare
    assert not Template.parse("{x} -> {y}").is_bare


def test_short_names():
    """The last word stands for a name, if it is the only one."""
    assert short_names(("state['q']", "m.text", "user")) == {"q": "state['q']", "text": "m.text"}
    assert short_names(("a.text", "b.text")) == {}
    assert short_names(("text", "b.text")) == {}
    assert short_names(("messages[-1].content",)) == {"content": "messages[-1].content"}


@pytest.mark.parametrize(
    ("text", "is_one"), [("a.b[0]('x')", True), ("1 + a", False), ("'a'.join(b)", False)]
)
def test_expressions(text, is_one):
    """What can be a placeholder as it is written."""
    assert is_expression(text) is is_one


def of_characters(alphabet: str, *, least: int, most: int) -> st.SearchStrategy[str]:
    """Plain lists: for texts Hypothesis would parse all loaded modules first."""
    return st.lists(st.sampled_from(alphabet), min_size=least, max_size=most).map("".join)


@settings(deadline=None)
@given(
    parts=st.lists(of_characters("ab {}\n", least=1, most=4), min_size=1, max_size=4),
    values=st.lists(of_characters("abc{}\n", least=0, most=5), min_size=4, max_size=4),
)
def test_every_split_gives_the_text(parts, values):
    """What was rendered is found, and every way found renders the same text."""
    names = tuple(string.ascii_lowercase[: len(parts) - 1])
    template = Template(tuple(parts), names)
    given_values = dict(zip(names, values, strict=False))
    text = template.fill(given_values)
    ways = template.splits(text)
    assert ways
    assert all(template.fill(way) == text for way in ways)
    assert len(ways) == 2 or ways == (given_values,)
