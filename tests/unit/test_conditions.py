"""Commit, time and versions, and no trace of the asking."""

import gc
import os
import re
import subprocess
import sys
import time
import types
import warnings
from pathlib import Path

import pytest

from pytest_promptune import conditions, installed
from pytest_promptune.conditions import (
    Commit,
    CommitReader,
    app_hashes,
    own_version,
    parse_status,
    python_version,
    timestamp,
)
from pytest_promptune.installed import library_versions


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("", Commit()),
        (
            "# branch.oid 0123456789abcdef0123456789abcdef01234567\n# branch.head main\n",
            Commit(commit="0123456789", branch="main", dirty=False),
        ),
        (
            "# branch.oid 0123456789abcdef\n# branch.head a/b c\n"
            "# branch.upstream origin/x\n# branch.ab +1 -0\n"
            "1 .M N... 100644 100644 100644 aaa bbb prompts/x.j2\n",
            Commit(commit="0123456789", branch="a/b c", dirty=True),
        ),
        ("# branch.oid (initial)\n# branch.head main\n", Commit(branch="main", dirty=False)),
        (
            "# branch.oid 0123456789abcdef\n# branch.head (detached)\n",
            Commit(commit="0123456789", dirty=False),
        ),
        (
            "# branch.oid 0123456789abcdef\n2 R. N... a b R100 new\told\n",
            Commit(commit="0123456789", dirty=True),
        ),
    ],
    ids=["nothing", "clean", "dirty", "initial", "detached", "renamed"],
)
def test_parse_status(output, expected):
    """What git says, in its format for programs."""
    assert parse_status(output) == expected


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    git(tmp_path, "init", "--quiet", "--initial-branch=trunk")
    (tmp_path / "a.txt").write_text("a")
    git(tmp_path, "add", ".")
    git(tmp_path, "-c", "user.name=n", "-c", "user.email=e@example.org", "commit", "--quiet", "--message=m")
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_a_repository(repository):
    """Commit, branch, and whether tracked files differ; other files don't count."""
    head = git(repository, "rev-parse", "HEAD")
    (repository / "untracked.txt").write_text("x")
    assert CommitReader(repository).read() == Commit(commit=head[:10], branch="trunk", dirty=False)
    (repository / "a.txt").write_text("b")
    assert CommitReader(repository).read().dirty is True


def test_a_folder_below(repository):
    """The root of the tests may lie below that of the repository."""
    (repository / "tests").mkdir()
    assert CommitReader(repository / "tests").read().branch == "trunk"


def test_outside_of_any_repository(tmp_path, monkeypatch):
    """Everything is unknown."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert CommitReader(tmp_path).read() == Commit(commit=None, branch=None, dirty=None)


def test_without_git(tmp_path, monkeypatch):
    """A machine without git: unknown, no error."""
    monkeypatch.setenv("PATH", str(tmp_path))
    reader = CommitReader(tmp_path)
    assert reader.read() == Commit()
    reader.close()


def test_without_the_folder(tmp_path):
    """A root that isn't there: unknown, no error."""
    assert CommitReader(tmp_path / "nowhere").read() == Commit()


def test_git_that_hangs(tmp_path, monkeypatch):
    """A git that doesn't answer is ended and unknown."""
    reader = CommitReader(tmp_path)
    reader.read()
    reader._found = None
    reader._process = subprocess.Popen(["sleep", "30"], stdout=subprocess.PIPE, text=True)
    communicate = reader._process.communicate
    monkeypatch.setattr(
        reader._process, "communicate", lambda timeout=None: communicate(timeout=timeout and 0.02)
    )
    assert reader.read() == Commit()
    assert reader._process.poll() is not None


def test_what_git_has_said_so_far(repository):
    """Nothing while it is at it, nothing waits; then what it said, as often as one asks."""
    reader = CommitReader(repository)
    slow = subprocess.Popen(["sleep", "30"], stdout=subprocess.PIPE, text=True)
    quick, reader._process = reader._process, slow
    assert reader.so_far() is None
    reader._process = quick
    quick.wait()
    found = reader.so_far()
    assert (found.branch, found.dirty) == ("trunk", False)
    assert reader.so_far() == reader.read() == found
    reader.close()
    assert reader.so_far() == found
    slow.kill()
    slow.communicate()


def test_git_that_is_closed_has_said_nothing(repository):
    """Whoever asks later gets an answer: unknown."""
    reader = CommitReader(repository)
    reader.close()
    assert reader.so_far() == reader.read() == Commit()


def test_reading_and_closing_leave_nothing(repository):
    """Read, closed, or both: no process and no open pipe stays behind."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        one, other = CommitReader(repository), CommitReader(repository)
        one.read()
        one.close()
        other.close()
        other.close()
        processes = [one._process, other._process]
        assert all(process.poll() is not None for process in processes)
        assert all(process.stdout.closed for process in processes)
        del one, other, processes
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


def test_closing_after_git_has_ended_leaves_no_pipe(repository):
    """A session that never asked (only collected, interrupted) closes the pipe of a git that has ended."""
    reader = CommitReader(repository)
    for _ in range(200):
        if reader._process.poll() is not None:
            break
        time.sleep(0.01)
    reader.close()
    assert reader._process.stdout.closed


def test_timestamp():
    """ISO 8601 in UTC to the second."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", timestamp())


def test_versions_of_libraries(monkeypatch):
    """Those between an app and its models; what isn't installed is left out."""
    assert library_versions()["pytest"] == pytest.__version__

    def one(name: str) -> str:
        if name != "openai":
            raise installed.PackageNotFoundError
        return "3.1"

    monkeypatch.setattr(installed, "version", one)
    assert library_versions() == {"openai": "3.1"}


def test_versions(monkeypatch):
    """This package's and Python's; a source tree on the path has none."""
    assert re.match(r"\d+\.\d+", own_version())
    assert re.fullmatch(r"\w+ \d+\.\d+\.\S+", python_version())

    def missing(_: str) -> str:
        raise conditions.PackageNotFoundError

    monkeypatch.setattr(conditions, "version", missing)
    assert own_version() == "unknown"


def test_modules_of_the_app(tmp_path, monkeypatch):
    """Those below the root that were imported: not installed, hidden, left out or made by hand."""
    files = ["app/one.py", "app/two.py", "conftest.py", ".venv/lib/three.py", "lib/site-packages/four.py"]
    for number, name in enumerate(files):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {number}\n", encoding="utf-8")
        module = types.ModuleType(f"made_{number}")
        module.__file__ = str(path)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(sys.modules, "made_up", object())
    found = app_hashes(tmp_path, but=["conftest.py"])
    assert list(found) == ["app/one.py", "app/two.py"]
    (tmp_path / "app/one.py").write_text("# 9\n", encoding="utf-8")
    again = app_hashes(tmp_path, but=["conftest.py"])
    assert again["app/one.py"] != found["app/one.py"]
    assert again["app/two.py"] == found["app/two.py"]
