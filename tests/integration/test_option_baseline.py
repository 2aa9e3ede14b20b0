"""``--promptune-baseline``: measure and record, gate nothing."""

from __future__ import annotations

ALL = "c00,c01,c02,c03,c04,c05"


def test_records_what_was_measured(bot):
    """The baseline file holds every metric of every case; the JSON says so; the exit code is 0."""
    ran = bot.run("--promptune-baseline", miss="c01")
    assert ran.code == 0
    recorded = bot.baseline_json()
    assert recorded["scores"]["test_answer"]["c01"] == [0, 0, 0]
    assert recorded["scores"]["test_answer"]["c02"] == [1, 1, 1]
    assert set(recorded["metrics"]) == {
        "bot::error_rate",
        "bot::latency_s",
        "test_answer",
        "test_words",
        "test_words::length",
    }
    assert ran.json["mode"] == "baseline"
    assert ran.json["decision"]["action"] == "record"
    assert ran.json["comparisons"] == []


def test_gates_nothing(bot):
    """Recording scores that are far worse than the recorded ones is no failure: they replace them."""
    bot.record()
    ran = bot.run("--promptune-baseline", miss=ALL)
    assert ran.code == 0
    assert "::gate[" not in ran.text
    assert bot.baseline_json()["scores"]["test_answer"]["c03"] == [0, 0, 0]


def test_records_nothing_after_an_early_stop(bot):
    """A session that ended with ``-x`` leaves the recorded baseline alone."""
    bot.record()
    before = bot.baseline.read_bytes()
    bot.write(test_later="def test_broken():\n    raise OSError\n")
    bot.write(test_a="def test_broken():\n    raise OSError\n")
    ran = bot.run("--promptune-baseline", "-x", "test_bot.py", "test_later.py", miss=ALL)
    assert ran.code == 1
    assert bot.baseline.read_bytes() == before


def test_an_app_that_never_answered_is_not_recorded(bot):
    """Without a single output there is nothing to record: exit code 1, and the file stays as it is."""
    bot.record()
    before = bot.baseline.read_bytes()
    ran = bot.run("--promptune-baseline", **{"raise": "all"})
    assert ran.code == 1
    assert bot.baseline.read_bytes() == before
    assert "the model is confused" in ran.out


def test_with_a_variant_records_its_scores(tuned):
    """``--promptune-variant`` beside it records that variant in place of `current`."""
    ran = tuned.record("--promptune-variant=worse")
    assert tuned.baseline_json()["scores"]["test_answer"]["c00"] == [0, 0, 0]
    assert "worse" in ran.out
    assert len(ran.calls) == 18


def test_has_no_ini_key(bot):
    """What a session is for is typed, never configured."""
    bot.configure("ini", baseline="true")
    ran = bot.run("--strict-config")
    assert ran.code == 4
    assert "promptune_baseline" in ran.text


def test_what_is_missing_in_it_is_told(bot):
    """Errors and lost samples don't keep a baseline from being recorded, but they are counted."""
    ran = bot.record("-q", **{"raise": "c00,c01", "lose": "c02"})
    assert (
        "test_bot.py was recorded although 6 of 18 samples of bot errored, 3 of 18 samples of bot got lost."
    ) in " ".join(ran.out.split())
    assert bot.baseline_json()["scores"]["test_answer"]["c00"] == [0, 0, 0]
    assert "although" not in bot.record("-q").out
