"""Where goals files are looked for, and those that can't be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_promptune.core.errors import GoalsError
from pytest_promptune.goal_files import PLACES, find_goals, require_goals

TEXT = "- Accuracy: 90% or higher\n"


def write(path: Path, text: str = TEXT) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_the_usual_places(tmp_path):
    """The first of three that is there; none is fine."""
    assert find_goals(None, root=tmp_path) is None
    for place in reversed(PLACES):
        write(tmp_path / place)
        found = find_goals(None, root=tmp_path)
        assert found is not None
        assert found.path == place


def test_a_given_path_and_none(tmp_path):
    """Relative to the root; an empty value reads none though there is one."""
    write(tmp_path / "docs" / "aims.md")
    write(tmp_path / "fine-tune.md")
    found = find_goals("docs/aims.md", root=tmp_path)
    assert found is not None
    assert found.path == "docs/aims.md"
    assert find_goals("", root=tmp_path) is None


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: None, "there is no such goals file"),
        (lambda path: path.write_bytes("精度: 90%以上".encode("shift_jis")), "not UTF-8 (byte 1)"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.write_text("x" * 1_000_001), "larger than 1 MB"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, make, why):
    """Which file, why, and what to do."""
    make(tmp_path / "aims.md")
    with pytest.raises(GoalsError) as caught:
        find_goals("aims.md", root=tmp_path)
    assert str(caught.value).startswith("aims.md: ")
    assert why in str(caught.value)


def test_the_command_needs_a_file(tmp_path):
    """Without one it says where it looked; a path is relative to where it was typed."""
    with pytest.raises(GoalsError, match="no goals file under"):
        require_goals(None, configured=None, root=tmp_path, here=tmp_path)
    write(tmp_path / "sub" / "aims.md")
    found = require_goals("aims.md", configured=None, root=tmp_path, here=tmp_path / "sub")
    assert found.path == "sub/aims.md"


def test_the_command_reads_what_sessions_read(tmp_path):
    """The project's setting, relative to its root; where that asks for none, it says so."""
    write(tmp_path / "docs" / "aims.md")
    write(tmp_path / "fine-tune.md")
    here = tmp_path / "docs"
    found = require_goals(None, configured="docs/aims.md", root=tmp_path, here=here)
    assert found.path == "docs/aims.md"
    with pytest.raises(GoalsError, match="promptune_goals is empty"):
        require_goals(None, configured="", root=tmp_path, here=here)
    assert require_goals("../fine-tune.md", configured="", root=tmp_path, here=here).path
