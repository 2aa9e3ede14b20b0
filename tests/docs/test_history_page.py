"""The transcripts of docs/history.md are what the commands say."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
import stored_logs

from pytest_promptune.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "history.md"
BLOCK = re.compile(r"^```console\n\$ pytest-promptune ([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_transcripts(utc, tmp_path, monkeypatch, capsys):
    """Word by word, at 80 columns; PROMPTUNE_WRITE_DOCS=1 writes them anew."""
    stored_logs.at(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def says(words: str) -> str:
        assert main(words.split()) == 0
        return capsys.readouterr().out

    text = PAGE.read_text(encoding="utf-8")
    made = BLOCK.sub(lambda m: f"```console\n$ pytest-promptune {m[1]}\n{says(m[1])}```", text)
    if os.environ.get("PROMPTUNE_WRITE_DOCS"):
        PAGE.write_text(made, encoding="utf-8")
    assert len(BLOCK.findall(text)) == 4
    assert made == text
