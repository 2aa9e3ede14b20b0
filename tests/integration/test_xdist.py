"""``-n 2``: workers measure, the controller compares, gates and writes."""

# ruff: noqa: E501  # the suites in strings keep their lines whole

from __future__ import annotations

import sys

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


def test_variants_of_templates_are_compared_as_in_a_serial_run(project):
    """What workers tell of the prompts travels, whatever a text knows beside its letters."""
    project.write(
        {
            "test_bot.py": (
                "import pytest\nfrom pytest_promptune import Case\nfrom xdist_variants import env\n\n"
                "@pytest.fixture(scope='session')\ndef app():\n"
                "    return lambda name: env.get_template('greet.j2').render(name=name)\n\n"
                "@pytest.mark.promptune(app='app', runs=2)\n"
                "@pytest.mark.parametrize('case', [Case(id=i, input=i) for i in 'abcd'], ids=str)\n"
                "def test_it(case, sample):\n    assert sample.output.startswith('Hello')\n"
            ),
            "xdist_variants.py": (
                "from pathlib import Path\nimport jinja2\n"
                "env = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent / 'prompts'))\n"
            ),
            "prompts/greet.j2": "Hello {{ name }}",
            "prompts/variants/rude/greet.j2": "Get lost, {{ name }}",
            "pytest.ini": "[pytest]\npromptune_jinja_env = xdist_variants:env\npythonpath = .\n",
        }
    )
    serial = project.run("--promptune-compare")
    ran = project.run("-n", "2", "--promptune-compare", plugins=XDIST)
    assert "INTERNALERROR" not in ran.text
    assert serial.code == ran.code == 1
    verdicts = [r.row("test_it", "rude")["verdict"] for r in (serial, ran)]
    assert verdicts == ["regressed", "regressed"]


@pytest.mark.parametrize("dist", ["load", "worksteal", "loadscope", "loadfile", "loadgroup"])
def test_each_sample_is_generated_once(bot, dist):
    """All tests of a sample run on one worker, whatever --dist says, beside tests that have no sample."""
    plain = "def test_plain():\n    pass\n"
    bot.write(test_bot=(bot.path / "test_bot.py").read_text() + "\n\n" + plain, test_other=plain)
    ran = bot.run("-n", "2", f"--dist={dist}", plugins=XDIST)
    assert ran.code == 0, ran.text
    assert ran.counts == {"passed": 38}
    assert set(ran.per_case.values()) == {3}


def test_a_sample_of_two_modules_is_generated_once(project):
    """Modules that share an app and cases share its samples, under --dist=loadfile as well."""
    tests = (
        "import pytest\npytestmark = pytest.mark.promptune(app='bot', runs=2)\n\n"
        "def test_it(case, sample):\n    pass\n"
    )
    project.bot(tests)
    project.write(test_second=tests)
    for dist in ("load", "loadfile"):
        ran = project.run("-n", "2", f"--dist={dist}", plugins=XDIST)
        assert ran.code == 0, ran.text
        assert set(ran.per_case.values()) == {2}, dist


def test_groups_of_xdist_stay_together(project):
    """Tests of one xdist_group run on one worker, with all the samples they need."""
    project.bot(
        "import os, pytest\nfrom pathlib import Path\n"
        "pytestmark = pytest.mark.promptune(app='bot', runs=2)\n\n"
        "def test_it(case, sample):\n    pass\n\n"
        "@pytest.mark.xdist_group('own')\ndef test_grouped(case, sample):\n"
        "    with Path(__file__).with_name('workers').open('a') as file:\n"
        "        file.write(os.environ['PYTEST_XDIST_WORKER'] + '\\n')\n"
    )
    ran = project.run("-n", "2", "--dist=loadgroup", plugins=XDIST)
    assert ran.code == 0, ran.text
    assert len(set((project.path / "workers").read_text().split())) == 1
    assert set(ran.per_case.values()) == {2}
    assert {row["n_samples"] for row in ran.json["metrics"]} == {12}


def test_samples_are_generated_ahead_in_workers(project):
    """A worker's samples are in flight together: several calls begin before the first one ends."""
    project.bot(
        "import asyncio, os, pytest\nfrom pathlib import Path\n"
        "pytestmark = pytest.mark.promptune(app='gate', runs=1, timeout=20)\n\n"
        "@pytest.fixture(scope='session')\ndef gate():\n"
        "    waiting = []\n    both = asyncio.Event()\n"
        "    async def app(inputs):\n"
        "        waiting.append(1)\n"
        "        if len(waiting) == 3:\n            both.set()\n"
        "        await both.wait()\n        return inputs\n"
        "    return app\n\n"
        "def test_it(case, sample):\n    pass\n"
    )
    ran = project.run("-n", "2", "--promptune-concurrency=6", plugins=XDIST)
    assert ran.counts == {"passed": 6}, ran.text


def test_concurrency_is_divided(project):
    """Two workers with --promptune-concurrency=2 have one call each in flight."""
    project.bot(
        "import asyncio, pytest\n"
        "pytestmark = pytest.mark.promptune(app='counted', runs=2)\n\n"
        "@pytest.fixture(scope='session')\ndef counted():\n"
        "    flying = []\n"
        "    async def app(inputs):\n"
        "        flying.append(1)\n        most = len(flying)\n"
        "        await asyncio.sleep(0.02)\n        flying.pop()\n        return most\n"
        "    return app\n\n"
        "def test_it(case, sample):\n    assert sample.output == 1\n"
    )
    ran = project.run("-n", "2", "--promptune-concurrency=2", plugins=XDIST)
    assert ran.counts == {"passed": 12}, ran.text


def test_a_crash_costs_what_was_in_flight(project):
    """One call ends the process: its replacement runs the rest of its share, and nobody else's."""
    project.bot(
        "import os, pytest\nfrom pathlib import Path\n"
        "pytestmark = pytest.mark.promptune(app='mortal', runs=4)\n\n"
        "@pytest.fixture(scope='session')\ndef mortal(bot):\n"
        "    died = Path(__file__).with_name('died')\n"
        "    def app(inputs):\n"
        "        if inputs['q'] == 3 and not died.exists():\n"
        "            died.touch()\n            os._exit(7)\n"
        "        return bot(inputs)\n"
        "    return app\n\n"
        "def test_it(case, sample):\n    pass\n"
    )
    ran = project.run("-n", "2", "--promptune-concurrency=2", plugins=XDIST)
    assert ran.code == 1
    # the report of the item at which the process ended may just have been sent
    assert ran.counts in ({"failed": 1, "passed": 23}, {"failed": 1, "passed": 24}), ran.text
    assert ran.json["experiment"]["samples"] == ran.counts["passed"]


def test_what_is_sent_meanwhile_is_not_shown(project):
    """While the first item waits the worker sends the samples of the others: nobody counts or lists that."""
    project.bot(
        "import time, pytest\nfrom pathlib import Path\n"
        "pytestmark = pytest.mark.promptune(app='slow', runs=1)\n\n"
        "@pytest.fixture(scope='session')\ndef slow(bot):\n"
        "    def app(inputs):\n"
        "        if inputs['q'] == 0:\n            time.sleep(2.5)\n"
        "        return bot(inputs)\n"
        "    return app\n\n"
        "def test_it(case, sample):\n    pass\n"
    )
    ran = project.run("-n", "2", "-v", "-rA", "--junitxml=junit.xml", plugins=XDIST)
    assert ran.counts == {"passed": 6}, ran.text
    assert ran.out.count("[c00-current-run1]") == 3  # as it starts, as it ends, in the list of -rA
    assert (project.path / "junit.xml").read_text().count("<testcase ") == 6
    assert ran.json["experiment"]["samples"] == 6


def test_sessions_without_our_tests_keep_the_scheduler(project):
    """Plain tests are handed out by xdist, item by item, and all of them run."""
    project.write(test_plain="import pytest\n@pytest.mark.parametrize('n', range(9))\ndef test_it(n): pass\n")
    ran = project.run("-n", "2", plugins=XDIST)
    assert ran.counts == {"passed": 9}
    assert "promptune" not in ran.out.partition("workers [")[2]


def test_every_worker_running_everything_is_refused(bot):
    """--dist=each would mix several measurements of one sample."""
    ran = bot.run("--dist=each", "--tx=2*popen", plugins=XDIST)
    assert ran.code == 4, ran.text
    assert "--dist=load" in ran.text


def test_other_interpreters(bot):
    """--tx starts workers of its own kind; the results are one session's."""
    ran = bot.run("--dist=load", "--tx=popen//python=" + sys.executable, "--tx=popen", plugins=XDIST)
    assert ran.code == 0, ran.text
    assert ran.json["experiment"]["samples"] == 18
    assert set(ran.per_case.values()) == {3}


#: What may differ between two sessions that measured the same: clocks, ids, and where results were written.
UNSTABLE = ("id", "started", "finished", "seconds", "written", "recorded_at")


def without_clocks(value):
    """The results but for times, ids and measured latencies, outliers of them included."""
    if isinstance(value, dict):
        return {k: without_clocks(v) for k, v in value.items() if k not in UNSTABLE}
    if isinstance(value, list):
        timed = [
            v for v in value if isinstance(v, dict) and "latency" in f"{v.get('metric')} {v.get('quantity')}"
        ]
        return [without_clocks(v) for v in value if v not in timed]
    return value


@pytest.mark.parametrize("mode", [["--promptune-baseline"], [], ["--promptune-compare"]], ids=str)
def test_the_results_file_is_that_of_a_serial_run(tuned, mode):
    """Field by field, in every mode, with samples that miss, raise and are lost."""
    tuned.record()
    before = tuned.baseline.read_bytes()
    given = {"miss": "c05", "raise": "c04", "lose": "c03"}
    serial = tuned.run(*mode, **given).json
    tuned.baseline.write_bytes(before)
    shared = tuned.run(*mode, "-n", "2", plugins=XDIST, **given).json
    for results in (serial, shared):
        results.pop("shard", None)
    assert without_clocks(serial) == without_clocks(shared)
