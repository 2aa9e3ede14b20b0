"""``sample.classify``: macro-F1, the confusion matrix, and the labels in a baseline."""

from __future__ import annotations

import json

import pytest

XDIST = ["xdist.plugin"]
MACRO = "test_intent::macro_f1"

#: Nine tickets of three classes; BOT_SAYS has "c00=tech" for an answer that is wrong in every run, and
#: "c00@2=tech" for one in run 2 alone; "raise" and "lose" are errors.
CONFTEST = """
import os
from collections import Counter

import pytest
from pytest_promptune import Case

LABELS = ["billing", "bug", "tech"]
CASES = [Case(id=f"c{i:02d}", input={"q": i}, expected={"intent": LABELS[i % 3]}) for i in range(9)]


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return request.param


@pytest.fixture(scope="session")
def bot():
    def build(variant):
        asked = Counter()

        def call(inputs):
            case = f"c{inputs['q']:02d}"
            asked[case] += 1
            says = dict(entry.split("=", 1) for entry in os.environ.get("BOT_SAYS", "").split(",") if entry)
            says |= variant.context.get("says", {})
            answer = says.get(f"{case}@{asked[case]}", says.get(case, LABELS[inputs["q"] % 3]))
            if answer == "raise":
                raise RuntimeError("the model is confused")
            if answer == "lose":
                raise ConnectionError("connection reset by peer")
            return {"intent": answer.encode().decode("unicode_escape")}

        return call

    return build
"""

TESTS = """
import pytest
from pytest_promptune import Case, Sample

pytestmark = pytest.mark.promptune(app="bot", runs=3, retries=0)


def test_intent(case: Case, sample: Sample):
    sample.classify(predicted=sample.output["intent"], expected=case.expected["intent"])
"""


@pytest.fixture
def tickets(project):
    """A suite of one test that classifies."""
    project.write(conftest=CONFTEST, test_bot=TESTS)
    project.write({"pytest.ini": "[pytest]\n"})
    return project


def macro_f1(counts):
    """By hand, from (expected, predicted) -> count."""
    labels = sorted({expected for expected, _ in counts})
    scores = []
    for label in labels:
        hits = counts.get((label, label), 0)
        guessed = sum(n for (_, guess), n in counts.items() if guess == label)
        expected = sum(n for (truth, _), n in counts.items() if truth == label)
        scores.append(2 * hits / (guessed + expected))
    return sum(scores) / len(scores)


SAYS = "c00=tech,c01@2=billing,c02@1=invented,c03=raise,c04@3=lose"
COUNTS = {
    ("billing", "billing"): 3,
    ("billing", "tech"): 3,
    ("billing", None): 3,
    ("bug", "bug"): 7,
    ("bug", "billing"): 1,
    ("tech", "tech"): 8,
    ("tech", "invented"): 1,
}


def test_what_a_baseline_run_reports(tickets):
    """Macro-F1 as a metric, the confusions in JSON, terminal and report; errored counts, missing doesn't."""
    # c03 raises in all its runs: its label is that which its baseline or another run says; nobody does here
    ran = tickets.record(says=SAYS.replace("c03=raise", "c03@1=raise,c03@2=raise"))
    counts = COUNTS | {("billing", "billing"): 4, ("billing", None): 2}
    row = ran.metric(MACRO)
    assert row["mean"] == pytest.approx(macro_f1(counts))
    assert (row["kind"], row["direction"], row["unit"], row["aggregate"]) == ("score", "higher", None, True)
    assert (row["n_cases"], row["n_samples"], row["n_missing"]) == (9, 26, 1)
    assert row["ci"][0] < row["mean"] < row["ci"][1]
    assert row["min"] <= row["mean"] <= row["max"]
    (classes,) = ran.json["classes"]
    assert (classes["metric"], classes["variant"], classes["n_missing"]) == ("test_intent", "current", 1)
    assert classes["macro_f1"] == row["mean"]
    assert {(c["expected"], c["predicted"]): c["count"] for c in classes["confusions"]} == counts
    by_label = {each["label"]: each for each in classes["classes"]}
    assert by_label["billing"]["recall"] == pytest.approx(4 / 9)
    assert by_label["billing"]["precision"] == pytest.approx(4 / 5)
    assert by_label["invented"] == {
        "label": "invented",
        "n_expected": 0,
        "n_predicted": 1,
        "n_correct": 0,
        "precision": 0.0,
        "recall": None,
        "f1": None,
    }
    assert "billing → tech 3×, billing → no label 2×, bug → billing 1×, 1 more" in " ".join(ran.out.split())
    report = (tickets.path / "promptune-report.md").read_text()
    assert (
        "| Expected | `billing` | `bug` | `tech` | `invented` | no label | Precision | Recall | F1 |"
        in report
    )
    assert "| `billing` | 4 | 0 | 3 | 0 | 2 |" in report


def test_a_baseline_keeps_the_labels(tickets):
    """One line per case, beside the scores; the same again leaves the file untouched."""
    tickets.record(says=SAYS)
    text = tickets.baseline.read_text()
    assert '      "c00": {"expected": "billing", "predicted": ["tech", "tech", "tech"]},\n' in text
    assert '      "c04": {"expected": "bug", "predicted": ["bug", "bug", null]},\n' in text
    assert list(json.loads(text)) == ["cases", "format", "labels", "metrics", "recorded", "scores"]
    assert "c03" not in json.loads(text)["labels"]["test_intent"]  # no run said what was expected
    tickets.record(says=SAYS)
    assert tickets.baseline.read_text() == text


def test_compared_with_the_baseline(tickets):
    """A regression of macro-F1 is measured and reported, and fails only where it is gated by name."""
    tickets.record()
    worse = "c00=tech,c03=tech,c06=tech,c01=tech"
    ran = tickets.run(says=worse)
    row = ran.row(MACRO)
    counts = {("billing", "tech"): 9, ("bug", "tech"): 3, ("bug", "bug"): 6, ("tech", "tech"): 9}
    assert row["reference_mean"] == 1.0
    assert row["difference"] == pytest.approx(macro_f1(counts) - 1)
    assert row["ci"][1] < 0
    assert (row["gate"], row["gated"], row["aggregate"], row["verdict"]) == ("off", False, True, "regressed")
    assert row["margin"] == 0.10
    assert set(ran.gates) == {
        "test_bot.py::bot::gate[bot::error_rate-current]",
        "test_bot.py::test_intent::gate[test_intent-current]",
    }
    gated = tickets.run(
        "-o", "promptune_gate_metrics=macro_f1", "--promptune-margin=test_intent::macro_f1=0.2", says=worse
    )
    assert gated.code == 1
    assert gated.gates[f"test_bot.py::test_intent::gate[{MACRO}-current]"] is False
    assert gated.row(MACRO)["margin"] == 0.2
    assert (
        gated.row("test_intent")["p_adjusted"] > ran.row("test_intent")["p_adjusted"]
    )  # it shares the level
    again = tickets.run("--lf", "--collect-only", "-q")
    assert "c00" in again.out
    assert "c02" not in again.out


def test_errored_runs_count_against_the_baseline(tickets):
    """A case that only errors has its expected label from the baseline: no survivors' macro-F1."""
    tickets.record()
    row = tickets.run(says="c00=raise,c03=raise").row(MACRO)
    assert row["n_cases"] == 9
    assert row["candidate_mean"] == pytest.approx((2 * 3 / (9 + 3) + 1 + 1) / 3)


def test_an_old_baseline_has_no_labels(tickets):
    """It still works; macro-F1 is not comparable, with what to do, and fails where it is required."""
    tickets.record()
    data = tickets.baseline_json()
    del data["labels"]
    tickets.baseline.write_text(json.dumps(data))
    ran = tickets.run()
    assert ran.code == 0
    row = ran.row(MACRO)
    assert (row["p"], row["verdict"], row["gate"]) == (None, "inconclusive", "off")
    assert row["reason"] == (
        "The baseline has no labels of test_intent yet: not compared; record it with --promptune-baseline."
    )
    named = ("-o", "promptune_gate_metrics=macro_f1")
    ran = tickets.run(*named)
    assert ran.code == 0
    assert any(f"{MACRO} is gated but was not judged." in text for text in ran.json["warnings"])
    ran = tickets.run(*named, "--promptune-require-baseline")
    assert ran.code == 1
    assert "no baseline" in ran.out
    tickets.record()
    assert "labels" in tickets.baseline_json()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "'labels' is not of the expected type"),
        ({"test_other": {}}, "'labels' has 'test_other', which 'scores' doesn't have"),
        ({"test_intent": []}, "the labels of 'test_intent' are not an object"),
        ({"test_intent": {"c99": {}}}, "for case 'c99' have no scores"),
        ({"test_intent": {"c00": {"expected": "bug", "predicted": ["bug"]}}}, "are 1, beside 3 scores"),
        ({"test_intent": {"c00": {"expected": "bug", "predicted": [1, 2, 3]}}}, "a list of 'predicted' ones"),
        ({"test_intent": {"c00": {"predicted": ["bug"] * 3}}}, "are not 'expected'"),
    ],
)
def test_damaged_labels_are_refused(tickets, labels, message):
    """The error says which file, what is wrong, and what to do; nothing is measured."""
    tickets.record()
    tickets.baseline.write_text(json.dumps(tickets.baseline_json() | {"labels": labels}))
    assert tickets.run().refused("test_bot.main.json: damaged", message, "Restore it from version control")


def test_part_of_the_tests_leaves_the_other_labels(tickets):
    """``-k`` replaces what ran; a case whose content changed loses its labels with its scores."""
    tickets.record(says="c00=tech,c01=tech")
    tickets.run("--promptune-baseline", "-k", "c00")
    labels = tickets.baseline_json()["labels"]["test_intent"]
    assert labels["c00"]["predicted"] == ["billing"] * 3
    assert labels["c01"]["predicted"] == ["tech"] * 3


def test_variants_are_compared_with_current(tickets):
    """Within one session too, and the matrix of both is shown."""
    tickets.write({"prompts/variants/odd.toml": '[context]\nsays = {c00 = "tech", c03 = "tech"}\n'})
    ran = tickets.run("--promptune-compare")
    row = ran.row(MACRO, "odd", "current")
    assert row["reference_mean"] == 1.0
    assert row["difference"] < 0
    assert [each["variant"] for each in ran.json["classes"]] == ["current", "odd"]
    assert "test_intent (odd): macro-F1" in ran.out
    assert "billing → tech 6×" in " ".join(ran.out.split())


def test_precision_and_recall_are_gated_by_name(tickets):
    """Named ones are compared and gated; the others are described only."""
    tickets.record()
    tickets.write(
        test_bot=TESTS.replace("retries=0", 'retries=0, gate=["recall[billing]", "precision[tech]"]')
    )
    ran = tickets.run(says="c00=tech,c03=tech,c06=tech")
    assert ran.code == 1
    assert ran.row("test_intent::recall[billing]")["candidate_mean"] == 0
    assert ran.row("test_intent::precision[tech]")["candidate_mean"] == pytest.approx(0.5)
    assert not any(ran.gates.values())
    assert {row["metric"] for row in ran.json["comparisons"] if row["aggregate"]} == {
        MACRO,
        "test_intent::recall[billing]",
        "test_intent::precision[tech]",
    }


def test_a_name_that_no_class_has_is_told(tickets):
    """A slip in ``gate=`` would gate nothing."""
    tickets.record()
    tickets.write(test_bot=TESTS.replace("retries=0", 'retries=0, gate=["recall[biling]", "test_intent"]'))
    ran = tickets.run()
    assert any("recall[biling]" in text and "no effect" in text for text in ran.json["warnings"])


def test_a_score_of_that_name_stays_what_it_is(tickets):
    """A test that scores its own ``macro_f1`` keeps it; nothing is computed over it."""
    tickets.write(test_bot=TESTS + '    sample.score("macro_f1", 0.25)\n')
    ran = tickets.record()
    row = ran.metric(MACRO)
    assert (row["mean"], row["aggregate"]) == (0.25, False)


def test_labels_are_untrusted_text(tickets):
    """A model's answer is cut, redacted and escaped wherever it is kept or shown."""
    evil = r"c00=\x1b[31m|<b>`x`\ud800,c03=key sk-abcdefghijklmnopqrstuvwxyz0123456789,c06=" + "long " * 100
    ran = tickets.record(says=evil)
    kept = tickets.baseline.read_text() + (tickets.path / "results-1.json").read_text() + ran.out
    report = (tickets.path / "promptune-report.md").read_text()
    assert "sk-abcdef" not in kept + report
    labels = (
        tickets.baseline.read_text() + json.dumps(ran.json["classes"]) + report.partition("## Classes")[2]
    )
    assert "long long" in labels
    assert "long " * 30 not in labels
    assert "\x1b" not in tickets.baseline.read_text() + report
    assert (
        r"\x1b[31m|<b>`x`\ud800"
        in json.loads(tickets.baseline.read_text())["labels"]["test_intent"]["c00"]["predicted"]
    )
    assert "<b>" not in report.replace(r"\<b>", "")


def the_same(ran, serial):
    """Confusions and macro-F1 with its interval are those of a serial run."""
    assert ran.code == 0, ran.text
    assert ran.json["classes"] == serial.json["classes"]
    assert ran.metric(MACRO) == serial.metric(MACRO)
    return True


def test_workers_give_the_same(tickets):
    """With ``-n 2``, recorded and compared; the baseline has the same labels."""
    pytest.importorskip("xdist")
    says = "c00=tech,c01=billing,c03=raise"
    serial = tickets.record(says=says)
    labels = tickets.baseline_json()["labels"]
    tickets.baseline.unlink()
    assert the_same(tickets.run("-n", "2", "--promptune-baseline", plugins=XDIST, says=says), serial)
    assert tickets.baseline_json()["labels"] == labels
    check = tickets.run("-n", "2", plugins=XDIST, says="c00=tech")
    assert check.row(MACRO) == tickets.run(says="c00=tech").row(MACRO)


def test_stored_outputs_give_the_same(tickets):
    """``--promptune-replay`` calls nothing and classifies again."""
    serial = tickets.record(says="c00=tech,c01=billing,c03=raise")
    tickets.baseline.unlink()
    assert the_same(tickets.run("--promptune-replay=last", "--promptune-baseline", says="c08=tech"), serial)
    assert "labels" in tickets.baseline_json()


def test_a_resumed_session_gives_the_same(tickets):
    """Samples of the interrupted session are taken over with their labels."""
    breaks = "    if os.environ.get('BOT_BREAK') == case.id:\n        raise OSError('broken')\n"
    tickets.write(test_bot=f"import os\n{TESTS}{breaks}")
    says = "c00=tech,c01=billing,c03=raise"
    serial = tickets.record(says=says)
    tickets.baseline.unlink()
    assert tickets.run("--promptune-baseline", "-x", says=says, **{"break": "c05"}).code == 1
    ran = tickets.run("--promptune-baseline", "--promptune-resume", says=says)
    assert ran.json["experiment"]["reused"] > 0
    assert the_same(ran, serial)


def test_looks_judge_it_too(tickets):
    """With ``MIN..MAX`` runs a gated macro-F1 is judged at each look, at its level."""
    tickets.record("--promptune-runs=9")
    named = ("-o", "promptune_gate_metrics=macro_f1", "--promptune-runs=3..9")
    ran = tickets.run(*named, says="c00=tech,c03=tech,c06=tech,c01=tech")
    assert ran.code == 1
    row = ran.row(MACRO)
    assert (row["verdict"], row["gate"]) == ("regressed", "failed")
    assert row["alpha"] < 0.05
    assert ran.json["experiment"]["runs"] < 9
    assert ran.metric(MACRO)["n_samples"] == 9 * ran.json["experiment"]["runs"]
