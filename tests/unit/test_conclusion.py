"""The end of a session: what is compared, recorded, noted, and run again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_promptune.conclusion import Conclusion, Evidence, conclude
from pytest_promptune.core.aggregates import labels
from pytest_promptune.core.aggregates.given import Aggregate, Given
from pytest_promptune.core.baseline import Baseline, Recorded
from pytest_promptune.core.experiment import Experiment
from pytest_promptune.core.model import SampleError, Usage
from pytest_promptune.core.results import Result, SampleFacts
from pytest_promptune.core.scorers import Unscored
from pytest_promptune.core.scoring import Classification, Score
from pytest_promptune.settings import Settings
from pytest_promptune.store.baselines import baseline_path, read_baseline, write_baseline

MODULE = "tests/test_m.py"
RUNS = 5
CASES = tuple(f"c{i}" for i in range(6))
RECORDED = Recorded(
    at="2026-01-01T00:00:00Z", commit="abc", dirty=False, runs=RUNS, promptune="0.1", concurrency=16
)
BROKEN = SampleError(type="ValueError", message="no\nsuch tool")
LOST = SampleError(type="RateLimitError", message="slow down", infrastructure=True)

Values = Callable[[str, int], Any]


def results(
    outcome: str | Values = "passed",
    *,
    test: str = "test_a",
    variant: str = "current",
    cases: Sequence[str] = CASES,
    runs: int = RUNS,
    score: Values | None = None,
    module: str = MODULE,
    hashes: Mapping[str, str] | None = None,
    **more: Any,
) -> list[Result]:
    """The results of one test under one variant."""
    found = []
    for run in range(1, runs + 1):
        for case in cases:
            what = outcome if isinstance(outcome, str) else outcome(case, run)
            values: dict[str, Any] = {
                "nodeid": f"{module}::{test}[{case}-{variant}-run{run}]",
                "module": module,
                "test": test,
                "metric": test,
                "app": "bot",
                "case_id": case,
                "case_hash": (hashes or {}).get(case, "same"),
                "variant": variant,
                "run": run,
                "outcome": what,
                "scores": {"words": Score(value=score(case, run), kind="score")} if score else {},
                "sample": SampleFacts(
                    latency_s=0.5,
                    usage=Usage(input_tokens=3),
                    error={"errored": BROKEN, "missing": LOST}.get(what),
                    models=("m",),
                ),
                **more,
            }
            found.append(Result(**values))
    return found


@pytest.fixture
def concluded(tmp_path: Path) -> Callable[..., Conclusion]:
    def finish(
        *parts: Sequence[Result],
        baselines: bool = True,
        variants: Sequence[str] = ("current",),
        collected: Mapping[str, frozenset[str]] | None = None,
        whole: bool = True,
        recorded: Recorded = RECORDED,
        aggregates: Sequence[Aggregate] = (),
        **settings: Any,
    ) -> Conclusion:
        experiment = Experiment()
        for result in (one for part in parts for one in part):
            experiment.add(result)
        asked = Settings(**settings)
        found: dict[str, Baseline | None] = {}
        for module in experiment.modules:
            path = baseline_path(tmp_path, module, asked.against)
            found[module] = read_baseline(path) if baselines else None
        return conclude(
            Evidence(
                settings=asked,
                root=tmp_path,
                experiment=experiment,
                variants=variants,
                baselines=found,
                collected={MODULE: frozenset(CASES)} if collected is None else collected,
                recorded=recorded,
                is_whole=whole,
                is_everything=whole,
                given=Given(aggregates=aggregates),
            )
        )

    return finish


def main(root: Path, name: str = "main") -> Path:
    return baseline_path(root, MODULE, name)


def gates(found: Conclusion) -> dict[str, bool]:
    """Failed or not, by what stands in the brackets."""
    return {item.nodeid.partition("::gate[")[2].rstrip("]"): item.failed for item in found.gate}


def alternating(case: str, run: int) -> str:
    return "passed" if (CASES.index(case) + run) % 2 else "missed"


# --- recording ------------------------------------------------------------------------------------


def test_recording(concluded, tmp_path):
    """Baseline mode writes the file, gates nothing, and says what comes next."""
    found = concluded(results(), baseline=True)
    assert [(view.action, view.path) for view in found.baselines] == [
        ("recorded", "tests/__promptune__/test_m.main.json")
    ]
    assert (found.gate, found.comparisons) == ([], [])
    assert found.decision.action == "record"
    baseline = read_baseline(main(tmp_path))
    assert baseline.scores["test_a"] == {case: [1.0] * RUNS for case in CASES}
    assert baseline.recorded == RECORDED
    assert baseline.cases == dict.fromkeys(CASES, "same")
    assert {"bot::latency_s", "bot::error_rate", "bot::input_tokens"} < set(baseline.metrics)
    assert "bot::cost_usd" not in baseline.metrics


def test_checking_writes_nothing(concluded, tmp_path):
    """Only baseline mode touches a baseline file."""
    concluded(results(), baseline=True)
    before = main(tmp_path).read_bytes()
    concluded(results("missed"))
    concluded(results("missed"), results(variant="v"), variants=["current", "v"], compare=True)
    assert main(tmp_path).read_bytes() == before
    assert sorted(path.name for path in tmp_path.rglob("*.json")) == ["test_m.main.json"]


def test_recording_the_same_leaves_the_file(concluded, tmp_path):
    """Equal scores under equal conditions: not a byte, not a time stamp changes."""
    concluded(results(), baseline=True)
    before = main(tmp_path).stat().st_mtime_ns, main(tmp_path).read_bytes()
    found = concluded(
        results(), baseline=True, recorded=replace(RECORDED, at="later", commit="def", dirty=True)
    )
    assert found.baselines[0].action == "untouched"
    assert (main(tmp_path).stat().st_mtime_ns, main(tmp_path).read_bytes()) == before


def test_recording_a_part_leaves_the_rest(concluded, tmp_path):
    """-k records what ran: other tests, other cases stay."""
    concluded(results(), results(test="test_b"), baseline=True)
    found = concluded(results("missed", cases=CASES[:1]), baseline=True, whole=False)
    assert found.baselines[0].action == "updated"
    scores = read_baseline(main(tmp_path)).scores
    assert scores["test_a"]["c0"] == [0.0] * RUNS
    assert scores["test_a"]["c1"] == scores["test_b"]["c0"] == [1.0] * RUNS


def test_recording_everything_forgets_what_is_gone(concluded, tmp_path):
    """A session that measured all there is leaves no scores of tests and cases that don't exist any more."""
    concluded(results(), results(test="test_b"), baseline=True)
    concluded(results(cases=CASES[:1]), baseline=True)
    recorded = read_baseline(main(tmp_path))
    assert "test_b" not in recorded.scores
    assert set(recorded.cases) == {CASES[0]}


def test_recording_under_another_name(concluded, tmp_path):
    """--promptune-against names the file."""
    concluded(results(), baseline=True, against="dev")
    assert main(tmp_path, "dev").exists()
    assert not main(tmp_path).exists()


def test_recording_a_variant(concluded, tmp_path):
    """A variant measured in place of `current` is recorded, and the file's view says so."""
    found = concluded(results(variant="v"), variants=["v"], baseline=True)
    assert "variant v" in found.baselines[0].detail
    assert read_baseline(main(tmp_path)).scores["test_a"]["c0"] == [1.0] * RUNS


@pytest.mark.parametrize("outcome", ["errored", "missing"])
def test_an_app_without_any_answer_is_not_recorded(concluded, tmp_path, outcome):
    """A baseline of nothing but errors would let everything pass: it fails, and no file is written."""
    found = concluded(results(outcome), baseline=True)
    assert [item.failed for item in found.gate] == [True]
    assert "no output in any of 30 samples" in found.gate[0].message
    assert found.baselines[0].action == "not recorded"
    assert not main(tmp_path).exists()


def test_an_app_that_was_never_called_is_not_recorded(concluded, tmp_path):
    """Every test broke before its sample: there is nothing to record, least of all 0 errors."""
    broken = [replace(one, sample=None) for one in results("failed")]
    concluded(broken, baseline=True)
    assert not main(tmp_path).exists()


# --- comparing ------------------------------------------------------------------------------------


def test_without_a_baseline(concluded):
    """Nothing to compare with is told, with what to do, and is no failure unless asked for."""
    found = concluded(results())
    assert found.comparisons == []
    assert [view.action for view in found.baselines] == ["missing"]
    assert (found.decision.action, found.decision.command) == ("record", "pytest --promptune-baseline")
    assert found.gate == []


def test_baselines_of_other_names_are_told(concluded):
    """Who compares with a baseline that isn't there learns which there are."""
    concluded(results(), baseline=True, against="dev")
    assert "dev" in concluded(results()).baselines[0].detail


def test_an_unchanged_app_passes(concluded):
    """The same again: compared, passed, go on."""
    concluded(results(alternating), baseline=True)
    found = concluded(results(alternating))
    assert gates(found) == {"test_a-current": False, "bot::error_rate-current": False}
    assert found.decision.action == "continue"
    assert [view.action for view in found.baselines] == ["compared"]
    assert found.rerun == []


def test_a_regression_fails(concluded):
    """A test that always passed and now always misses fails its gate, and only its own."""
    concluded(results(), results(test="test_b"), baseline=True)
    found = concluded(results("missed"), results(test="test_b"))
    assert gates(found) == {"test_a-current": True, "test_b-current": False, "bot::error_rate-current": False}
    assert found.decision.action == "investigate"


def test_an_app_that_breaks_down_fails(concluded):
    """Errors in every sample: 0 in the assertion metric, and error_rate regressed; nothing is green."""
    concluded(results(), baseline=True)
    found = concluded(results("errored"))
    assert gates(found) == {
        "bot::output-current": True,
        "test_a-current": True,
        "bot::error_rate-current": True,
    }


def test_an_app_behind_a_rate_limit_is_no_pass(concluded):
    """Nothing was measured: that fails, though nothing regressed."""
    concluded(results(), baseline=True)
    found = concluded(results("missing"))
    assert gates(found) == {"bot::output-current": True}
    assert found.comparisons == []


def test_gate_off(concluded):
    """With the gate off there are comparisons and no decisions."""
    concluded(results(), baseline=True)
    found = concluded(results("missed"), gate="off")
    assert found.gate == []
    assert {row.verdict for row in found.comparisons if row.name.metric == "test_a"} == {"regressed"}


def test_time_and_money_are_not_gated(concluded):
    """A slower app with more tokens passes, unless the settings name the metric."""
    concluded(results(), baseline=True)
    slow = [replace(one, sample=replace(one.sample, latency_s=5.0)) for one in results()]
    assert "bot::latency_s-current" not in gates(concluded(slow))
    assert gates(concluded(slow, gate_metrics=("latency_s",)))["bot::latency_s-current"]


def test_variants_are_compared_with_current_and_current_with_the_baseline(concluded):
    """Each variant stands beside `current`, only `current` beside its baseline."""
    concluded(results(alternating), baseline=True)
    found = concluded(
        results(alternating), results(variant="v"), results("missed", variant="w"),
        variants=["current", "v", "w"], compare=True,
    )  # fmt: skip
    pairs = {(r.reference, r.candidate): r.verdict for r in found.comparisons if r.name.metric == "test_a"}
    assert list(pairs) == [("baseline:main", "current"), ("current", "v"), ("current", "w")]
    assert (pairs["current", "v"], pairs["current", "w"]) == ("improved", "regressed")
    assert (found.decision.action, found.decision.variant) == ("adopt", "v")
    assert [row.variant for row in found.metrics if row.name.metric == "test_a"] == ["current", "v", "w"]


def test_changed_cases_are_told_and_not_compared(concluded):
    """A case whose input changed is left out, by name."""
    concluded(results(), baseline=True)
    found = concluded(results("missed", cases=CASES[:1], hashes={"c0": "new"}), results(cases=CASES[1:]))
    (row,) = [row for row in found.comparisons if row.name.metric == "test_a"]
    assert row.cases.changed == ("c0",)
    assert row.gate == "passed"


def test_deselected_cases_are_not_missed(concluded):
    """-k compares what ran; a case that no longer exists is told."""
    concluded(results(), baseline=True)
    found = concluded(results(cases=CASES[:2]))
    assert {row.cases.only_reference for row in found.comparisons} == {()}
    found = concluded(results(cases=CASES[:2]), collected={MODULE: frozenset(CASES[:3])})
    assert {row.cases.only_reference for row in found.comparisons} == {CASES[3:]}


@pytest.mark.parametrize(
    ("outcome", "lacking"),
    [("no file", ""), ("new metric", ""), ("new case", "c9"), ("changed case", "c0 (its content changed)")],
)
def test_requiring_a_baseline(concluded, outcome, lacking):
    """Where a baseline is required, a metric or case without one fails, by name."""
    now = results()
    if outcome != "no file":
        concluded(results(), baseline=True)
        assert not any(item.failed for item in concluded(now, require_baseline=True).gate)
    if outcome == "new metric":
        now = results(score=lambda case, run: run)
    elif outcome == "new case":
        now = results(cases=[*CASES, "c9"])
    elif outcome == "changed case":
        now = results(hashes={"c0": "new"})
    failed = [item for item in concluded(now, require_baseline=True).gate if item.failed]
    assert failed
    assert all("--promptune-require-baseline is set" in item.message for item in failed)
    assert all(f"no baseline for {lacking} in" in item.message for item in failed if lacking)
    if outcome == "new metric":
        assert ["test_a::words" in item.message for item in failed] == [True]


def test_requiring_a_baseline_with_the_gate_off(concluded):
    """Nothing fails where the gate is off."""
    assert concluded(results(), require_baseline=True, gate="off").gate == []


def test_a_metric_that_became_another_measure(concluded):
    """Booleans before, numbers now: not compared, and told."""
    concluded(results(score=lambda case, run: 1.5), baseline=True)
    as_flags = [replace(one, scores={"words": Score(value=1.0, kind="binary")}) for one in results()]
    found = concluded(as_flags)
    assert "test_a::words-current" not in gates(found)
    assert any("test_a::words" in text and "not compared" in text for text in found.warnings)


def test_a_recorded_metric_that_is_gone_is_told(concluded):
    """The test ran and its score vanished, as from a branch: green without a word misleads."""
    concluded(results(score=lambda case, run: 5), baseline=True)
    found = concluded(results())
    assert any("test_a::words" in text for text in found.warnings)


def test_a_recorded_test_that_is_gone_is_told(concluded):
    """All cases ran and a recorded test didn't, renamed or skipped: the session says so."""
    concluded(results(), results(test="test_b"), baseline=True)
    skipped = concluded(results(), results("skipped", test="test_b"))
    (said,) = skipped.warnings
    assert "test_b, which nothing measured in this session: not compared. Record the baseline again." in said


def test_a_renamed_test_is_recognised(concluded):
    """A test under a new name leaves its old one in the file: the hint names both, with what it scored."""
    concluded(results(test="test_mood", score=lambda case, run: 1), baseline=True)
    found = concluded(results(test="test_mood_of_reply", score=lambda case, run: 1))
    (said,) = found.warnings
    assert "Renamed test_mood to test_mood_of_reply, test_mood::words to test_mood_of_reply::words?" in said
    assert any("test_mood_of_reply is not in the baseline main yet" in note for note in found.notes)


def test_the_only_new_metric_may_be_the_only_lost_one(concluded):
    """Names with nothing in common are paired where there is no choice, and only there."""
    concluded(results(), results(test="test_polite"), baseline=True)
    found = concluded(results(), results(test="check_x"))
    assert "Renamed test_polite to check_x?" in found.warnings[0]
    found = concluded(results(), results(test="check_x"), results(test="zz"))
    assert "Renamed" not in found.warnings[0]


def test_what_is_new_of_another_kind_is_no_rename(concluded):
    """A score with a unit doesn't become a share."""
    concluded(results(score=lambda case, run: 1), baseline=True)
    other = [replace(one, scores={"word": Score(value=1.0, kind="score", unit="s")}) for one in results()]
    assert "Renamed" not in concluded(other).warnings[0]


def test_few_common_cases_are_told(concluded):
    """Less than half of all cases on both sides: a warning with both numbers; half of them is enough."""
    concluded(results(cases=CASES[:3]), baseline=True)
    assert concluded(results(cases=CASES)).warnings == []
    concluded(results(cases=CASES[:2]), baseline=True)
    (said,) = concluded(results(cases=CASES)).warnings
    assert said == (
        "tests/test_m.py: only 2 of 6 cases are the same in baseline main and in current; the verdicts speak "
        "of these alone."
    )


def test_a_case_of_another_content_is_another_case(concluded):
    """Three of five cases changed: two of eight are the same."""
    concluded(results(cases=CASES[:5]), baseline=True)
    changed = [
        replace(one, case_hash="new") if one.case_id < "c3" else one for one in results(cases=CASES[:5])
    ]
    assert any("only 2 of 8 cases are the same" in text for text in concluded(changed).warnings)


def test_a_part_of_the_suite_knows_nothing_of_the_rest(concluded):
    """What a partial session didn't measure may have been deselected: only its size is told."""
    concluded(results(), results(test="test_b"), baseline=True)
    found = concluded(results(cases=CASES[:2]), whole=False, margin={"test_b": 0.2})
    assert found.warnings == [
        "Partial session: the verdict is about what ran (2 cases x 5 runs), not about the suite."
    ]


def test_a_part_of_the_runs_is_told_as_such(concluded):
    """After --lf cases have as many runs as missed."""
    concluded(results(), baseline=True)
    some = [one for one in results("missed") if one.case_id == "c0" or one.run == 2]
    (said,) = concluded(some, whole=False).warnings
    assert "(6 cases x 1 to 5 runs)" in said


def test_recording_a_part_is_no_verdict(concluded):
    """Nothing is judged when a baseline is recorded."""
    assert concluded(results(cases=CASES[:2]), whole=False, baseline=True).warnings == []


# --- what a baseline is recorded without ------------------------------------------------------------


def test_recording_many_errors_is_told(concluded, tmp_path):
    """A baseline of an app that breaks is recorded, but not in silence."""
    found = concluded(results(lambda case, run: "errored" if case < "c2" else "passed"), baseline=True)
    assert found.warnings == ["tests/test_m.py was recorded although 10 of 30 samples of bot errored."]
    assert main(tmp_path).exists()


def test_recording_some_errors_is_not(concluded):
    """Errors are data: up to a fifth of the samples."""
    found = concluded(results(lambda case, run: "errored" if case < "c1" else "passed"), baseline=True)
    assert found.warnings == []


def test_recording_failures_and_lost_samples_is_told(concluded):
    """Whatever is missing in the file is counted."""
    found = concluded(
        results(lambda case, run: "missing" if (case, run) == ("c3", 2) else "passed"),
        results(lambda case, run: "failed" if run == 1 else "passed", test="test_b"),
        baseline=True,
    )
    assert found.warnings == [
        "tests/test_m.py was recorded although 1 of 30 samples of bot got lost, test_b failed 6 of 30 times."
    ]


def test_the_same_again_says_what_does_not_count(concluded):
    """Whoever looks for new times in the file learns why it didn't change."""
    concluded(results(), baseline=True)
    slow = [replace(one, sample=replace(one.sample, latency_s=5.0)) for one in results()]
    view = concluded(slow, baseline=True, concurrency=4).baselines[0]
    assert view.action == "untouched"
    assert "measured times alone don't rewrite it" in view.detail


# --- times and the load they were measured under ------------------------------------------------------


def latency(found: Conclusion) -> Any:
    return next(row for row in found.comparisons if row.name.kind == "latency")


def test_times_under_another_load_are_not_judged(concluded):
    """Latency at another concurrency has no verdict; everything else has."""
    concluded(results(), baseline=True)
    slow = [replace(one, sample=replace(one.sample, latency_s=5.0)) for one in results()]
    found = concluded(slow, concurrency=4)
    row = latency(found)
    assert (row.verdict, row.gate, row.p, row.ci) == ("inconclusive", "off", None, None)
    assert (row.reference_mean, row.candidate_mean) == (0.5, 5.0)
    assert row.reason.startswith("Recorded with 16 samples in flight, measured now with 4: not comparable.")
    assert found.warnings == []
    assert all(row.p is not None for row in found.comparisons if row.name.kind != "latency")
    assert latency(concluded(slow)).verdict == "regressed"


def test_times_of_older_files_are_not_judged(concluded):
    """A file that doesn't say its concurrency is read; recording it again makes it say so."""
    concluded(results(), baseline=True, recorded=replace(RECORDED, concurrency=None))
    assert "an unknown number of samples in flight" in latency(concluded(results())).reason
    assert concluded(results(), baseline=True).baselines[0].action == "updated"
    assert latency(concluded(results())).p is not None


@pytest.mark.parametrize(("rule", "gate"), [("regression", "passed"), ("non-inferiority", "failed")])
def test_a_gate_on_times_says_why_it_did_not_judge(concluded, rule, gate):
    """Named latency is inconclusive: it passes where that passes, and never in silence."""
    concluded(results(), baseline=True)
    found = concluded(results(), concurrency=4, gate_metrics=("latency_s",), gate=rule)
    assert latency(found).gate == gate
    (item,) = [item for item in found.gate if "latency_s" in item.nodeid]
    assert item.message.startswith("bot::latency_s: Recorded with 16 samples in flight")
    assert any("bot::latency_s is gated but was not judged" in text for text in found.warnings)


def test_variants_are_timed_in_one_session(concluded):
    """Between variants of one session the load is the same."""
    concluded(results(), baseline=True)
    found = concluded(
        results(), results(variant="v"), variants=["current", "v"], compare=True, concurrency=4
    )  # fmt: skip
    rows = {row.reference: row.p for row in found.comparisons if row.name.kind == "latency"}
    assert rows["baseline:main"] is None
    assert rows["current"] is not None


def test_other_models_are_told(concluded):
    """A baseline that was recorded with another model says so."""
    concluded(results(), baseline=True, recorded=replace(RECORDED, models=("gpt-a",)))
    found = concluded(results(), recorded=replace(RECORDED, models=("gpt-b",)))
    assert found.baselines[0].detail == "recorded with gpt-a, measured now with gpt-b"


def test_margins_and_gates_that_nobody_measured(concluded):
    """A misspelt metric in the ini file is told, not silently ignored."""
    found = concluded(results(), margin={"test_x": 0.1, "test_a": 0.2}, gate_metrics=("latency", "latency_s"))
    assert found.warnings == [
        "promptune_margin names 'test_x', which was not measured in this session: it has no effect.",
        "promptune_gate_metrics names 'latency', which was not measured in this session: it has no effect.",
    ]


def test_a_typed_margin_is_told_as_it_was_typed(concluded):
    """What a test will score isn't known before it ran."""
    found = concluded(results(), margin={"test_a::wrods": 0.1}, margin_override=True)
    assert found.warnings[0].startswith("--promptune-margin names 'test_a::wrods'")


def test_a_marker_that_gates_what_nobody_measured(concluded):
    """@pytest.mark.promptune(gate=["wrods"]) gates nothing at all: that is told."""
    concluded(results(), baseline=True)
    found = concluded(results("missed", gate=("wrods",)))
    assert any("wrods" in text for text in found.warnings)
    assert not any("wrods" in text for text in concluded(results(gate=("wrods",)), whole=False).warnings)


def test_one_run_is_told_to_be_too_few(concluded):
    """A comparison of single runs finds next to nothing: the session says so, and not with more runs."""
    once = [one for one in results() if one.run == 1]
    concluded(once, baseline=True)
    assert any(note.startswith("Use at least 3 runs") for note in concluded(once).notes)
    assert not any(note.startswith("Use at least") for note in concluded(results()).notes)


def test_contradictions_are_told(concluded):
    """What the scores contradict each other in is among the notes."""
    one = results(score=lambda case, run: 1, runs=1)
    other = [
        replace(r, run=2, scores={"words": Score(value=1.0, kind="score", direction="lower")})
        for r in results(runs=1)
    ]
    assert any("test_a::words is scored with direction" in note for note in concluded(one, other).notes)


def test_names_of_a_baseline_in_commands(concluded):
    """Everything that is said to be done names the baseline that was asked for."""
    found = concluded(results(), against="dev", require_baseline=True)
    assert all("--promptune-against=dev" in item.message for item in found.gate)


# --- errors ---------------------------------------------------------------------------------------


def test_errors_are_grouped(concluded):
    """Equal errors of a variant are told once, on one line, with number and cases."""
    found = concluded(
        results(lambda case, run: {"c0": "errored", "c1": "missing"}.get(case, "passed")),
        results("errored", variant="v", cases=CASES[:1], runs=1),
        variants=["current", "v"],
        compare=True,
    )
    assert [(e.variant, e.error, e.infrastructure, e.count, e.cases) for e in found.errors] == [
        ("current", "ValueError: no such tool", False, RUNS, ("c0",)),
        ("current", "RateLimitError: slow down", True, RUNS, ("c1",)),
        ("v", "ValueError: no such tool", False, 1, ("c0",)),
    ]


# --- what a failed decision points at -----------------------------------------------------------------


def test_a_failed_decision_says_how_to_run_its_tests(concluded):
    """Its node id can't be selected; passed ones need no hint."""
    concluded(results(), results(test="test_b"), baseline=True)
    found = concluded(results("missed"), results(test="test_b"))
    hints = {item.failed: item.hint for item in found.gate}
    assert hints[True].endswith("The tests behind it: pytest --lf")
    assert hints[False] == ""
    failed = next(item for item in found.gate if item.failed)
    assert failed.details == (*failed.examples, failed.hint)


# --- running again --------------------------------------------------------------------------------


def test_what_lf_runs_again(concluded):
    """The items that missed in the failed metric, and all runs of cases that got worse; no others."""
    concluded(results(), results(test="test_b"), baseline=True)
    worse = CASES[:4]
    now = results(lambda case, run: "missed" if case in worse else "passed")
    found = concluded(now, results(test="test_b"))
    assert gates(found)["test_a-current"]
    assert set(found.rerun) == {one.nodeid for one in now if one.case_id in worse}


def test_lf_does_not_run_a_test_of_the_same_last_name(concluded):
    """TestX::test_a failed; the function test_a did not."""
    mine, other = results(test="TestX::test_a"), results(test="test_a")
    concluded(mine, other, baseline=True)
    found = concluded(results("missed", test="TestX::test_a"), other)
    assert set(found.rerun) == {one.nodeid for one in mine}


def test_what_lf_runs_again_after_errors(concluded):
    """A failed error_rate is behind every item of the samples that gave none."""
    concluded(results(), results(test="test_b"), baseline=True)

    def mostly_broken(case: str, run: int) -> str:
        return "errored" if case != "c5" else "passed"

    both = [*results(mostly_broken), *results(mostly_broken, test="test_b")]
    found = concluded(both)
    assert set(found.rerun) == {one.nodeid for one in both if one.outcome == "errored"}


def test_a_broken_variant_is_run_again_not_current(concluded):
    """The items are those of the side that failed."""
    found = concluded(
        results(), results("missed", variant="v"), variants=["current", "v"], compare=True, baselines=False
    )
    assert found.rerun
    assert all("-v-run" in nodeid for nodeid in found.rerun)


# --- several modules ------------------------------------------------------------------------------


def test_modules_have_files_of_their_own(concluded, tmp_path):
    """Each module is recorded in and compared with its own file."""
    other = "tests/test_n.py"
    found = concluded(results(), results("missed", module=other), baseline=True)
    assert [view.module for view in found.baselines] == [MODULE, other]
    assert read_baseline(baseline_path(tmp_path, other, "main")).scores["test_a"]["c0"] == [0.0] * RUNS
    found = concluded(results("missed"), results("missed", module=other))
    failed = {item.nodeid for item in found.gate if item.failed}
    assert failed == {f"{MODULE}::test_a::gate[test_a-current]"}


def test_one_broken_module_leaves_the_other(concluded, tmp_path):
    """An app that never answers in one module doesn't keep the other from being recorded."""
    other = "tests/test_n.py"
    found = concluded(results(), results("errored", module=other), baseline=True)
    assert [view.action for view in found.baselines] == ["recorded", "not recorded"]


def test_a_baseline_that_was_thinned_by_hand(concluded, tmp_path):
    """A metric whose scores were deleted from the file is told as not comparable."""
    concluded(results(), baseline=True)
    path = main(tmp_path)
    write_baseline(path, replace(read_baseline(path), scores={}))
    found = concluded(results("missed"))
    assert found.comparisons == []
    assert any("test_a has no scores in the baseline main" in text for text in found.warnings)


# --- scorers that gave no score -----------------------------------------------------------------------

BROKEN_JUDGE = Unscored(scorer="judge", reason="ValueError: no such rubric.")
BUSY_JUDGE = Unscored(scorer="judge", reason="RateLimitError: slow down", infrastructure=True)


def judged(
    value: float | None = 0.5,
    *,
    failure: Unscored | None = None,
    metric: str = "bot::judge",
    comment: str = "",
    **more: Any,
) -> list[Result]:
    """The results of a test with the scorer `judge`; where it failed there are none of its scores."""
    score = Score(value=value, kind="score", scorer="judge", comment=comment)
    given = {"scores": {} if failure else {metric: score}} | more
    return [
        replace(one, sample=replace(one.sample, scorer_errors=(failure,)))
        if failure and one.sample.error is None
        else one
        for one in results(**given)
    ]


def failed(found: Conclusion) -> dict[str, str]:
    """The messages of the failed decisions, by what stands in the brackets."""
    return {i.nodeid.partition("::gate[")[2].rstrip("]"): i.message for i in found.gate if i.failed}


@pytest.mark.parametrize(
    ("failure", "cure"),
    [
        (BROKEN_JUDGE, "ValueError: no such rubric. Mend it, or take it out of the marker's scorers=[…]."),
        (BUSY_JUDGE, "RateLimitError: slow down. What it calls could not be reached: run again"),
        (
            Unscored(scorer="judge", reason="TimeoutError: after 2 s"),
            "TimeoutError: after 2 s. Give it more time with the marker's timeout=",
        ),
    ],
)
@pytest.mark.parametrize("rule", ["regression", "non-inferiority"])
def test_a_scorer_that_never_scored_fails(concluded, failure, cure, rule):
    """Whatever kept it from scoring: nothing measured is no pass; the sentence says what to do."""
    concluded(judged(), baseline=True)
    found = concluded(judged(failure=failure), gate=rule)
    said = failed(found)["bot::judge-current"]
    assert said.startswith(
        "bot::judge: the scorer 'judge' gave no score for any of 30 samples of bot under current: "
    )
    assert cure in said
    (item,) = [item for item in found.gate if "bot::judge" in item.nodeid]
    assert item.nodeid == f"{MODULE}::bot::gate[bot::judge-current]"
    assert item.hint.endswith("pytest --promptune-replay=last")
    assert found.decision.action == "investigate"
    assert found.warnings == []  # least of all the advice to record again
    assert set(found.rerun) == {one.nodeid for one in results()}


def test_a_scorer_that_scored_once_passes(concluded):
    """What is missing then is told as a warning, and judged as missing data."""
    concluded(judged(), baseline=True)
    now = judged(failure=BROKEN_JUDGE)
    found = concluded([*judged()[:1], *now[1:]])
    assert gates(found)["bot::judge-current"] is False


def test_a_scorer_without_outputs_is_not_to_blame(concluded):
    """Where the app gave none there was nothing to judge: that fails by itself."""
    concluded(judged(), baseline=True)
    found = concluded(results("errored"))
    assert "bot::judge-current" not in gates(found)
    assert gates(found)["bot::output-current"]
    some = [*results("errored", cases=CASES[:5]), *judged(failure=BROKEN_JUDGE, cases=CASES[5:])]
    assert "any of 5 samples" in failed(concluded(some))["bot::judge-current"]
    merged = [replace(one, scores=judged(None)[0].scores) for one in some]  # as read from a row of a shard
    assert "any of 5 samples" in failed(concluded(merged))["bot::judge-current"]


def test_a_silent_scorer_with_the_gate_off(concluded):
    """No decisions at all."""
    concluded(judged(), baseline=True)
    assert concluded(judged(failure=BROKEN_JUDGE), gate="off").gate == []


def test_a_silent_scorer_without_a_baseline(concluded):
    """There is nothing to compare with yet, and so nothing to decide, unless a baseline is required."""
    assert concluded(judged(failure=BROKEN_JUDGE)).gate == []
    found = concluded(judged(failure=BROKEN_JUDGE), require_baseline=True)
    assert "bot::judge-current" in failed(found)


def test_a_new_scorer_that_is_broken(concluded):
    """Nobody knows what it would have given: it fails beside a baseline, be it in there or not."""
    concluded(results(), baseline=True)
    assert "bot::judge-current" in failed(concluded(judged(failure=BROKEN_JUDGE)))


def test_recording_with_a_silent_scorer_is_told(concluded, tmp_path):
    """The rest is recorded; a warning says what the file lacks."""
    found = concluded(judged(failure=BROKEN_JUDGE), baseline=True)
    assert found.gate == []
    assert found.warnings == [
        "tests/test_m.py was recorded although the scorer 'judge' gave no score for any of 30 samples of "
        "bot. Nothing was recorded of bot::judge."
    ]
    assert "test_a" in read_baseline(main(tmp_path)).scores


def test_the_metric_of_a_silent_scorer_by_its_key(concluded):
    """A scorer may call its metric as it likes: it is the one that the baseline has and nothing gave."""
    concluded(judged(metric="bot::tone"), baseline=True)
    assert "bot::tone-current" in failed(concluded(judged(failure=BROKEN_JUDGE)))
    found = concluded(judged(failure=BROKEN_JUDGE, gate=("tone",)))
    assert "bot::tone-current" in failed(found)
    found = concluded(judged(failure=BROKEN_JUDGE), whole=False)  # it may be that of a test that was left out
    assert "bot::judge-current" in failed(found)


def test_the_metrics_of_a_silent_scorer(concluded):
    """One scorer may give several metrics: each of them was not measured, and none is gone."""
    both = [
        replace(one, scores={**one.scores, "bot::tact": replace(one.scores["bot::tone"])})
        for one in judged(metric="bot::tone")
    ]
    concluded(both, baseline=True)
    found = concluded(judged(failure=BROKEN_JUDGE))
    assert set(failed(found)) == {"bot::tone-current", "bot::tact-current"}
    assert found.warnings == []


def test_a_silent_scorer_that_nobody_gates(concluded):
    """The marker's `gate` names other metrics: a warning is enough."""
    concluded(judged(gate=("test_a",)), baseline=True)
    assert failed(concluded(judged(failure=BROKEN_JUDGE, gate=("test_a",)))) == {}
    assert "bot::judge-current" in failed(concluded(judged(failure=BROKEN_JUDGE, gate=("judge",))))


def test_cannot_tell_is_an_answer(concluded):
    """It fails only where the baseline has scores of these cases."""
    first, rest = CASES[:2], CASES[2:]
    concluded(judged(cases=first), judged(None, cases=rest), baseline=True)
    assert failed(concluded(judged(None, cases=rest))) == {}
    said = failed(concluded(judged(None, comment="who knows")))["bot::judge-current"]
    assert "it said that it can't tell. Ask it something that these outputs answer" in said


@pytest.mark.parametrize("failure", [BROKEN_JUDGE, None])
def test_a_scorer_that_is_silent_under_a_variant(concluded, failure):
    """`current` has the metric and the variant hasn't: that fails, and no such variant is adopted."""
    found = concluded(
        judged(outcome=alternating),
        judged(None, failure=failure, variant="v"),
        variants=["current", "v"], compare=True,
    )  # fmt: skip
    assert list(failed(found)) == ["bot::judge-v"]
    assert "gave no score for any of 30 samples of bot under v" in failed(found)["bot::judge-v"]
    (row,) = [row for row in found.comparisons if row.name.metric == "bot::judge"]
    assert (row.verdict, row.gate) == ("inconclusive", "failed")
    assert [r.verdict for r in found.comparisons if r.name.metric == "test_a"] == ["improved"]
    assert found.decision.action != "adopt"


def test_a_scorer_that_is_silent_under_all_variants(concluded):
    """Nothing was compared, with a baseline or without: every variant has its decision."""
    found = concluded(
        judged(failure=BROKEN_JUDGE),
        judged(failure=BROKEN_JUDGE, variant="v"),
        variants=["current", "v"], compare=True,
    )  # fmt: skip
    assert set(failed(found)) == {"bot::judge-current", "bot::judge-v"}
    assert (found.decision.action, found.decision.command) == ("investigate", "")
    found = concluded(
        judged(failure=BROKEN_JUDGE), judged(variant="v"), variants=["current", "v"], compare=True
    )  # fmt: skip
    assert set(failed(found)) == {"bot::judge-current", "bot::judge-v"}
    assert "of bot under current" in failed(found)["bot::judge-v"]


def test_a_silent_scorer_that_is_recorded_and_compared(concluded):
    """Beside baseline and variants there is one decision for each candidate."""
    concluded(judged(), baseline=True)
    found = concluded(
        judged(failure=BROKEN_JUDGE), judged(variant="v"), variants=["current", "v"], compare=True
    )  # fmt: skip
    nodeids = [item.nodeid for item in found.gate]
    assert len(set(nodeids)) == len(nodeids)
    assert set(failed(found)) == {"bot::judge-current", "bot::judge-v"}


def test_without_stored_outputs_the_tests_run_again(concluded):
    """An empty `promptune_store` leaves nothing to replay."""
    concluded(judged(), baseline=True)
    (item,) = [i for i in concluded(judged(failure=BROKEN_JUDGE), store="").gate if i.failed]
    assert item.hint.endswith("pytest --lf")


# --- what scorers said ------------------------------------------------------------------------------


def test_comments_of_the_worst_samples(concluded):
    """A failed metric of a scorer quotes its comments, lowest value of the cases that got worse first."""
    concluded(judged(0.9), baseline=True)
    values = {"c0": 0.25, "c1": 0.5, "c2": 0.0}
    now = [
        replace(
            one,
            scores={
                "bot::judge": Score(
                    value=values.get(one.case_id, 0.9), kind="score", scorer="judge",
                    comment=f"run {one.run} of\n\x1b[31m{one.case_id}" if one.case_id == "c2" else "so so",
                )
            },
        )
        for one in results()
    ]  # fmt: skip
    twice = [replace(one, test="test_b", metric="test_b") for one in now]  # tests share the sample
    (item,) = [item for item in concluded(now, twice).gate if "bot::judge" in item.nodeid]
    assert item.failed
    assert item.examples == tuple(f"c2: 0, run {run} of c2 (1 time)" for run in range(1, 6))


def test_comments_that_are_alike_are_counted(concluded):
    """One line for what was said of a case in each run; of the best samples nothing is quoted."""
    concluded(judged(0.9, comment="fine"), baseline=True)
    worse = judged(0.25, comment="dry", cases=CASES[:4])
    (item,) = [
        item
        for item in concluded(worse, judged(0.9, comment="fine", cases=CASES[4:])).gate
        if "bot::judge" in item.nodeid
    ]
    assert item.failed
    assert item.examples == tuple(f"{case}: 0.250, dry (5 times)" for case in CASES[:4])


def test_long_comments_are_cut(concluded):
    """A judge may write an essay."""
    concluded(judged(0.9), baseline=True)
    found = concluded(judged(0.1, comment="word " * 100))
    (item,) = [item for item in found.gate if "bot::judge" in item.nodeid]
    assert item.examples
    assert all(len(text) < 230 for text in item.examples)


# --- aggregates -----------------------------------------------------------------------------------


def test_an_aggregate_that_some_drawn_sets_lack_is_compared(concluded):
    """A function that divides by what is rare works on what was measured: that decides."""
    rare = Aggregate("per_miss", lambda samples: len(samples) / int((samples["test_a"] == 0).sum()))
    parts = results(lambda case, run: "missed" if (case, run) == ("c0", 1) else "passed")
    concluded(parts, aggregates=[rare], baseline=True)
    found = concluded(parts, aggregates=[rare], gate_metrics=("per_miss",))
    assert not any(item.failed for item in found.gate), found.gate
    (row,) = [row for row in found.comparisons if row.aggregate]
    assert (row.reference_mean, row.p) == (30.0, 1.0)


def test_an_aggregate_that_rests_on_run_numbers_is_not_comparable(concluded):
    """In drawn tables runs are numbered anew: where it has no value then it says so, not that cases lack."""
    fifth = Aggregate("fifth", lambda samples: samples.loc[samples["run"] == 5, "test_a"].tolist()[0])
    concluded(results(), aggregates=[fifth], baseline=True)
    late = [one for one in results() if one.run > 1]
    found = concluded(late, aggregates=[fifth], gate_metrics=("fifth",))
    (row,) = [row for row in found.comparisons if row.aggregate]
    assert row.reason == (
        "Not comparable: it has no value where `run` and `variant` are others. Let it depend on neither."
    )
    assert f"bot::fifth is gated but was not judged. {row.reason}" in found.warnings


def share(samples):
    """Of the misses; no value where there is none."""
    missed = int((samples["test_a"] == 0).sum())
    return missed / len(samples) if missed else None


SHARE = Aggregate("share", share, direction="lower")


def aggregate_failures(found: Conclusion) -> list[str]:
    return [item.message for item in found.gate if item.failed and item.message.startswith("bot::share")]


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (results(alternating), []),
        (results(alternating, cases=CASES[:3]), []),
        (
            [*results(alternating), *results("missed", cases=["c9"])],
            ["bot::share: no baseline for c9 in"],
        ),
        (
            results(alternating, hashes={"c0": "new"}),
            ["bot::share: no baseline for c0 (its content changed) in"],
        ),
        (
            results(alternating, hashes=dict.fromkeys(CASES, "new")),
            ["bot::share: no baseline for c0 (its content changed), c1 (its content changed), c2"],
        ),
        (results(alternating, test="test_b"), ["bot::share can't be computed"]),
        (
            results(),
            [
                "bot::share: Not comparable: it has no value in current. It is gated, and "
                "--promptune-require-baseline is set."
            ],
        ),
    ],
    ids=["same", "fewer", "new case", "changed case", "all changed", "another test", "no value"],
)
def test_requiring_a_baseline_of_an_aggregate(concluded, now, says):
    """New and changed cases fail as with other metrics; what isn't comparable says why."""
    concluded(results(alternating), aggregates=[SHARE], baseline=True)
    found = concluded(now, aggregates=[SHARE], gate_metrics=("share",), require_baseline=True)
    told = aggregate_failures(found)
    assert len(told) == len(says), told
    assert all(text.startswith(start) for text, start in zip(told, says, strict=True)), told


def test_an_aggregate_of_what_the_baseline_lacks(concluded):
    """A score that is new has no column in the baseline: recording it again is the cure."""
    words = Aggregate("share", lambda samples: samples["test_a::words"].mean())
    concluded(results(alternating), baseline=True)
    now = results(alternating, score=lambda case, run: 1.5)
    (told,) = aggregate_failures(
        concluded(now, aggregates=[words], gate_metrics=("share",), require_baseline=True)
    )
    assert told.startswith("bot::share: no baseline in tests/__promptune__/test_m.main.json")


def test_a_new_case_without_a_value_is_not_missed(concluded):
    """Nothing of it could be recorded: the next session would fail for it again."""
    concluded(results(alternating), aggregates=[SHARE], baseline=True)
    lost = results("missing", cases=["c9"])
    found = concluded(
        results(alternating), lost, aggregates=[SHARE], gate_metrics=("share",), require_baseline=True
    )
    assert aggregate_failures(found) == []


@pytest.mark.parametrize("is_recording", [True, False])
def test_what_classifies_is_found_once(concluded, monkeypatch, is_recording):
    """It takes a walk through all results, which long sessions would pay for by module and by look."""
    known = []
    plain = labels.Classified
    monkeypatch.setattr(labels, "Classified", lambda **of: known.append(of["column"].name) or plain(**of))
    parts = [
        results(module=module, classification=Classification(predicted="a", expected="a"))
        for module in (MODULE, "tests/test_n.py")
    ]
    found = concluded(*parts, aggregates=[SHARE], baseline=is_recording)
    assert [name.module for name in known] == [MODULE, "tests/test_n.py"]
    assert [row.name for row in found.classes] == known
