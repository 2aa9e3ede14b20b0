"""``--promptune-runs=MIN..MAX``: fixed looks, after which runs may not be needed any more."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree

import pytest

XDIST = ["xdist.plugin"]
RANGE = "--promptune-runs=3..10"
CACHE = ["-p", "cacheprovider"]


def orders(project, *args: str) -> list[int]:
    """The run of each item that is collected, in their order."""
    return [int(run) for run in re.findall(r"-run(\d+)\]", project.run("--co", "-q", *args).out)]


@pytest.fixture
def suite(bot):
    """Two tests of eight cases, with a baseline of ten runs that all passed."""
    bot.record("--promptune-runs=10", cases=8)
    bot.before = bot.baseline.read_bytes()
    return bot


def broken(suite, *args, **more):
    return suite.run(RANGE, *args, miss="all", cases=8, **more)


def per_run(ran) -> Mapping[str, int]:
    assert len(set(ran.per_case.values())) == 1, ran.per_case
    return next(iter(ran.per_case.values()))


# --- stopping -------------------------------------------------------------------------------------


def test_a_broken_app_is_called_no_more_than_it_takes(suite):
    """After 3 of 10 runs the gate has failed: 8 x 3 calls, and the exit code of ten runs."""
    ran = broken(suite)
    assert ran.code == 1
    assert per_run(ran) == 3
    assert ran.json["experiment"]["runs"] == 3
    assert ran.json["experiment"]["samples"] == 24
    assert ran.metric("test_answer")["n_samples"] == 24


def test_an_unclear_verdict_takes_all_runs(suite):
    """A few misses are neither a regression nor ruled out: ten runs, judged at the last look's level."""
    ran = suite.run(RANGE, cases=8, p=0.9)
    assert per_run(ran) == 10
    look = ran.json["experiment"]["look"]
    assert (look["number"], look["of"], look["not_needed"]) == (3, 3, 0)
    assert "All 10 runs were needed: the verdict was not clear after 3 and 6 (look 3 of 3" in " ".join(
        ran.out.split()
    )
    assert "not needed" not in ran.out.splitlines()[-1]


def test_nothing_worse_ends_a_check_too(suite):
    """Where the interval rules a drop beyond the margin out at the level of the look."""
    margins = [
        f"--promptune-margin={name}=0.7" for name in ("test_answer", "test_words", "bot::error_rate")
    ] + ["--promptune-margin=test_words::length=5"]
    ran = suite.run(RANGE, *margins, cases=8)
    assert ran.code == 0
    assert {row["verdict"] for row in ran.json["comparisons"] if row["gated"]} == {"unchanged"}
    assert per_run(ran) == 3


def test_the_level_of_the_look_is_told(suite):
    """In the results, the rows and the report; everything that was there keeps its meaning."""
    ran = broken(suite)
    experiment = ran.json["experiment"]
    assert experiment["alpha"] == 0.05
    look = experiment["look"]
    assert look["alpha"] == pytest.approx(2 * 4.2725787e-5)
    assert (look["runs"], look["most"], look["planned"], look["not_needed"]) == (3, 10, [3, 6, 10], 112)
    assert {row["alpha"] for row in ran.json["comparisons"]} == {look["alpha"]}
    fixed = suite.run("--promptune-runs=3", miss="all", cases=8)
    assert fixed.json["experiment"]["look"] is None
    assert {row["alpha"] for row in fixed.json["comparisons"]} == {0.05}
    wide, usual = ran.row("test_answer")["ci"], fixed.row("test_answer")["ci"]
    assert wide[1] > usual[1], "a stricter level has a wider interval"
    broken(suite)
    report = (suite.path / "promptune-report.md").read_text()
    assert "112 items not needed: the verdict was clear after 3 of 10 runs" in report
    assert "Difference [99.991 % interval]" in report
    assert "| Looks | after 3, 6 and 10 runs; judged after 3, at a level of 99.991 % |" in report


@pytest.mark.parametrize(
    "mode", [["--promptune-gate=off"], ["--promptune-baseline"]], ids=["off", "baseline"]
)
def test_where_nothing_is_decided_everything_is_measured(suite, mode):
    """A baseline has all MAX runs, and a gate that is off leaves nothing to be clear about."""
    ran = broken(suite, *mode)
    assert ran.code == 0
    assert per_run(ran) == 10
    assert ran.json["experiment"]["look"] is None
    assert "look" not in ran.out


def test_without_a_baseline_nothing_is_clear(bot):
    """There is no verdict that could be: all runs are measured."""
    ran = bot.run(RANGE, cases=2)
    assert per_run(ran) == 10


def test_a_required_baseline_that_is_missing_is_clear(bot):
    """The gate fails whatever the other runs say."""
    ran = bot.run(RANGE, "--promptune-require-baseline", cases=2)
    assert ran.code == 1
    assert per_run(ran) == 3


def test_comparing_variants_goes_on_while_anything_is_open(tuned):
    """Of the whole session: the variant that is clearly worse is measured as often as `current`."""
    ran = tuned.run("--promptune-compare", "--promptune-runs=4..6", cases=12)
    assert ran.row("test_answer", "worse")["verdict"] in ("regressed", "inconclusive")
    expected = 2 * (ran.json["experiment"]["runs"])
    assert set(ran.per_case.values()) == {expected}
    open_ones = [r for r in ran.json["comparisons"] if r["gated"] and r["verdict"] == "inconclusive"]
    assert bool(open_ones) or ran.json["experiment"]["runs"] < 6
    assert ran.json["experiment"]["runs"] == 5, "something is open after 4 runs, and nothing after 5"
    assert not open_ones


def test_comparing_variants_ends_when_all_is_said(tuned):
    """A variant that misses everything, and nothing else that could differ."""
    tuned.variant("worse", *(f"c{n:02d}" for n in range(12)))
    tuned.write(test_bot=(tuned.path / "test_bot.py").read_text().partition("def test_words")[0])
    margin = "--promptune-margin=error_rate=0.9"
    ran = tuned.run("--promptune-compare", RANGE, margin, cases=12)
    assert ran.row("test_answer", "worse")["verdict"] == "regressed"
    assert set(ran.per_case.values()) == {2 * 3}


# --- items that are not needed --------------------------------------------------------------------


def test_they_have_a_quiet_status_of_their_own(suite):
    """No letter, no skip, no failure: a count, and one line that says why."""
    ran = broken(suite)
    dots = "".join(re.findall(r"^(?:test_bot.py )?([m.sFeE]+) *(?:\[|$)", ran.out, re.MULTILINE))
    assert dots.startswith("m." * 24)
    assert "s" not in dots
    assert "112 not needed" in ran.out.splitlines()[-1]
    assert "skipped" not in ran.out
    assert ran.out.count("112 items not needed: the verdict was clear after 3 of 10 runs") == 1


def test_verbose_and_junit_say_why(suite):
    """-v names each, -rA lists none of them, junit has them as skipped with the reason."""
    ran = broken(suite, "-v", "-rA", "--junitxml=junit.xml")
    assert ran.out.count("NOT NEEDED (not needed: ") == 112
    short = ran.out.partition("short test summary info")[2]
    assert "run4" not in short
    tree = ElementTree.parse(suite.path / "junit.xml").getroot()
    skipped = [found.get("message") for found in tree.iter("skipped")]
    assert skipped == ["not needed: the verdict was clear after 3 of 10 runs"] * 112


def test_their_fixtures_are_not_set_up(suite):
    """What isn't needed costs nothing."""
    suite.write(
        test_bot=(suite.path / "test_bot.py").read_text()
        + "\n\n@pytest.fixture(autouse=True)\ndef note(request):\n"
        "    from pathlib import Path\n"
        "    with Path(__file__).with_name('setups.log').open('a') as log:\n"
        "        log.write(request.node.name + '\\n')\n"
    )
    broken(suite)
    assert len((suite.path / "setups.log").read_text().splitlines()) == 48


def test_last_failed_runs_what_missed_and_measures_it_whole(suite):
    """Items that weren't needed are no failures; the rest of a selection of runs is not looked at early."""
    broken(suite, *CACHE)
    ran = broken(suite, "--lf", *CACHE)
    assert per_run(ran) == 3
    assert ran.json["experiment"]["look"] is None
    assert "not needed" not in ran.out


def test_a_selection_of_runs_is_measured_whole(suite):
    """-k run1 takes runs 1 and 10: no look, no runs left out."""
    ran = broken(suite, "-k", "run1")
    assert per_run(ran) == 2
    assert ran.json["experiment"]["look"] is None


def test_a_selection_of_cases_has_looks(suite):
    """-k c00: all its runs are there to be saved."""
    ran = broken(suite, "-k", "c00 or c01 or c02 or c03 or c04")
    assert per_run(ran) == 3
    assert len(ran.per_case) == 5


# --- order and samples ----------------------------------------------------------------------------


def test_looks_come_before_modules(bot):
    """All modules' runs up to a look stand before the runs after it; plain tests stay before them too."""
    plain = "def test_plain():\n    pass\n"
    text = (bot.path / "test_bot.py").read_text()
    bot.write(test_second=text, test_third=plain)
    found = orders(bot, RANGE, "-k", "c00")
    assert found == sorted(found, key=lambda run: (run > 3) + (run > 6))
    per_module = len(found) // 2 // 10
    assert found[: 6 * per_module] == 2 * [run for run in (1, 2, 3) for _ in range(per_module)]
    listed = bot.run("--co", "-q", RANGE).out
    assert listed.index("test_plain") < listed.index("run4]")


def test_a_fixed_number_keeps_the_modules_together(bot):
    """Without looks nothing changes."""
    bot.write(test_second=(bot.path / "test_bot.py").read_text())
    found = orders(bot, "--promptune-runs=4", "-k", "c00")
    assert found == 2 * [run for run in (1, 2, 3, 4) for _ in (1, 2)]


def test_samples_beyond_the_look_are_not_begun(suite):
    """However far the engine looks ahead: 800 in flight, and 24 calls."""
    ran = broken(suite, "--promptune-concurrency=200")
    assert per_run(ran) == 3


def test_failed_first_does_not_run_ahead_of_a_look(suite):
    """--ff puts what failed first, within what runs before the look."""
    text = (suite.path / "test_bot.py").read_text()
    suite.write(
        test_bot=text + "\n\ndef test_real(case, sample):\n    if sample.run == 9:\n        raise OSError\n"
    )
    ran = suite.run(RANGE, *CACHE, cases=8, p=0.9)
    assert ran.counts["failed"] == 8
    found = orders(suite, RANGE, "--ff", *CACHE)
    assert found == sorted(found, key=lambda run: (run > 3) + (run > 6))
    assert broken(suite, "--ff", *CACHE).per_case["c00"] == 3


def test_modules_look_together(suite):
    """A module whose verdict is open keeps the other one going: the whole suite is judged, or nothing."""
    suite.write(test_second=(suite.path / "test_bot.py").read_text().replace("runs=3", "runs=2"))
    ran = suite.run(RANGE, cases=8)
    runs = ran.json["experiment"]["runs"]
    counts = {row["n_samples"] for row in ran.json["metrics"]}
    assert counts == {8 * runs}


# --- with other options ---------------------------------------------------------------------------


def test_the_marker_and_the_ini_key(suite, form):
    """Wherever runs can be given, a range can."""
    text = (suite.path / "test_bot.py").read_text()
    suite.write(test_bot=text.replace("runs=3", 'runs="3..10"'))
    assert per_run(suite.run(miss="all", cases=8)) == 3
    suite.write(test_bot=text.replace("runs=3, ", ""))
    suite.configure(form, runs="3..10")
    assert per_run(suite.run(miss="all", cases=8)) == 3


@pytest.mark.parametrize("given", ["5..3", "0..3", "a..b", "3..", "..3", "3..4..5"])
def test_slips(bot, given):
    """Refused on the command line, in the ini file and in the marker; the message says what is valid."""
    words = (f"'{given}'", "MIN..MAX with MIN below MAX, as 3..10")
    assert bot.run(f"--promptune-runs={given}").refused("--promptune-runs", *words)
    bot.write(test_bot=(bot.path / "test_bot.py").read_text().replace("runs=3", f'runs="{given}"'))
    assert bot.run().refused("test_answer", f"runs='{given}'", words[1])


def test_a_range_of_one_number_is_that_number(bot):
    """No looks."""
    bot.record()
    ran = bot.run("--promptune-runs=2..2")
    assert per_run(ran) == 2
    assert ran.json["experiment"]["look"] is None


def test_ending_at_the_first_failure(suite):
    """-x before a look: nothing is judged, nothing is told of looks."""
    text = (suite.path / "test_bot.py").read_text()
    suite.write(test_bot=text + "\n\ndef test_real(case, sample):\n    raise OSError\n")
    ran = broken(suite, "-x")
    assert ran.code == 1
    assert ran.json["interrupted"] is True
    assert ran.json["experiment"]["look"] is None
    assert "not needed" not in ran.out


@pytest.mark.parametrize("option", ["--setup-only", "--setup-plan"])
def test_looking_at_fixtures_takes_no_looks(suite, option):
    """Nothing is measured, so nothing is judged."""
    ran = suite.run(RANGE, option, cases=8)
    assert not ran.calls
    assert "not needed" not in ran.out
    assert ran.code == 0


def test_resuming(suite):
    """What was interrupted after the first look goes on, looks again, and calls only for what is missing."""
    text = (suite.path / "test_bot.py").read_text()
    suite.write(
        test_bot=text + "\n\ndef test_real(case, sample):\n"
        "    from pathlib import Path\n"
        "    stop = Path(__file__).with_name('stop')\n"
        "    if sample.run == 5 and stop.exists():\n        raise KeyboardInterrupt\n"
    )
    (suite.path / "stop").touch()
    first = suite.run(RANGE, "--promptune-concurrency=1", cases=8, p=0.9)
    assert first.code == 2
    (suite.path / "stop").unlink()
    ran = suite.run(RANGE, "--promptune-resume", cases=8, p=0.9)
    assert ran.code == 0, ran.text
    assert ran.json["experiment"]["reused"] > 24
    assert ran.json["experiment"]["samples"] == 80
    assert len(ran.calls) == 80 - ran.json["experiment"]["reused"]
    assert ran.json["experiment"]["look"]["number"] == 3


def test_replaying(suite):
    """Looks are taken over stored outputs too; what was never measured is skipped."""
    broken(suite)
    ran = suite.run(RANGE, "--promptune-replay=last", cases=8)
    assert ran.code == 1
    assert not ran.calls
    assert ran.json["experiment"]["look"]["runs"] == 3
    assert ran.json["experiment"]["samples"] == 24


def test_the_plan_tells_a_range(suite):
    """The matrix and the estimates begin at the first look."""
    ran = suite.run(RANGE, "--promptune-plan", cases=8)
    assert ran.code == 0, ran.text
    row = next(line for line in ran.out.splitlines() if line.strip().startswith("bot "))
    assert row.split() == ["bot", "8", "1", "3–10", "24–80", "48–160", "0"]
    assert "looks at its verdict after 3 and 6 of 10 runs" in " ".join(ran.out.split())
    assert "24–80 samples" in suite.run(RANGE, "--promptune-plan", "-q", cases=8).out
    fixed = suite.run("--promptune-runs=10", "--promptune-plan", cases=8).out
    assert "24–80" not in fixed
    assert "looks at its verdict" not in fixed


def test_a_part_can_not_look_for_all(suite, capsys):
    """The merge refuses files that took looks; with the gate off a part measures all runs and is taken."""
    from pytest_promptune.cli import main

    broken(suite, "-k", "c00 or c01 or c02 or c03")
    looked = next(suite.path.glob("results-2.json"))
    assert main(["merge", str(looked), "--root", str(suite.path)]) == 2
    assert "judged by looks of its own (--promptune-runs=MIN..MAX)" in capsys.readouterr().err
    suite.run(RANGE, "--promptune-gate=off", "-k", "c00 or c01 or c02 or c03", miss="all", cases=8)
    suite.run(RANGE, "--promptune-gate=off", "-k", "c04 or c05 or c06 or c07", miss="all", cases=8)
    parts = [str(suite.path / f"results-{number}.json") for number in (3, 4)]
    assert main(["merge", *parts, "--gate", "--root", str(suite.path)]) == 1
    merged = capsys.readouterr().out.rpartition("promptune: check")[2]
    assert "8 cases x 10 runs" in merged
    assert "not needed" not in merged


# --- several processes ----------------------------------------------------------------------------

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


@pytest.mark.parametrize(
    "given", [{"miss": "all"}, {"miss": "c00"}, {"raise": "c00,c01,c02,c03,c04"}], ids=str
)
def test_workers_give_the_results_of_a_serial_run(suite, given):
    """The controller holds back what runs after a look, looks, and hands it out or says it isn't needed."""
    serial = suite.run(RANGE, cases=8, **given)
    shared = suite.run(RANGE, "-n", "2", cases=8, plugins=XDIST, **given)
    assert shared.code == serial.code
    assert shared.per_case == serial.per_case
    assert shared.counts == serial.counts
    for ran in (serial, shared):
        ran.json.pop("shard")
    assert without_clocks(shared.json) == without_clocks(serial.json)


def test_workers_and_plain_tests(suite):
    """Tests without a sample run too, whoever waits for a look."""
    plain = "import pytest\n\n@pytest.mark.parametrize('n', range(9))\ndef test_plain(n):\n    pass\n"
    suite.write(test_other=plain)
    ran = broken(suite, "-n", "2", plugins=XDIST)
    assert per_run(ran) == 3
    assert "112 not needed" in ran.out
    assert ran.counts["passed"] == 24 + 3 + 9


def test_more_workers_than_items_before_the_look(suite):
    """Some have nothing to do until it is over, and some never."""
    ran = suite.run("--promptune-runs=1..3", "-n", "3", "-k", "c00", cases=8, plugins=XDIST)
    assert ran.json["experiment"]["samples"] == 3


def test_workers_stop_at_the_first_failure(suite):
    """-x: what waits for a look is not run, and nobody waits for ever."""
    text = (suite.path / "test_bot.py").read_text()
    suite.write(test_bot=text + "\n\ndef test_real(case, sample):\n    raise OSError\n")
    ran = broken(suite, "-n", "2", "-x", plugins=XDIST)
    assert ran.code in (1, 2)
    assert max(ran.per_case.values()) <= 3


def test_a_worker_that_dies_is_replaced_before_the_look(project):
    """Its replacement knows how far the looks are, and runs what is left of its share."""
    project.bot(
        "import os, pytest\nfrom pathlib import Path\n"
        "pytestmark = pytest.mark.promptune(app='mortal', runs='2..4')\n\n"
        "@pytest.fixture(scope='session')\ndef mortal(bot):\n"
        "    died = Path(__file__).with_name('died')\n"
        "    calls = []\n"
        "    def app(inputs):\n"
        "        calls.append(inputs['q'])\n"
        "        if calls.count(3) == 3 and not died.exists():\n"
        "            died.touch()\n            os._exit(7)\n"
        "        return bot(inputs)\n"
        "    return app\n\n"
        "def test_it(case, sample):\n    pass\n"
    )
    ran = project.run("-n", "2", "--promptune-concurrency=2", plugins=XDIST)
    assert ran.code in (0, 1), ran.text
    assert ran.json["experiment"]["runs"] == 4
    assert ran.counts["passed"] >= 6 * 4 - 1
