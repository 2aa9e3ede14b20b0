"""Plots beside the Markdown report."""

from __future__ import annotations

import pytest
import views

from pytest_promptune.outputs import OutputError, write_outputs
from pytest_promptune.report import plots
from pytest_promptune.settings import Settings


@pytest.fixture(autouse=True)
def no_job_summary(monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


def write(tmp_path):
    path = tmp_path / "my report.md"
    write_outputs(views.three_variants(), Settings(report=(path,)), root=tmp_path)
    return path.read_text(encoding="utf-8")


def test_plots_lie_beside_the_report_and_old_ones_of_ours_go(tmp_path):
    folder = tmp_path / "my report_files"
    folder.mkdir()
    for name in ("cases-9.svg", "mine.svg"):
        (folder / name).write_text("old", encoding="utf-8")
    text = write(tmp_path)
    assert "](my%20report_files/differences.svg)" in text
    assert (folder / "differences.svg").read_text(encoding="utf-8").startswith("<svg")
    assert not (folder / "cases-9.svg").exists()
    assert (folder / "mine.svg").exists()


def test_without_the_extra_the_report_says_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "is_available", lambda: False)
    assert "pip install pytest-promptune[plots]" in write(tmp_path)
    assert not (tmp_path / "my report_files").exists()


def test_a_plot_that_cannot_be_drawn_is_told_and_the_report_is_written(tmp_path, monkeypatch):
    def broken(view):
        raise ValueError("no ink")

    monkeypatch.setattr(plots, "draw", broken)
    with pytest.raises(OutputError, match="no ink") as raised:
        write(tmp_path)
    assert raised.value.written == ("my report.md",)
    assert not raised.value.is_file_missing
    assert "be drawn (ValueError: no ink)" in (tmp_path / "my report.md").read_text(encoding="utf-8")
