"""Texts in YAML, TOML and other files, with their lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_promptune.core.literals import Literal, LiteralIndex
from pytest_promptune.langgraph.nodes.sources import Sources
from pytest_promptune.langgraph.nodes.texts import texts_of

YAML = """
classify:
  system: "Sort the mail of {shop} carefully."
  steps:
    - first: &first Read the whole letter before you answer.
    - again: *first
"""
TOML = '''
[classify]
system = """
Sort the mail of {shop} carefully."""
names = ["Read the whole letter before you answer."]
'''


def lines(file: str, text: str) -> dict[str, int]:
    return {each.text.strip(): each.line for each in texts_of(Literal(file=file, line=1, text=text))}


@pytest.mark.parametrize(("file", "text", "places"), [("a.yaml", YAML, (3, 5)), ("a.toml", TOML, (4, 5))])
def test_values(file, text, places):
    """Each value with the line where it stands, an alias once."""
    assert lines(file, text) == {
        "Sort the mail of {shop} carefully.": places[0],
        "Read the whole letter before you answer.": places[1],
    }


@pytest.mark.parametrize("file", ["a.yaml", "a.toml", "a.md"])
def test_files_as_a_whole(file):
    """Where the content can't be read, and where there is none to read."""
    assert lines(file, "key: [") == {"key: [": 1}


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("app/p.py", 'X = 1\nP = f"Sort the mail of {X} carefully."\n', 2),
        ("p.yml", YAML, 3),
        ("p.toml", TOML, 4),
        ("p.txt", "Sort the mail of {shop} carefully.", 1),
        ("p.md", "Sort the mail of {shop} carefully.", 1),
        ("p.j2", "Sort the mail of {{ shop }} {% if x %}very much {% endif %}carefully.", 1),
    ],
)
def test_a_rendered_prompt_is_found(tmp_path: Path, name, text, line):
    """In every kind of file, with its line."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "test_p.py").write_text('P = "Sort the mail of Example Ltd carefully."\n', encoding="utf-8")
    (tmp_path / "other.py").write_text('P = "Something quite different for nobody."\n', encoding="utf-8")
    index = LiteralIndex(Sources(tmp_path).every_text())
    (found,) = index.rank("Sort the mail of Example Ltd carefully.")
    assert (found.file, found.line) == (name, line)
    assert index.rank("Where is my parcel, please?") == []
