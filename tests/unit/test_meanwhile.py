"""Reading in a copy of the process while this one loads, whatever becomes of the copy."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from pytest_promptune.stored.meanwhile import read_meanwhile

PROGRAM = """
import os, sys
from pytest_promptune.stored.meanwhile import read_meanwhile

me = os.getpid()

def is_copy():
    return os.getpid() != me

def read():
    for number in range(4):
        if number == 2 and is_copy():
            {fails}
        if number == 3 and not is_copy():
            {fails_here}
        yield number, is_copy()

print("printed once")
sys.stdout.write("pending ")
try:
    print([*read_meanwhile(read, lambda: sys.stdout.write("loaded "))])
except ValueError as error:
    print(repr(error))
"""
COPIES = sys.platform == "linux"


def run(fails: str = "pass", fails_here: str = "pass") -> list[str]:
    """What a new process prints whose reading fails in the copy, or in itself."""
    code = PROGRAM.format(fails=fails, fails_here=fails_here)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_a_copy_reads():
    """Where it can; nothing that the original has still to print is printed twice."""
    assert run() == ["printed once", f"pending loaded {[(n, COPIES) for n in range(4)]}"]


@pytest.mark.parametrize(
    "fails", ["raise KeyError", "os._exit(0)", "os.kill(os.getpid(), 9)", "yield lambda: 0, 1", "sys.exit()"]
)
def test_a_copy_that_fails(fails):
    """What it didn't tell is read here, each value once."""
    found = [(0, COPIES), (1, COPIES), (2, False), (3, False)]
    assert run(fails) == ["printed once", f"pending loaded {found}"]


def test_an_error_of_reading():
    """It is raised here, with its own words."""
    fails = "raise ValueError('no such experiment')"
    assert run(fails, fails) == ["printed once", "pending loaded ValueError('no such experiment')"]


def test_a_process_with_threads_is_not_copied(monkeypatch):
    """Nor one that has loaded what reading needs: a test, or a program that calls the command."""
    monkeypatch.setattr("os.fork", lambda: pytest.fail("a copy"), raising=False)
    monkeypatch.delitem(sys.modules, "sqlalchemy", raising=False)
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert [*read_meanwhile(lambda: [1, 2], lambda: None)] == [1, 2]
    finally:
        done.set()
        thread.join()
    monkeypatch.setitem(sys.modules, "sqlalchemy", sys)
    assert [*read_meanwhile(lambda: [3], lambda: None)] == [3]
