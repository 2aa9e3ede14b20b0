"""``--promptune-compare``: current and the variants, interleaved, each compared with current."""

from __future__ import annotations

import pytest

MISSES = "c00,c01,c02,c03"


def test_measures_all_variants_beside_current(tuned):
    """Every variant is measured as often as `current` and compared with it; the baseline comes on top."""
    tuned.record()
    tuned.variant("same")
    ran = tuned.run("--promptune-compare")
    assert len(ran.calls) == 3 * 18
    assert ran.json["mode"] == "compare"
    assert ran.json["experiment"]["variants"] == ["current", "same", "worse"]
    rows = {(r["candidate"], r["reference"]) for r in ran.json["comparisons"] if r["metric"] == "test_answer"}
    assert rows == {("current", "baseline:main"), ("same", "current"), ("worse", "current")}
    assert ran.row("test_answer", "worse")["verdict"] == "regressed"
    assert ran.row("test_answer", "same")["verdict"] in ("unchanged", "inconclusive")


def test_runs_interleave_the_variants(tuned):
    """Items are ordered by run, case, variant and test, so that both sides meet the same conditions."""
    ran = tuned.run("--promptune-compare", "-v", "-k", "c00 or c01")
    assert list(ran.items)[:10] == [
        "test_bot.py::test_answer[c00-current-run1]",
        "test_bot.py::test_words[c00-current-run1]",
        "test_bot.py::test_answer[c00-worse-run1]",
        "test_bot.py::test_words[c00-worse-run1]",
        "test_bot.py::test_answer[c01-current-run1]",
        "test_bot.py::test_words[c01-current-run1]",
        "test_bot.py::test_answer[c01-worse-run1]",
        "test_bot.py::test_words[c01-worse-run1]",
        "test_bot.py::test_answer[c00-current-run2]",
        "test_bot.py::test_words[c00-current-run2]",
    ]


def test_a_better_variant_is_proposed_for_adoption(tuned):
    """The decision names the variant that improved and regressed nowhere."""
    tuned.variant("better")
    tuned.write({"prompts/variants/worse.toml": "[context]\nmisses = ['c00', 'c01', 'c02', 'c03', 'c04']\n"})
    tuned.write(test_bot=(tuned.path / "test_bot.py").read_text().replace(', direction="lower"', ""))
    ran = tuned.run("--promptune-compare", miss=MISSES)
    assert ran.row("test_answer", "better")["verdict"] == "improved"
    assert (ran.json["decision"]["action"], ran.json["decision"]["variant"]) == ("adopt", "better")
    assert "$ pytest-promptune adopt better" in ran.out


def test_the_baseline_is_not_written(tuned):
    """Comparing leaves the baseline alone."""
    tuned.record()
    before = tuned.baseline.read_bytes()
    tuned.run("--promptune-compare", miss=MISSES)
    assert tuned.baseline.read_bytes() == before


def test_without_any_variant_it_is_refused(bot):
    """There is nothing to compare: the message says where variants are written."""
    assert bot.run("--promptune-compare").refused("prompts/variants", "variant.toml")


def test_variants_may_come_from_a_hook(tuned):
    """`pytest_promptune_variants` in conftest.py gives variants beside those in files."""
    conftest = (tuned.path / "conftest.py").read_text()
    tuned.write(
        conftest=conftest
        + "\n\ndef pytest_promptune_variants(config):\n"
        + "    from pytest_promptune import Variant\n"
        + "    return [Variant(name='hooked', context={'misses': ['c05']})]\n"
    )
    ran = tuned.run("--promptune-compare", "-k", "test_answer")
    assert ran.json["experiment"]["variants"] == ["current", "worse", "hooked"]
    assert ran.metric("test_answer", "hooked")["mean"] < 1


def test_the_folder_of_variants_is_an_ini_key(tuned, form):
    """`promptune_variants` says where the variants are, relative to the root."""
    tuned.write({"tuning/mild.toml": "[context]\nmisses = ['c05']\n"})
    tuned.configure(form, variants="tuning")
    ran = tuned.run("--promptune-compare", "-k", "test_answer and c05")
    assert ran.json["experiment"]["variants"] == ["current", "mild"]


@pytest.mark.parametrize("workers", [0, 2])
def test_more_than_one_change_is_noted_or_refused(project, workers):
    """A variant with two changed prompts is noted; `promptune_one_change` refuses it before any call."""
    processes = {"plugins": ["xdist.plugin"]} if workers else {}
    arguments = ["--promptune-compare", *(["-n", str(workers)] if workers else [])]
    project.bot(
        "import pytest\npytestmark = pytest.mark.promptune(app='tuned', runs=1)\n"
        "def test_answer(case, sample):\n    pass\n"
    )
    project.write({"prompts/variants/both.toml": "[context]\nclassify_prompt = 'a'\nreply_prompt = 'b'\n"})
    ran = project.run(*arguments, **processes)
    assert ran.code == 0
    assert ran.out.count("'both' is more than one change") == 1
    project.configure("ini", one_change=True)
    assert project.run(*arguments, **processes).refused("'both' is more than one change", "split it")


def test_the_proposed_number_of_runs_is_more_than_was_measured(tuned):
    """Where more runs could tell, the command to copy asks for more than there were."""
    ran = tuned.run("--promptune-compare", "-k", "c00")
    decision = ran.json["decision"]
    assert decision["action"] == "continue"
    assert "--promptune-runs=1" not in decision["command"].split()
    assert "--promptune-runs=3" not in decision["command"].split()


def test_commands_select_what_was_selected(tuned):
    """Tests, by path and expression, and the variants that were compared."""
    tuned.variant("same")
    ran = tuned.run("test_bot.py", "--promptune-baseline", "-k", "c00 or c01", "-m", "not slow")
    suffix = "test_bot.py -k 'c00 or c01' -m 'not slow'"
    assert ran.json["decision"]["command"] == f"pytest --promptune-compare {suffix}"
    ran = tuned.run("--promptune-compare", "--promptune-variant=worse", "-k", "c00", "--deselect=test_x.py")
    command = ran.json["decision"]["command"]
    assert command.startswith("pytest --promptune-compare --promptune-runs=")
    assert command.endswith(" --promptune-variant=worse -k c00 --deselect=test_x.py")


def test_a_variant_that_changes_nothing_is_not_called_more_than_one_change(tuned):
    """A variant from the hook without any change: said, but not as too many changes."""
    conftest = (tuned.path / "conftest.py").read_text()
    tuned.write(
        conftest=conftest
        + "\n\ndef pytest_promptune_variants(config):\n"
        + "    from pytest_promptune import Variant\n    return [Variant(name='empty')]\n"
    )
    ran = tuned.run("--promptune-compare", "-k", "c00")
    assert "'empty' is more than one change" not in " ".join(ran.text.split())


def test_a_hook_that_gives_something_else_is_refused(tuned):
    """`pytest_promptune_variants` must give variants: exit code 4 with its name, not a crash."""
    conftest = (tuned.path / "conftest.py").read_text()
    tuned.write(conftest=conftest + "\n\ndef pytest_promptune_variants(config):\n    return ['short']\n")
    assert tuned.run("--promptune-compare").refused("pytest_promptune_variants", "Variant")


def test_of_equal_variants_the_single_change_is_proposed(tuned):
    """Both answer everything right; the first by name changes a prompt beside it."""
    (tuned.path / "prompts/variants/worse.toml").unlink()
    more = '\nsystem = "Answer politely, and think\\nbefore you do."'
    tuned.write(
        {
            "prompts/variants/a_both.toml": f"[context]\nmisses = []{more}\n",
            "prompts/variants/b_one.toml": "[context]\nmisses = []\n",
        }
    )
    tuned.write(test_bot=(tuned.path / "test_bot.py").read_text().replace(', direction="lower"', ""))
    ran = tuned.run("--promptune-compare", miss=MISSES)
    assert ran.row("test_answer", "a_both")["verdict"] == "improved"
    assert ran.json["decision"]["variant"] == "b_one"
    assert ran.json["decision"]["reason"].endswith("a_both is as good, but is more than one change.")
