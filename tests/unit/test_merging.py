"""Merging: settings as plain data, and what every new setting has to decide."""

import dataclasses
import json
from pathlib import Path

import pytest

from pytest_promptune.conditions import module_hash
from pytest_promptune.core.margins import Percent
from pytest_promptune.core.runs import RunRange
from pytest_promptune.core.shards.shard import ShardError
from pytest_promptune.settings import Settings
from pytest_promptune.sharding import OWN, SHARED, settings_from_json, settings_to_json


def test_every_setting_is_shared_or_not():
    """A new setting that changes what is measured, compared or gated belongs to `SHARED`; others to `OWN`."""
    assert sorted(SHARED + OWN) == sorted(field.name for field in dataclasses.fields(Settings))


def test_settings_survive():
    """Plain data and back; percentages stay percentages."""
    before = Settings(
        compare=True,
        variant=("a", "b"),
        runs=7,
        runs_override=True,
        margin={"test_a": 0.05, "bot::latency_s": Percent(0.07)},
        margin_override=True,
        tolerance={"bot::latency_s": Percent(0.15), "words": 2.0},
        tolerance_override=True,
        strict=True,
        gate_cases=True,
        baseline_runs=10,
        alpha=0.01,
        gate="non-inferiority",
        scope="population",
        gate_metrics=("latency_s",),
        templates="templates",
        report=(),
    )
    after = settings_from_json(json.loads(json.dumps(settings_to_json(before))), path="x")
    assert dataclasses.replace(after, report=()) == before
    assert isinstance(after.margin["bot::latency_s"], Percent)
    assert not isinstance(after.margin["test_a"], Percent)
    assert isinstance(after.tolerance["bot::latency_s"], Percent)


@pytest.mark.parametrize(
    "change",
    [
        {"alpha": 2},
        {"alpha": 0.5},
        {"baseline": 1},
        {"margin": {"a": True}},
        {"margin": {"a": -1}},
        {"tolerance": {"a": "5%"}},
        {"tolerance": {"a": {"fraction": -0.1}}},
        {"strict": "yes"},
        {"gate_cases": None},
        {"baseline_runs": 0},
        {"runs": 0},
    ],
    ids=str,
)
def test_settings_of_a_damaged_file(change: dict[str, object]):
    """Values are checked as those of a command line."""
    with pytest.raises(ShardError, match=r"out\.json: damaged: settings"):
        settings_from_json(settings_to_json(Settings()) | change, path="out.json")


def test_a_module_hash_is_that_of_its_text(tmp_path: Path):
    """Git may change line endings from machine to machine."""
    (tmp_path / "unix.py").write_bytes(b"a = 1\nb = 2\n")
    (tmp_path / "windows.py").write_bytes(b"a = 1\r\nb = 2\r\n")
    assert module_hash(tmp_path, "unix.py") == module_hash(tmp_path, "windows.py")
    assert module_hash(tmp_path, "none.py") != module_hash(tmp_path, "unix.py")


def test_a_range_of_runs_survives():
    """As text that is typed; parts that were measured with the gate off have one."""
    before = Settings(runs=RunRange(3, 10), runs_override=True, gate="off")
    data = json.loads(json.dumps(settings_to_json(before)))
    assert data["runs"] == "3..10"
    assert settings_from_json(data, path="x").runs == RunRange(3, 10)
