"""Files replaced whole, and baseline files where they belong."""

import os
import stat
import sys
from pathlib import Path

import pytest

from pytest_promptune.core.baseline import Baseline, Recorded
from pytest_promptune.core.errors import BaselineError
from pytest_promptune.store.baselines import baseline_path, other_baselines, read_baseline, write_baseline
from pytest_promptune.store.files import WriteError, append_text, write_text

posix = pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file(tmp_path):
    """Folders are made, the text is UTF-8 with plain line ends, nothing else is left."""
    path = tmp_path / "a" / "b" / "report.md"
    write_text(path, "größe\nend\n")
    assert path.read_bytes() == "größe\nend\n".encode()
    assert names(path.parent) == ["report.md"]


def test_an_old_file_is_replaced(tmp_path):
    """The whole text is new."""
    path = tmp_path / "report.md"
    path.write_text("something much longer")
    write_text(path, "short")
    assert path.read_text() == "short"
    assert names(tmp_path) == ["report.md"]


@posix
def test_permissions_are_kept(tmp_path):
    """A file that others may not read stays so."""
    path = tmp_path / "report.md"
    path.write_text("old")
    path.chmod(0o640)
    write_text(path, "new")
    assert mode(path) == 0o640


@posix
def test_permissions_of_a_new_file(tmp_path):
    """A new file gets what any other file would get, not those of a temporary one."""
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "report.md", "new")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert mode(tmp_path / "report.md") == 0o640


@pytest.mark.parametrize("write", [write_text, append_text])
def test_text_without_utf_8(tmp_path, write):
    """A lone surrogate, as models give now and then, is written as its escape; the session goes on."""
    write(tmp_path / "report.md", "ok \ud800 é\n")
    assert (tmp_path / "report.md").read_bytes() == "ok \\ud800 é\n".encode()


@posix
def test_a_link_stays_a_link(tmp_path):
    """A report that is a link to a shared place is written there."""
    (tmp_path / "shared").mkdir()
    target, link = tmp_path / "shared" / "real.md", tmp_path / "report.md"
    target.write_text("old")
    link.symlink_to(target)
    write_text(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


@pytest.mark.parametrize("failure", ["write", "rename"])
def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch, failure):
    """When writing or renaming fails, the old file stays and no scrap is left."""
    path = tmp_path / "report.md"
    path.write_text("old")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*{"write": (os, "fdopen", full), "rename": (Path, "replace", full)}[failure])
    with pytest.raises(WriteError, match=r"report\.md: can't be written \(No space left"):
        write_text(path, "new")
    monkeypatch.undo()
    assert names(tmp_path) == ["report.md"]
    assert path.read_text() == "old"


def test_ctrl_c_leaves_no_scrap(tmp_path, monkeypatch):
    """An interrupt between writing and renaming comes through and leaves nothing behind."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_text(tmp_path / "report.md", "new")
    assert names(tmp_path) == []


def test_a_folder_in_the_way(tmp_path):
    """A path that is a folder, or goes through a file, is told with the path."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "folder", tmp_path / "file" / "report.md"):
        with pytest.raises(WriteError) as caught:
            write_text(path, "new")
        assert str(path) in str(caught.value)
    assert names(tmp_path) == ["file", "folder"]


def test_appending(tmp_path):
    """A summary that others write to is appended to, in UTF-8."""
    path = tmp_path / "summary.md"
    append_text(path, "é\n")
    append_text(path, "b\n")
    assert path.read_bytes() == "é\nb\n".encode()
    with pytest.raises(WriteError, match="can't be appended"):
        append_text(tmp_path / "nowhere" / "summary.md", "x")


# --- baselines ------------------------------------------------------------------------------------

EMPTY = Baseline(
    recorded=Recorded(at="", commit=None, dirty=None, runs=1, promptune=""), cases={}, metrics={}, scores={}
)


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("test_a.py", "__promptune__/test_a.main.json"),
        ("tests/prompts/test_a.py", "tests/prompts/__promptune__/test_a.main.json"),
        ("tests/test_a.b.py", "tests/__promptune__/test_a.b.main.json"),
    ],
)
def test_where_a_baseline_lies(tmp_path, module, expected):
    """In a folder beside the test module, named after it."""
    assert baseline_path(tmp_path, module, "main") == tmp_path / expected


def test_write_and_read(tmp_path):
    """What is written is read back; where there is no file there is no baseline."""
    path = tmp_path / "__promptune__" / "test_a.main.json"
    assert read_baseline(path) is None
    write_baseline(path, EMPTY)
    assert read_baseline(path) == EMPTY


@pytest.mark.parametrize("content", [b"", b"\xff\xfe{", b"{}", b'{"format": 9}'], ids=repr)
def test_damage_names_the_path(tmp_path, content):
    """A file that can't be used is told with its full path."""
    path = tmp_path / "test_a.main.json"
    path.write_bytes(content)
    with pytest.raises(BaselineError) as caught:
        read_baseline(path)
    assert str(path) in str(caught.value)


def test_a_folder_instead_of_a_file(tmp_path):
    """What can't be read is told as such."""
    with pytest.raises(BaselineError, match="can't be read"):
        read_baseline(tmp_path)


def test_windows_line_ends(tmp_path):
    """A checkout with other line ends is the same baseline."""
    path = tmp_path / "test_a.main.json"
    write_baseline(path, EMPTY)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_baseline(path) == EMPTY


def test_other_baselines(tmp_path):
    """Names under which a module has baselines, not those of modules that begin like it."""
    assert other_baselines(tmp_path, "test_a.py") == []
    folder = tmp_path / "__promptune__"
    folder.mkdir()
    for name in (
        "test_a.main.json",
        "test_a.dev.json",
        "test_ab.main.json",
        "test_a.b.main.json",
        "test_a.txt",
    ):
        (folder / name).touch()
    assert other_baselines(tmp_path, "test_a.py") == ["dev", "main"]
