"""Disks that are full or may only be read, real ones: a small file system of our own, where root may mount it."""

# ruff: noqa: E501  # the suites in strings keep their lines whole

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pytest_promptune.store.log import ExperimentLog, locate

XDIST = ["xdist.plugin"]
SIZE_KB = 1024

#: Each answer has 30 kB, so that sixty of them don't fit.
WORDY = """
import pytest
from pytest_promptune import Case


@pytest.fixture(scope="session")
def app():
    return lambda n: str(n).zfill(30_000)


@pytest.mark.promptune(app="app", runs=2)
@pytest.mark.parametrize("case", [Case(id=f"c{i:02d}", input=i) for i in range(30)], ids=str)
def test_it(case, sample):
    assert sample.output.endswith(str(case.input))
"""


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.fixture
def disk(project) -> Iterator[Path]:
    """An empty file system of a megabyte."""
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a file system, and here only on Linux")
    path = project.path / "disk"
    path.mkdir()
    done = command("mount", "-t", "tmpfs", "-o", f"size={SIZE_KB}k", "tmpfs", str(path))
    if done.returncode:
        pytest.skip(f"root may not mount here: {done.stderr.strip()}")
    yield path
    command("umount", "--lazy", str(path))


def fill(disk: Path) -> None:
    """Leave no byte."""
    with (disk / "filling").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    assert shutil.disk_usage(disk).free == 0


def make_read_only(disk: Path) -> None:
    assert command("mount", "-o", "remount,ro", str(disk)).returncode == 0


#: How a disk gets so that nothing can be written, and what is then said.
SPOILT = {"full": (fill, "No space left"), "read-only": (make_read_only, "Read-only file system")}


def survives(path: Path, ran, samples: int) -> str:
    """All samples were measured and reported; gives what was said, in one line."""
    assert ran.code == 0, ran.text
    assert ran.json["experiment"]["samples"] == samples
    report = (path / "promptune-report.md").read_text()
    said = " ".join(ran.out.split())
    for text in (said, report):
        assert "experiment log can't be used" in " ".join(text.split())
    assert any("experiment log can't be used" in text for text in ran.json["warnings"])
    return said


@pytest.mark.parametrize("workers", [0, 2])
def test_a_disk_that_fills_up(project, disk, workers):
    """In the middle of the session: it goes on, and what was stored until then can be read."""
    project.write(test_app=WORDY)
    store = f"--promptune-store=sqlite:///{disk}/log.db"
    args, plugins = (("-n", "2"), XDIST) if workers else ((), ())
    if workers:
        pytest.importorskip("xdist")
    ran = project.run(store, "--promptune-concurrency=2", *args, plugins=plugins)
    said = survives(project.path, ran, 60)
    assert ran.counts == {"passed": 60}
    assert "Make room on the disk" in said
    with ExperimentLog(locate(f"sqlite:///{disk}/log.db", root=project.path)) as log:
        # workers may have sent everything before the store has opened, for one commit
        assert (0 if workers else 1) <= len(list(log.samples("last"))) < 60


@pytest.mark.parametrize("how", SPOILT)
def test_a_store_on_such_a_disk(bot, disk, how):
    """From the start, with a store that is there or without: the session goes on and says so."""
    store = f"--promptune-store=sqlite:///{disk}/log.db"
    if how == "read-only":
        bot.run(store)
    SPOILT[how][0](disk)
    said = survives(bot.path, bot.run(store), 18)
    assert str(disk) in said


@pytest.mark.parametrize("how", SPOILT)
@pytest.mark.parametrize("regresses", [False, True])
def test_everything_on_such_a_disk(bot, disk, how, regresses):
    """Store, report and cache: the terminal still has the results and names each file that isn't there."""
    for name in ("conftest.py", "test_bot.py", "pytest.ini"):
        shutil.copy(bot.path / name, disk)
    calls = bot.path / "calls.log"
    source = (disk / "conftest.py").read_text()
    (disk / "conftest.py").write_text(source.replace('LOG.open("a")', f'open({str(calls)!r}, "a")'))
    first = bot.run("--promptune-baseline", cwd=disk)
    assert first.code == 0, first.text
    shutil.rmtree(disk / ".promptune")
    spoil, words = SPOILT[how]
    spoil(disk)
    ran = bot.run(cwd=disk, miss="all" if regresses else "")
    assert ran.code == (1 if regresses else 4), ran.text
    assert "INTERNALERROR" not in ran.text
    said = " ".join(ran.out.split())
    assert "promptune-report.md: can't be written" in said
    assert words in said
    assert "the experiment log can't be used" in said
    assert ("regressed" if regresses else "3 metrics inconclusive") in said
    assert ran.json["experiment"]["samples"] == 18  # this file lies elsewhere


def test_one_of_several_outputs(bot):
    """A file in the way of one report: JSON and the other report are written, the results are shown, and
    the session isn't green."""
    (bot.path / "file").touch()
    ran = bot.run("--promptune-report=file/report.md", "--promptune-report=good.md")
    assert ran.code == 4, ran.text
    assert ran.json["experiment"]["samples"] == 18
    assert "100.0" in (bot.path / "good.md").read_text()
    assert "promptune: no baseline main yet" in ran.out
    said = " ".join(ran.out.split())
    assert "file/report.md: can't be written" in said
    assert "Written: good.md," in said
