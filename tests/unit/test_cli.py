"""What every subcommand has in common: how it refuses."""

from __future__ import annotations

import json

import pytest

from pytest_promptune.cli import main


@pytest.mark.parametrize(
    "words",
    [
        ["history"],
        ["show"],
        ["show", ":"],
        ["compare", "a", "b"],
        ["report"],
        ["adopt", "kind"],
        ["merge", "none.json"],
        ["goals", "none.md"],
        ["baseline", "rm", "none"],
        ["nodes", "--root", "none"],
        ["plan-runs"],
    ],
    ids=" ".join,
)
def test_refusals_are_json_where_that_was_asked_for(tmp_path, monkeypatch, capsys, words):
    """On standard output; for people, and with the same exit status, on standard error as without it."""
    monkeypatch.chdir(tmp_path)
    status = main(words)
    out, told = capsys.readouterr()
    assert status in (1, 2)
    assert (out, told[:17]) == ("", "pytest-promptune ")
    assert main([*words, "--json"]) == status
    out, err = capsys.readouterr()
    assert err == told
    (line,) = out.splitlines()
    found = json.loads(line)
    assert list(found) == ["error"]
    assert " ".join(found["error"].split()) in " ".join(told.split())
