"""``-n 2``: workers measure, the controller compares, gates and writes."""

# ruff: noqa: E501  # the suites in strings keep their lines whole

from __future__ import annotations

import pytest

pytest.importorskip("xdist")
XDIST = ["xdist.plugin"]
MISSES = "c00,c01,c02,c03"
GATE = "test_bot.py::test_answer::gate[test_answer-current]"


def stable(baseline: dict) -> dict:
    """What doesn't depend on the clock."""
    return {
        "cases": baseline["cases"],
        "metrics": baseline["metrics"],
        "scores": {name: rows for name, rows in baseline["scores"].items() if "latency" not in name},
        "runs": baseline["recorded"]["runs"],
    }


def test_the_same_baseline_the_same_gate(bot):
    """The recorded file is that of a serial run; an unchanged app passes; a regression exits with 1."""
    bot.record(miss="c05", **{"raise": "c04"})
    serial = stable(bot.baseline_json())
    bot.baseline.unlink()
    ran = bot.run("-n", "2", "--promptune-baseline", plugins=XDIST, miss="c05", **{"raise": "c04"})
    assert ran.code == 0, ran.text
    assert stable(bot.baseline_json()) == serial
    before = bot.baseline.read_bytes()
    ran = bot.run("-n", "2", plugins=XDIST, miss="c05", **{"raise": "c04"})
    assert ran.code == 0, ran.text
    assert ran.json["experiment"]["samples"] == 18
    assert bot.baseline.read_bytes() == before
    ran = bot.run("-n", "2", plugins=XDIST, miss=MISSES)
    assert ran.code == 1
    assert ran.gates[GATE] is False
    assert f"FAILED {GATE}" in ran.out
    assert ran.out.count("promptune: check") == 1
    assert ran.counts["missed"] == 12
    again = bot.run("-n", "2", "--lf", plugins=XDIST, miss=MISSES)
    assert set(again.per_case) == set(MISSES.split(","))


def test_comparing_variants(tuned):
    """Rows, verdicts and differences are those of a serial run."""
    serial = tuned.run("--promptune-compare")
    ran = tuned.run("-n", "2", "--promptune-compare", plugins=XDIST)
    assert ran.code == serial.code
    key = (
        "metric",
        "test",
        "reference",
        "candidate",
        "n_cases",
        "difference",
        "p",
        "verdict",
        "gate",
        "cases",
    )
    rows = [
        [[row[name] for name in key] for row in r.json["comparisons"] if "latency" not in row["metric"]]
        for r in (serial, ran)
    ]
    assert sorted(rows[0], key=str) == sorted(rows[1], key=str)
    assert rows[0] == rows[1], "the rows stand in another order"


@pytest.mark.parametrize(
    ("marks", "words"),
    [
        ("app='bot', run=3", ["Did you mean 'runs'?"]),
        ("app='robot'", ["'robot'", "fixture"]),
    ],
    ids=["keyword", "no-app"],
)
def test_slips_in_the_suite(project, marks, words):
    """Exit code 4 with the same message as in a serial run, no call."""
    project.bot(
        f"import pytest\npytestmark = pytest.mark.promptune({marks})\n\n"
        "def test_it(case, sample):\n    pass\n"
    )
    assert project.run("-n", "2", plugins=XDIST).refused(*words)


def test_slips_outside_the_suite(bot):
    """A damaged baseline and a bad option: exit code 4, no call."""
    bot.baseline.parent.mkdir()
    bot.baseline.write_text("{")
    assert bot.run("-n", "2", plugins=XDIST).refused("test_bot.main.json", "not a baseline file")
    assert bot.run("-n", "2", "--promptune-runs=0", plugins=XDIST).refused("at least 1")
    assert bot.run("-n", "2", "--promptune-variant=nope", plugins=XDIST).refused("nope")


def test_a_worker_that_dies_is_no_pass(project):
    """An app that kills its process: the session ends, and not with 0."""
    project.bot(
        "import os, pytest\npytestmark = pytest.mark.promptune(app='deadly', runs=1)\n\n"
        "@pytest.fixture(scope='session')\ndef deadly(bot):\n"
        "    return lambda inputs: os._exit(7) if inputs['q'] == 2 else bot(inputs)\n\n"
        "def test_it(case, sample):\n    pass\n"
    )
    ran = project.run("-n", "2", "--max-worker-restart=1", plugins=XDIST)
    assert ran.code not in (0, 5)
    assert "crashed" in ran.out


def test_nothing_is_recorded_after_an_early_stop(bot):
    """-x at a real failure: no baseline, no gate, results marked as interrupted."""
    source = (bot.path / "test_bot.py").read_text()
    bot.record()
    before = bot.baseline.read_bytes()
    bot.write(test_bot=source + "\n\ndef test_broken(case):\n    raise OSError\n")
    ran = bot.run("-n", "2", "-x", "--promptune-baseline", plugins=XDIST, miss="all")
    assert ran.code in (1, 2)
    assert bot.baseline.read_bytes() == before
    assert "::gate[" not in ran.out


def test_cases_left_out_are_not_gone(bot):
    """With ``-k`` the cases that were deselected are not reported as gone, as in a serial run."""
    bot.record()
    ran = bot.run("-n", "2", "-k", "c01", plugins=XDIST)
    assert ran.code == 0
    assert ran.row("test_answer")["cases"]["only_reference"] == []


def test_prompts_are_recorded_as_in_a_serial_run(project):
    """The baseline's conditions are the same, so that recording with ``-n 2`` leaves the file untouched."""
    project.write(
        {
            "test_bot.py": (
                "import pytest\nfrom pytest_promptune import Case\nfrom xdist_prompts import env\n\n"
                "@pytest.fixture(scope='session')\ndef app():\n"
                "    return lambda name: env.get_template('greet.j2').render(name=name)\n\n"
                "@pytest.mark.promptune(app='app', runs=2)\n"
                "@pytest.mark.parametrize('case', [Case(id=i, input=i) for i in 'abcd'], ids=str)\n"
                "def test_it(case, sample):\n    assert sample.output.endswith(case.id)\n"
            ),
            "xdist_prompts.py": (
                "from pathlib import Path\nimport jinja2\n"
                "env = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent / 'prompts'))\n"
            ),
            "prompts/greet.j2": "Hello {{ name }}",
            "pytest.ini": "[pytest]\npromptune_jinja_env = xdist_prompts:env\npythonpath = .\n",
        }
    )
    project.record()
    serial = project.baseline.read_bytes()
    prompts = project.baseline_json()["recorded"]["prompts"]
    assert list(prompts) == ["greet.j2"]
    ran = project.run("-n", "2", "--promptune-baseline", plugins=XDIST)
    assert ran.code == 0, ran.text
    assert project.baseline_json()["recorded"]["prompts"] == prompts
    assert project.baseline.read_bytes() == serial
