"""Prompts written into source: exactly the new text, in the form of the old one, and nothing else changed."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_promptune.adopting.contexts import context_changes
from pytest_promptune.adopting.nodes import Project, node_changes
from pytest_promptune.adopting.prompt_texts import Field
from pytest_promptune.adopting.python_literals import check_replaced, fields_of, literal
from pytest_promptune.adopting.python_source import PythonText
from pytest_promptune.adopting.source_files import as_edit, read_source
from pytest_promptune.adopting.values import ByHandError, Splice
from pytest_promptune.core.model import Variant
from pytest_promptune.langgraph.nodes.sources import Sources
from pytest_promptune.variants.literals import texts_in, with_templates


def project(root: Path, **more: Any) -> Project:
    return Project(root=root, variants=root / "prompts/variants", sources=Sources(root), **more)


def changed(root: Path, table: Mapping[str, Any], file: str = "app.py") -> str:
    """The file after the change of one node."""
    variant = with_templates(Variant(name="new", nodes={"ask": table}), root=root)
    splices, by_hand = node_changes({"ask": table}, {"ask": variant.nodes["ask"]["template"]}, project(root))
    assert not by_hand, by_hand[0]
    source = read_source(root / file)
    edit = as_edit(source, splices)
    return source.raw.decode() if edit is None else edit.after.decode()


def by_hand(root: Path, table: Mapping[str, Any], **more: Any) -> str:
    """Why a change of one node isn't written."""
    variant = with_templates(Variant(name="new", nodes={"ask": table}), root=root)
    olds = {"ask": variant.nodes["ask"].get("template", "")}
    splices, left = node_changes({"ask": table}, olds, project(root, **more))
    assert not splices
    (one,) = left
    return f"{one.where}: {one.what} ({one.why})"


FORMS = {
    "plain": ('A = "Is it?"\n', "Say yes.", 'A = "Say yes."\n'),
    "quotes stay": ("A = 'Is it?'\n", 'It\'s "so".', "A = 'It\\'s \"so\".'\n"),
    "line ends in one line": ('A = "Is it?"\n', "one\ntwo\t3", 'A = "one\\ntwo\\t3"\n'),
    "triple": ('A = """Is it?\n"""\n', 'one\n"two"', 'A = """one\n"two\\""""\n'),
    "triple quotes inside": ('A = """Is it?"""\n', 'a """ b', 'A = """a ""\\" b"""\n'),
    "continued first line": ('A = """\\\nIs it?\n"""\n', "one\ntwo\n", 'A = """\\\none\ntwo\n"""\n'),
    "raw": ('A = r"Is it?\\d"\n', "a\\b", 'A = r"a\\b"\n'),
    "raw that can't be": ('A = r"Is it?"\n', 'a"b', 'A = "a\\"b"\n'),
    "backslash": ('A = "Is it?"\n', "a\\nb", 'A = "a\\\\nb"\n'),
    "invisible": ('A = "Is it?"\n', "a\u202eb\x1b[0m", 'A = "a\\u202eb\\x1b[0m"\n'),
    "f-string": (
        "A = f\"Is it {state['q']!r:>10} or {x}?\"\n",
        "Say {x} to {q}.",
        "A = f\"Say {x} to {state['q']!r:>10}.\"\n",
    ),
    "braces of an f-string": ('A = f"Is it {x}? {{}}"\n', 'As {{"a": {x}}}', 'A = f"As {{\\"a\\": {x}}}"\n'),
    "format": ('A = "Is it {x!s}?".format(x=1)\n', "{{x}} {x}", 'A = "{{x}} {x!s}".format(x=1)\n'),
    "format by name": (
        'A = "Is it {x}?"\nB = A.format(x=1)\n',
        "{{}} {x}",
        'A = "{{}} {x}"\nB = A.format(x=1)\n',
    ),
    "never formatted": ('A = "Is {x}? {"\n', "{{x}} {x}", 'A = "{x} {x}"\n'),
    "prompt template": (
        'A = P.from_messages([("system", "Is it {x}?")])\n',
        '{{"a": {x}}}',
        'A = P.from_messages([("system", "{{\\"a\\": {x}}}")])\n',
    ),
    "stacked": (
        'A = (\n    "Is it so, "\n    f"{x}?"\n)\n',
        "Is it {x}?\nSay yes.",
        'A = (\n    f"Is it {x}?\\n"\n    "Say yes."\n)\n',
    ),
    "side by side": ("A = 'Is ' f'it {x}?'\n", "Say {x}.", "A = f'Say {x}.'\n"),
    "expressions": (
        "A = f\"Is it {', '.join(a + b)}?\"\n",
        "So {value_1}.",
        "A = f\"So {', '.join(a + b)}.\"\n",
    ),
    "nested format": ('A = f"Is {x:{w}}?"\n', "So {x}.", 'A = f"So {x:{w}}."\n'),
    "other braces in a field": ('A = f"Is { {1: 2}[x] }?"\n', "So {value_1}.", 'A = f"So { {1: 2}[x] }."\n'),
    "named characters": ('A = f"\\N{BULLET} is {x}?"\n', "So {x}.", 'A = f"So {x}."\n'),
    "beside other text": (
        'A = f(1, "é", "Is it so?"); B = 2\n',
        "Say yes.",
        'A = f(1, "é", "Say yes."); B = 2\n',
    ),
    "dedented": (
        'A = dedent("""\n    Is it?\n      no\n    """)\n',
        "\nSay:\n  yes\n",
        'A = dedent("""\n    Say:\n      yes\n    """)\n',
    ),
    "stripped": ('A = """\nIs it?\n""".strip()\n', "Say yes.", 'A = """\nSay yes.\n""".strip()\n'),
}


@pytest.mark.parametrize("form", FORMS)
def test_python(tmp_path, form: str):
    """The literal keeps its prefix, quotes, layout and fields; the new file says what was meant."""
    before, prompt, after = FORMS[form]
    (tmp_path / "app.py").write_text(before, encoding="utf-8")
    assert (
        changed(
            tmp_path, {"prompt_from": "app.py:1" if "(\n" not in before else "app.py:2", "prompt": prompt}
        )
        == after
    )
    ast.parse(after)


FILES = {
    "text": ("prompt.md", "Is it?\n", "Say yes.\n", "Say yes.\n"),
    "yaml block": (
        "p.yaml",
        "# p\na: 1\nb: |\n  Is it?\n  no\n\nc: x\n",
        "Say\n  yes\n",
        "# p\na: 1\nb: |\n  Say\n    yes\n\nc: x\n",
    ),
    "yaml block without end": (
        "p.yaml",
        "b: |-\n  Is it?\nc: x\n",
        "Say\nyes",
        "b: |-\n  Say\n  yes\nc: x\n",
    ),
    "yaml folded": ("p.yaml", "b: >-\n  Is\n  it?\nc: x\n", "Say\nyes", "b: |-\n  Say\n  yes\nc: x\n"),
    "yaml plain": ("p.yml", "b: Is it? # why\nc: x\n", "Say yes", "b: Say yes # why\nc: x\n"),
    "yaml plain that needs quotes": ("p.yml", "b: Is it?\n", "Say: yes", 'b: "Say: yes"\n'),
    "yaml quoted": ("p.yml", "b: 'Is it?'\n", "It's", "b: 'It''s'\n"),
    "toml": (
        "p.toml",
        '# "Is it?"\nb = "Is it?" # x\n',
        'Say "yes"',
        '# "Is it?"\nb = "Say \\"yes\\"" # x\n',
    ),
    "toml lines": (
        "p.toml",
        'b = """\nIs it?\n"""\nc = 1\n',
        "Say\nyes\n",
        'b = """\nSay\nyes\n"""\nc = 1\n',
    ),
    "toml literal": ("p.toml", "b = 'Is it?'\n", "a\\b", "b = 'a\\b'\n"),
    "jinja": ("p.j2", "Is it {x}?\n", "Say {x}.\n", "Say {x}.\n"),
}


@pytest.mark.parametrize("form", FILES)
def test_other_files(tmp_path, form: str):
    """Whole texts are replaced; of files of data only the one value, in its own way of writing."""
    name, before, prompt, after = FILES[form]
    (tmp_path / name).write_text(before, encoding="utf-8")
    old = {
        "text": "Is it?\n",
        "jinja": "Is it {x}?\n",
        "yaml block": "Is it?\nno\n",
        "toml lines": "Is it?\n",
    }
    table = {"template": old.get(form, "Is it?"), "prompt": prompt}
    assert changed(tmp_path, table, name) == after


def test_the_template_may_have_other_names_and_less_white_space(tmp_path):
    """What a variant quotes as the old prompt is found by its words; white space around it stays."""
    (tmp_path / "app.py").write_text('A = f"""\n    Is it {state[\'q\']}?\n    """\n', encoding="utf-8")
    table = {"template": "Is it {question}?", "prompt": "Say {question}."}
    assert changed(tmp_path, table) == 'A = f"""\n    Say {state[\'q\']}.\n    """\n'


def test_line_ends_encoding_and_mark_stay(tmp_path):
    """A file with Windows' line ends, a byte order mark or an encoding of its own keeps them."""
    path = tmp_path / "app.py"
    path.write_bytes(b'\xef\xbb\xbfX = 1\r\nA = """Is it?\r\nno"""\r\n')
    assert (
        changed(tmp_path, {"prompt_from": "app.py:2", "prompt": "a\nb"})
        == '\ufeffX = 1\r\nA = """a\r\nb"""\r\n'
    )
    path.write_bytes('# -*- coding: latin-1 -*-\nE = "é"\nA = "Is it?"\n'.encode("latin-1"))
    splices, _ = node_changes(
        {"ask": {"prompt": "für", "prompt_from": "app.py"}}, {"ask": "Is it?"}, project(tmp_path)
    )
    edit = as_edit(read_source(path), splices)
    assert edit is not None
    assert edit.after == '# -*- coding: latin-1 -*-\nE = "é"\nA = "für"\n'.encode("latin-1")


LEFT = {
    "joined": ('A = "Is it " + x + "?"\n', "Say {x}.", "put together with +"),
    "unknown braces": ('A = "Is it so?"\n', '{{"a": 1}}', "doesn't show whether the app formats"),
    "two ways of one field": ('A = f"Is {x!r} it {x}?"\n', "Say {x}.", "written in several ways"),
}


@pytest.mark.parametrize("why", LEFT)
def test_what_is_left_to_a_person(tmp_path, why: str):
    """Nothing is guessed: the place, the new text and the reason are told."""
    before, prompt, reason = LEFT[why]
    (tmp_path / "app.py").write_text(before, encoding="utf-8")
    told = by_hand(tmp_path, {"prompt_from": "app.py:1", "prompt": prompt})
    assert told.startswith("app.py:1: the prompt of node ask becomes:")
    assert prompt in told
    assert reason in told


def test_a_prompt_in_two_places_or_none(tmp_path):
    """A quoted old prompt must be found exactly once, outside of tests and variants."""
    table = {"template": "Is it so?", "prompt": "Say yes."}
    (tmp_path / "prompts/variants").mkdir(parents=True)
    (tmp_path / "prompts/variants/new.toml").write_text('[nodes.ask]\ntemplate = "Is it so?"\n')
    (tmp_path / "test_a.py").write_text('A = "Is it so?"\n')
    assert "isn't found in the project's files" in by_hand(tmp_path, table)
    (tmp_path / "a.py").write_text('A = "Is it so?"\n')
    (tmp_path / "b.md").write_text("Is it so?\n")
    assert "stands in 2 places: a.py:1, b.md:1" in by_hand(tmp_path, table)


def test_examples_and_parameters_are_left_to_a_person(tmp_path):
    """With the place of the call that samples showed."""
    splices, left = node_changes(
        {"ask": {"few_shot": [["hi", "no"]], "params": {"temperature": 0}}},
        {},
        project(tmp_path, sites={"ask": ("app.py:7",)}),
    )
    assert not splices
    assert [each.where for each in left] == ["app.py:7", "app.py:7"]
    assert "user: hi\n  assistant: no" in left[0].what
    assert "temperature = 0" in left[1].what


def test_lines_that_moved(tmp_path):
    """The old prompt is found by its text when the file grew above it."""
    (tmp_path / "app.py").write_text('import x\n\nA = "Is it?"\nB = "other text"\n')
    splices, left = node_changes(
        {"ask": {"prompt_from": "app.py:1", "prompt": "Say yes."}}, {"ask": "Is it?"}, project(tmp_path)
    )
    assert not left
    edit = as_edit(read_source(tmp_path / "app.py"), splices)
    assert edit is not None
    assert edit.after == b'import x\n\nA = "Say yes."\nB = "other text"\n'


def test_written_by_hand_already(tmp_path):
    """With --applied a prompt that is there already needs no change."""
    (tmp_path / "app.py").write_text('A = "Say yes."\n')
    given = ({"ask": {"prompt_from": "app.py:1", "prompt": "Say yes."}}, {"ask": "Is it?"})
    assert node_changes(*given, project(tmp_path, applied=True)) == ([], [])
    assert node_changes(*given, project(tmp_path))[1]


def test_two_changes_of_one_file(tmp_path):
    """Both are made, wherever they stand; two texts for one place are a person's choice."""
    (tmp_path / "app.py").write_text('A = "Is it?"\nB = "Who is it?"\n')
    olds = {"a": "Is it?", "b": "Who is it?", "c": "Is it?"}
    nodes = {
        "a": {"prompt": "longer than before"},
        "b": {"prompt": "x"},
        "c": {"prompt": "longer than before"},
    }
    splices, _ = node_changes(nodes, olds, project(tmp_path))
    edit = as_edit(read_source(tmp_path / "app.py"), splices)
    assert edit is not None
    assert edit.after == b'A = "longer than before"\nB = "x"\n'
    assert edit.what == "prompt of node a, prompt of node c, prompt of node b"
    splices, _ = node_changes(nodes | {"c": {"prompt": "other"}}, olds, project(tmp_path))
    with pytest.raises(ByHandError, match="want different texts"):
        as_edit(read_source(tmp_path / "app.py"), splices)


TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
QUOTES = st.sampled_from(['"', "'", '"""', "'''"])


@settings(max_examples=400, deadline=None)
@given(text=TEXT, prefix=st.sampled_from(["", "r", "f", "rf", "u"]), quote=QUOTES, fields=st.booleans())
def test_any_text_in_any_literal(text: str, prefix: str, quote: str, fields: bool):
    """Whatever the new text is, the literal's value is that text and the file around it is the same."""
    has_fields = fields and "f" in prefix
    body = "Is {x!r:>{w}} it?" if has_fields else "Is it?"
    source = PythonText(f"f(1)\nA = g(é, {prefix}{quote}{body}{quote}, 2)  # {quote}\nB = 3\n")
    (node,) = texts_in(source.tree)
    found = fields_of(source.parts(node))
    pieces = (text, *(piece for raw in found for piece in (Field(raw), text)))
    start, end, new = literal(source, node, pieces)
    assert source.text[start:end] == f"{prefix}{quote}{body}{quote}"
    check_replaced(source, node, source.text[:start] + new + source.text[end:], pieces)


@settings(max_examples=300, deadline=None)
@given(text=TEXT, words=st.integers(0, 60))
def test_any_text_in_literals_below_each_other(text: str, words: int):
    """They say the new text together, in lines that are no wider than a word needs."""
    source = PythonText('A = (\n    "Is it "\n    f"{x[1]}?"\n)\n')
    (node,) = texts_in(source.tree)
    pieces = (text + " word" * words, Field("{x[1]}"), text)
    start, end, new = literal(source, node, pieces)
    check_replaced(source, node, source.text[:start] + new + source.text[end:], pieces)


def test_a_change_beside_the_literal_is_noticed():
    """The check of what was written compares the whole file."""
    source = PythonText('A = "Is it?"\nB = 1\n')
    (node,) = texts_in(source.tree)
    check_replaced(source, node, 'A = "x"\nB = 1\n', ("x",))
    for wrong in ('A = "y"\nB = 1\n', 'A = "x"\nB = 2\n', 'A = "x\nB = 1\n'):
        with pytest.raises(ByHandError):
            check_replaced(source, node, wrong, ("x",))


SCHEMA = """
from dataclasses import dataclass, field

@dataclass
class Base:
    depth: int = 3

@dataclass
class Tunables(Base):
    system: str = "Is it?"
    temperature: float = 0.7
    bias: float = -1.0
    tone: str = field(default='dry')
    names: list[str] = field(default_factory=list)
    needed: str
    kind: str = KIND

class Other:
    system: str = "Is it?"

graph = StateGraph(State, context_schema=Tunables)
"""

CONTEXTS = [
    ("system", "Say {yes}.", 'system: str = "Is it?"', 'system: str = "Say {yes}."'),
    ("temperature", 0, "temperature: float = 0.7", "temperature: float = 0"),
    ("bias", 2.5, "bias: float = -1.0", "bias: float = 2.5"),
    ("tone", "warm", "field(default='dry')", "field(default='warm')"),
    ("depth", 5, "depth: int = 3", "depth: int = 5"),
]


@pytest.mark.parametrize(("name", "value", "old", "new"), CONTEXTS, ids=[each[0] for each in CONTEXTS])
def test_defaults_of_the_context(tmp_path, name: str, value: object, old: str, new: str):
    """The literal in the class that the graph has as its context is replaced, in bases too."""
    (tmp_path / "app.py").write_text(SCHEMA)
    splices, left = context_changes({name: value}, project(tmp_path))
    assert not left
    edit = as_edit(read_source(tmp_path / "app.py"), splices)
    assert edit is not None
    assert edit.after.decode() == SCHEMA.replace(old, new, 1)


@pytest.mark.parametrize(
    ("name", "value", "where", "why"),
    [
        ("tone", ["a"], "app.py:13", "no text, number or truth value"),
        ("names", "a", "app.py:14", "has no default there"),
        ("needed", "a", "app.py:15", "has no default there"),
        ("kind", "a", "app.py:16", "put together"),
        ("system", 3, "app.py:10", "of another kind"),
        ("unknown", 3, "where the app sets it", "no class that is given as context_schema= defines unknown"),
    ],
)
def test_contexts_that_are_left_to_a_person(tmp_path, name: str, value: object, where: str, why: str):
    """With the line where there is one."""
    (tmp_path / "app.py").write_text(SCHEMA)
    splices, (one,) = context_changes({name: value}, project(tmp_path))
    assert not splices
    assert one.where == where
    assert why in one.why


def test_a_field_in_two_schemas(tmp_path):
    """Which of them is tested isn't guessed."""
    (tmp_path / "app.py").write_text(SCHEMA + "\nother = StateGraph(State, context_schema=m.Other)\n")
    _, (one,) = context_changes({"system": "x"}, project(tmp_path))
    assert "defined in 2 context schemas" in one.why


def test_splices_of_one_file_keep_their_places(tmp_path):
    """Stretches are replaced from the end, so that none moves another."""
    path = tmp_path / "a.txt"
    path.write_text("one two three\n")
    edit = as_edit(
        read_source(path),
        [
            Splice(path=path, start=0, end=3, text="first", what="a"),
            Splice(path=path, start=8, end=13, text="3", what="b"),
        ],
    )
    assert edit is not None
    assert edit.after == b"first two 3\n"
