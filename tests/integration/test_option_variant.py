"""``--promptune-variant``: which variants are measured."""

from __future__ import annotations

import pytest


def test_with_compare_only_the_named_ones(tuned):
    """Beside `current` only the named variants are measured; the option is repeatable."""
    tuned.variant("same")
    tuned.variant("other")
    ran = tuned.run("--promptune-compare", "--promptune-variant=same", "--promptune-variant=worse")
    assert sorted(ran.json["experiment"]["variants"]) == ["current", "same", "worse"]
    assert ran.json["experiment"]["variants"][0] == "current"
    assert len(ran.calls) == 3 * 18


def test_alone_it_is_measured_in_place_of_current(tuned):
    """Without compare the variant takes the place of `current` and is gated against the baseline."""
    tuned.record()
    ran = tuned.run("--promptune-variant=worse")
    assert ran.code == 1
    assert ran.json["experiment"]["variants"] == ["worse"]
    assert len(ran.calls) == 18
    assert ran.row("test_answer", "worse", "baseline:main")["gate"] == "failed"
    assert "test_bot.py::test_answer::gate[test_answer-worse]" in ran.gates


def test_an_unknown_name_is_refused(tuned):
    """The message names the folder, what exists and what is near."""
    assert tuned.run("--promptune-variant=wrose").refused("wrose", "worse", "prompts/variants")
    assert tuned.run("--promptune-compare", "--promptune-variant=nothing").refused("nothing", "worse")


def test_two_without_compare_are_refused(tuned):
    """Only one variant can take the place of `current`."""
    tuned.variant("same")
    ran = tuned.run("--promptune-variant=worse", "--promptune-variant=same")
    assert ran.refused("worse, same", "--promptune-compare")


def test_current_is_a_name(tuned):
    """`current` may be named: alone it is the default, beside others it is measured once."""
    ran = tuned.run("--promptune-variant=current")
    assert ran.json["experiment"]["variants"] == ["current"]
    ran = tuned.run("--promptune-compare", "--promptune-variant=current", "--promptune-variant=worse")
    assert ran.json["experiment"]["variants"] == ["current", "worse"]


def test_a_broken_variant_stops_only_sessions_that_measure_variants(tuned):
    """A damaged variant file doesn't stop a check of `current`; comparing names file and line."""
    tuned.write({"prompts/variants/broken.toml": "[context]\nmisses = [\n"})
    assert tuned.run().code == 0
    assert tuned.run("--promptune-compare").refused("broken.toml:")


@pytest.mark.parametrize("name", ["current", "baseline"])
def test_reserved_names_are_refused(tuned, name):
    """A variant can't be called like something else in the tables."""
    tuned.variant(name)
    assert tuned.run("--promptune-compare").refused(name, "another name")


def test_the_ini_key(tuned, form):
    """`promptune_variant` names variants for all sessions that don't name their own."""
    tuned.variant("same")
    tuned.configure(form, variant=["worse"])
    ran = tuned.run("--promptune-compare", "-k", "c00")
    assert ran.json["experiment"]["variants"] == ["current", "worse"]
    ran = tuned.run("--promptune-compare", "--promptune-variant=same", "-k", "c00")
    assert ran.json["experiment"]["variants"] == ["current", "same"]
