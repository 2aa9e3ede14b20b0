"""The old prompt of a node, read from the app's source."""

import pytest

from pytest_promptune.core.errors import VariantError
from pytest_promptune.core.inversion import Template
from pytest_promptune.core.model import Variant
from pytest_promptune.variants.literals import template_at, with_templates

SOURCE = '''
SYSTEM = "You are {role}."
def node(state, llm, names):
    return llm.invoke(
        f"Classify {state['q']!r}: {{json}} {names[0]:>3}\\n"
        f"for {', '.join(names)}"
    )
def other(q, tone):
    return [{"role": "system", "content": "Be kind to people."}, "Text: " + q + " in " + tone.upper()]
LONG = """first
second {q}
third
"""
PAIR = ("one two", "three four")
LABELS = ["refund", "bug"]
'''


@pytest.fixture
def place(tmp_path):
    (tmp_path / "app.py").write_text(SOURCE, encoding="utf-8")
    (tmp_path / "prompt.txt").write_text("Say {q}\n", encoding="utf-8")
    (tmp_path / "prompt.j2").write_text("Say {{ q }}", encoding="utf-8")
    (tmp_path / "broken.py").write_text("def", encoding="utf-8")
    (tmp_path / "latin.py").write_bytes(b"A = '\xe9'")
    return lambda name: template_at(name, root=tmp_path)


def test_a_constant_is_a_template_as_it_stands(place):
    """It may be rendered by `format` or a PromptTemplate."""
    assert place("app.py:2") == "You are {role}."
    assert place("app.py:10") == "first\nsecond {q}\nthird\n"
    assert place("app.py:12") == "first\nsecond {q}\nthird\n"
    assert place("prompt.txt") == "Say {q}\n"


def test_an_f_string_gives_its_expressions(place):
    """Its braces are braces, its parts one text, and what isn't a name is numbered."""
    text = place("app.py:5")
    assert Template.parse(text) == Template(
        ("Classify ", ": {json} ", "\nfor ", ""), ("state['q']", "names[0]", "value_1")
    )
    assert place("app.py:6") == text


def test_joined_texts(place):
    """Words alone on the line (roles, keys) aren't the prompt; two texts are one too many."""
    with pytest.raises(
        VariantError, match=r"2 texts at this line: 'Be kind to people\.', 'Text: {q} in {tone"
    ):
        place("app.py:9")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (3, r'prompt_from = 3 is no place. Write prompt_from = "file.py:12"'),
        ("app.py", "the line where the prompt begins"),
        ("prompt.j2:1", "whole text file"),
        ("gone.py:1", "can't be read"),
        ("broken.py:1", "not valid Python"),
        ("latin.py:1", "not UTF-8"),
        ("app.py:1", "no text at this line. The nearest are in line 2"),
        ("app.py:14", "2 texts at this line: 'one two', 'three four'"),
        ("app.py:15", "2 texts at this line: 'refund', 'bug'"),
    ],
)
def test_slips(place, name, words):
    """Each says what would be right."""
    with pytest.raises(VariantError, match=words):
        place(name)


def test_variants_get_the_text(tmp_path, place):
    """In place of the reference; what has none stays, and all problems are told at once."""
    nodes = {"a": {"prompt_from": "app.py:2", "prompt": "As {role}."}, "b": {"params": {"temperature": 0}}}
    made = with_templates(Variant(name="v", nodes=nodes), root=tmp_path)
    assert made.nodes == {"a": {"prompt": "As {role}.", "template": "You are {role}."}, "b": nodes["b"]}
    assert with_templates(made, root=tmp_path) == made
    wrong = {"a": {"prompt_from": "gone.py:1"}, "b": {"prompt_from": "app.py:2", "template": "x"}}
    with pytest.raises(VariantError) as caught:
        with_templates(Variant(name="v", nodes=wrong), root=tmp_path)
    assert "nodes.a: " in str(caught.value)
    assert "nodes.b: it has template and prompt_from" in str(caught.value)
