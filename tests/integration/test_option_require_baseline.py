"""``--promptune-require-baseline``: in CI nothing may pass for want of a baseline."""

from __future__ import annotations

FLAG = "--promptune-require-baseline"


def test_no_baseline_fails_each_gated_metric(bot):
    """Each gated metric is a failed item that names the file and the command."""
    assert bot.run().code == 0
    ran = bot.run(FLAG)
    assert ran.code == 1
    assert set(ran.gates.values()) == {False}
    assert {nodeid.partition("gate[")[2] for nodeid in ran.gates} == {
        "test_answer-current]",
        "test_words-current]",
        "test_words::length-current]",
        "bot::error_rate-current]",
    }
    assert "__promptune__/test_bot.main.json" in ran.out
    assert "pytest --promptune-baseline" in ran.out
    assert ran.json["exit_code"] == 1


def test_a_complete_baseline_passes(bot):
    """With everything recorded the flag changes nothing, with ``-k`` neither."""
    bot.record()
    assert bot.run(FLAG).code == 0
    assert bot.run(FLAG, "-k", "c01 and test_answer").code == 0


def test_new_and_changed_cases_fail_by_name(bot):
    """A case that was never recorded, or is another one under its id, fails its metrics by name."""
    bot.record()
    conftest = (bot.path / "conftest.py").read_text()
    ran = bot.run(FLAG, cases=7)
    assert ran.code == 1
    assert "c06" in ran.out
    bot.write(conftest=conftest.replace('"q": i}', '"q": i, **({"z": 1} if i == 2 else {})}'))
    ran = bot.run(FLAG)
    assert ran.code == 1
    assert ran.row("test_answer")["cases"]["changed"] == ["c02"]
    assert "c02" in ran.out


def test_a_new_test_fails(bot):
    """A test without recorded scores fails, those with scores pass."""
    bot.record()
    suite = (bot.path / "test_bot.py").read_text()
    bot.write(test_bot=suite + "\n\ndef test_new(case, sample):\n    assert sample.output\n")
    ran = bot.run(FLAG)
    assert ran.code == 1
    assert [nodeid for nodeid, passed in ran.gates.items() if not passed] == [
        "test_bot.py::test_new::gate[test_new-current]"
    ]


def test_it_counts_for_current_in_a_comparison_too(tuned):
    """Comparing variants doesn't need a baseline unless the flag is set."""
    tuned.variant("worse", "c05")
    assert tuned.run("--promptune-compare", "-k", "test_words").code == 0
    assert tuned.run("--promptune-compare", "-k", "test_words", FLAG).code == 1


def test_a_switched_off_gate_fails_nothing(bot):
    """``--promptune-gate=off`` is stronger."""
    assert bot.run(FLAG, "--promptune-gate=off").code == 0


def test_recording_is_allowed(bot):
    """A project that sets the key for CI can still record its first baseline."""
    bot.configure("ini", require_baseline=True)
    bot.record()
    assert bot.run().code == 0


def test_the_ini_key(bot, form):
    """`promptune_require_baseline` is a truth value in every kind of file."""
    bot.configure(form, require_baseline=True)
    assert bot.run("-k", "c00").code == 1
    bot.configure(form, require_baseline=False)
    assert bot.run("-k", "c00").code == 0


def test_a_value_that_is_no_truth_value_is_refused(bot):
    """The message names the key."""
    bot.configure("ini", require_baseline="maybe")
    assert bot.run().refused("promptune_require_baseline", "maybe")
