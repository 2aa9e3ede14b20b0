"""The terminal summary: what it says, how long it is, and that it stays text."""

import subprocess
import sys
from dataclasses import replace

import pytest
import views

from pytest_promptune.core.display import columns
from pytest_promptune.core.lines import Line, Segment
from pytest_promptune.core.view import BaselineView, CaseLists, Decision, ErrorView, GateItem
from pytest_promptune.stats import passing
from pytest_promptune.terminal import summary

NASTY = "\x1b[31mred\x1b[0m\x07\r\nbell \u202eright to left"
EVERY = {
    "ok": views.view(),
    "failed": views.failed_check(),
    "variants": views.three_variants(),
    "baseline": views.recorded(),
    "interrupted": views.view(interrupted=True),
}


def said(view, *, verbosity=0, width=80):
    return [line.text for line in summary(view, verbosity=verbosity, width=width)]


def flat(view, **options):
    """All words with single spaces, wherever lines were broken."""
    return " ".join(" ".join(said(view, **options)).split())


@pytest.mark.parametrize("width", [40, 60, 80, 132])
@pytest.mark.parametrize("verbosity", [-1, 0, 1])
@pytest.mark.parametrize("name", EVERY)
def test_no_line_is_wider_than_the_terminal(name, verbosity, width):
    """Only the command stays in one piece: it is there to be copied."""
    lines = said(EVERY[name], verbosity=verbosity, width=width)
    assert [line for line in lines if columns(line) > width and not line.startswith("  $ ")] == []


def test_a_check_without_findings_is_one_line():
    """The line also says what could not have been seen."""
    assert said(views.view()) == [
        "promptune: no significant change (20 cases x 5 runs detect 11 points or more)"
    ]


@pytest.mark.parametrize("name", ["ok", "baseline", "interrupted"])
def test_quiet_is_one_line_when_nothing_is_wrong(name):
    """``-q`` keeps the result; ``-qq`` keeps silent."""
    assert len(said(EVERY[name], verbosity=-1)) == 1


def test_warnings_are_told_in_quiet_sessions_too():
    """What limits the verdict is no detail; notes are."""
    view = views.view(warnings=("Partial session: half of it.",), notes=("By the way.",), written=("r.md",))
    assert said(view, verbosity=-1)[1:] == ["  Partial session: half of it."]
    assert said(view, verbosity=-2) == []
    assert said(view)[1:] == ["  Partial session: half of it.", "  By the way.", "  Written: r.md"]
    text = flat(view, verbosity=1)
    assert "Warnings Partial session: half of it. Notes By the way." in text
    assert flat(view, verbosity=1).count("Partial session") == 1


@pytest.mark.parametrize(("name", "told"), [("ok", False), ("failed", True)])
def test_where_more_is_written(name, told):
    """One line says which files to open; quiet sessions say so when there is a reason to open them."""
    view = replace(EVERY[name], written=("promptune-report.md", "out/r.json"))
    line = "  Written: promptune-report.md, out/r.json"
    for verbosity in (0, 1):
        assert said(view, verbosity=verbosity).count(line) == 1
    assert (line in said(view, verbosity=-1)) == told


def test_an_interrupted_session_says_where_it_wrote():
    """Its report has what was measured so far."""
    view = views.view(interrupted=True, written=("r.md",))
    assert said(view)[-1] == "  Written: r.md"
    assert len(said(view, verbosity=-1)) == 1


def test_very_quiet_is_silent_only_when_nothing_is_wrong():
    """A failed gate is told however quiet the session."""
    assert said(views.view(), verbosity=-2) == []
    assert "test_intent" in flat(views.failed_check(), verbosity=-2)


def test_quiet_failures_say_metric_size_and_interval():
    """The gate's own message is never cut."""
    text = flat(views.failed_check(), verbosity=-1)
    assert "test_intent regressed by 11.0 points [-19.5, -2.9] against baseline main" in text
    assert "$ pytest tests/prompts/test_support.py -k TC002" in text


@pytest.mark.parametrize("failed", [True, False])
def test_quiet_comparisons_end_with_what_to_do_next(failed):
    """Action and command on one line, where there is room; whether or not a variant failed the gate."""
    view = views.three_variants()
    if not failed:
        better = tuple(row for row in view.comparisons if row.verdict != "regressed")
        view = replace(view, comparisons=better, gate=())
    line = "Next: adopt fewshot: pytest-promptune adopt fewshot"
    assert said(view, verbosity=-1, width=80)[-1] == line
    assert said(view, verbosity=-1, width=40)[-2:] == [
        "Next: adopt fewshot:",
        "  $ pytest-promptune adopt fewshot",
    ]
    assert (line in said(view, verbosity=-2, width=80)) == failed
    reason = "The last 2 iterations brought nothing."
    still = replace(view, decision=Decision(action="plateau", variant=None, reason=reason))
    assert said(still, verbosity=-1, width=80)[-1] == f"Next: plateau: {reason}"


def test_quiet_failures_of_a_check_say_why_their_command():
    """A command by itself doesn't say what it is for."""
    lines = said(views.failed_check(), verbosity=-1, width=80)
    at = lines.index("  $ pytest tests/prompts/test_support.py -k TC002")
    assert lines[at - 1] == "Next: investigate (current): test_intent dropped by 11.0 points."


def test_a_regression_is_told_with_the_gate_off():
    """What the gate ignores, the reader should not."""
    view = views.view(comparisons=(views.regression(gate="off"),))
    assert "test_intent of current regressed: −11.0 [−19.5, −2.9] pts" in flat(view, verbosity=-1)
    assert "Regressed, but the gate is off" in said(view)


def test_verdicts_are_worded_and_coloured():
    """`unchanged` is no word for people: it would claim that nothing changed."""
    styles = {
        segment.text.strip(): segment.markup
        for line in summary(views.three_variants(), verbosity=0, width=80)
        for segment in line.segments
    }
    assert styles["regressed"] == {"red": True, "bold": True}
    assert styles["improved"] == {"green": True, "bold": True}
    assert styles["inconclusive"] == {"yellow": True}
    assert "no significant change" in styles
    assert "unchanged" not in flat(views.three_variants(), verbosity=1)


def test_a_table_row_has_means_difference_interval_and_p():
    """At 80 columns nothing of it is lost, and where it was adjusted p stands there twice."""
    alone = views.view(comparisons=(views.regression(),))
    assert "    test_intent    86.0 %   75.0 %  −11.0 [−19.5, −2.9] pts  0.015" in said(alone)
    assert not any("adj. p" in line for line in said(alone))
    several = views.view(comparisons=(views.regression(p_adjusted=0.0465), views.latency()), mode="compare")
    assert said(several)[5:11] == [
        "                 baseline  current  difference [interval]        p  adj. p",
        "  regressed",
        "    test_intent    86.0 %   75.0 %  −11.0 [−19.5, −2.9] pts  0.015   0.046",
        "  no significant change",
        "    latency_s *    2.50 s   2.40 s  −1.7 [−7.6, +4.5] %       0.58",
        "  cases regressed (test_intent): TC002, TC009",
    ]


def test_a_name_too_long_for_its_column_has_its_own_line():
    """It isn't cut: the end of a name may be all that tells two metrics apart."""
    name = views.metric_name("test_identifies_the_customer::words_of_the_reply", kind="score", unit="words")
    row = views.regression(name=name, p_adjusted=0.0465, difference=-0.11)
    lines = said(views.view(comparisons=(row, views.constant("test_a"))))
    place = lines.index("    test_identifies_the_customer::words_of_the_reply")
    assert lines[place + 1].startswith(" " * 15)
    assert lines[place + 1].endswith("0.015   0.046")
    assert {len(line) for line in lines[place - 2 : place : 2]} == {len(lines[place + 1])}


def test_ungated_metrics_are_shown_in_comparisons_and_when_asked_for():
    """A check that failed is about the gate; latency is looked at with ``-v``."""
    assert "latency_s" not in flat(views.failed_check())
    assert "latency_s *" in flat(views.failed_check(), verbosity=1)
    assert "latency_s *" in flat(views.three_variants())
    assert "* compared and reported, not gated" in flat(views.three_variants())


def test_metrics_without_any_difference_share_a_line():
    """Nothing can be tested where all values are equal."""
    text = flat(views.failed_check())
    assert "all passed in both: test_polite, test_language" in text
    assert "equal in both, 0.0 %: error_rate" in text


def test_the_scope_is_said_once():
    """It holds for all tables."""
    text = flat(views.three_variants())
    scope = "Scope: these 20 cases, run-to-run noise only. It says nothing about inputs outside the suite; "
    assert text.count(scope + 'for that use scope="population".') == 1
    assert text.count("has not changed since the baseline of 2026-11-20.") == 1


def test_without_a_stored_baseline_nothing_is_assumed_about_it():
    """Interleaved variants share the day."""
    assert "since the baseline" not in flat(
        views.view(mode="compare", comparisons=(views.improvement(),), baselines=())
    )


def test_what_would_go_unnoticed_is_said_when_nothing_was_found():
    """The absence of a finding is worth what the design could see."""
    text = flat(views.view(mode="compare", comparisons=(views.comparison(),)))
    assert "A drop below about 11 points would go unnoticed with 20 cases x 5 runs." in text
    assert "unnoticed" not in flat(views.view(mode="compare", comparisons=(views.regression(),)))


def test_cases_are_named_by_what_happened_to_them():
    """Long lists are cut with a count."""
    cases = CaseLists(regressed=tuple(f"TC{i:03}" for i in range(30)), changed=("TC040",), suspect=("TC050",))
    lines = said(views.view(comparisons=(views.regression(cases=cases),)))
    assert any(line.startswith("  cases regressed (test_intent): TC000, TC001,") for line in lines)
    assert any(line.endswith(" more") for line in lines)
    assert "  cases suspect, run again (test_intent): TC050" in lines
    assert "  cases changed content, not compared: TC040" in lines


def test_a_short_check_tells_what_was_not_compared():
    """Cases with new content leave the comparison; that may not pass in silence."""
    quiet = views.comparison(cases=CaseLists(changed=("TC040",), only_reference=("TC041",)))
    assert said(views.view(comparisons=(quiet,)))[1:] == [
        "  cases changed content, not compared: TC040",
        "  cases only in the reference: TC041",
    ]


def test_a_missing_baseline_says_what_to_run():
    """Nothing compared is not a pass."""
    view = views.view(
        comparisons=(),
        baselines=(views.baseline_file(action="missing", recorded_at=None, commit=None),),
        decision=Decision(
            action="record", variant=None, reason="No baseline.", command="pytest --promptune-baseline"
        ),
    )
    assert said(view) == [
        "promptune: no baseline main yet, nothing compared",
        "  missing: tests/prompts/__promptune__/test_support.main.json",
        "  $ pytest --promptune-baseline",
    ]


def test_a_gate_that_fails_without_a_comparison_is_told():
    """As under --promptune-require-baseline."""
    gate = GateItem(
        nodeid="t.py::test_a::gate[test_a-current]", failed=True, message="test_a has no baseline"
    )
    text = flat(views.view(comparisons=(), gate=(gate,), exit_code=1))
    assert "Gate: failed" in text
    assert "test_a has no baseline" in text


def test_a_baseline_run_shows_means_spread_and_flaky_cases():
    """What a baseline is worth shows in its spread."""
    lines = said(views.recorded())
    assert "    test_intent            75.0 %  [66.0, 84.0] %         3.2 pts      3" in lines
    assert "  cases flaky (test_intent): TC007, TC010, TC011" in lines


def test_passes_of_k_runs_are_for_those_who_ask():
    """-v tells pass@k and pass^k of flaky metrics, the usual summary doesn't."""
    found = passing({"TC007": [1, 0], "b": [1, 1]})
    view = views.view(
        mode="baseline", comparisons=(), metrics=(views.metric_row(passing=found, flaky_cases=("TC007",)),)
    )
    assert "all of k runs pass (pass^k): 75.0 % for k = 1, 50.0 % for 2" in flat(view, verbosity=1)
    assert "of k runs" not in flat(view)


def test_every_verdict_is_told_in_words_under_v():
    """-v has the sentence of each row, gated or not, equal ones once; else only open ones have."""
    rows = (
        views.regression(),
        views.words(),
        views.latency(reason="Up by 1 %."),
        views.comparison(views.metric_name("test_b"), reason="All is well."),
        views.comparison(views.metric_name("test_c"), reason="All is well."),
        views.constant("test_same"),
    )
    view = views.view(comparisons=rows, mode="compare")
    told = flat(view, verbosity=1)
    for sentence in (
        "test_intent: The drop is larger than chance explains.",
        "latency_s: Up by 1 %.",
        "test_b, test_c: All is well.",
        f"test_reply::words: {rows[1].reason}",
    ):
        assert sentence in told
    assert "test_same: " not in told
    assert "All is well." not in flat(view)


def test_cases_that_fail_stand_in_the_headline():
    """A gate that fails for single cases doesn't call itself without a change."""
    row = views.comparison(gate="failed", failure="cases", failing_cases=("TC007",))
    item = GateItem(nodeid="x", failed=True, message="told below")
    assert said(views.view(comparisons=(row,), gate=(item,)), verbosity=-1)[0] == (
        "promptune: gate failed: test_intent worse in 1 case"
    )


def test_stored_experiments_of_two_apps_have_a_headline():
    """Their sides are called A and B, and none of them is a baseline or `current`."""
    sides = {"reference": "A current", "candidate": "B current"}
    rows = [
        views.improvement(**sides, name=views.metric_name("test_a", app=app))
        if app == "one"
        else views.comparison(**sides, name=views.metric_name("test_b", app=app))
        for app in ("one", "two")
    ]
    first = said(views.view(mode="compare", comparisons=tuple(rows)), verbosity=-1)[0]
    assert "test_a improved" in first
    assert "test_a improved" not in said(views.view(mode="compare", comparisons=tuple(rows[1:])))[0]


def test_an_interrupted_session_claims_nothing():
    """Half a session has no verdict, whatever its rows say."""
    view = views.view(interrupted=True, comparisons=(views.regression(),))
    assert said(view) == ["promptune: interrupted, nothing was compared or recorded"]


def test_errors_are_grouped_with_their_cases():
    """Infrastructure does not count against the app."""
    text = flat(views.failed_check())
    assert "3 samples of support_bot/current: ValueError: no JSON in" in text
    assert "2 samples of support_bot/current, infrastructure, counted as missing:" in text


def test_foreign_text_cannot_command_the_terminal():
    """Errors, ids, notes, messages: no control character of theirs is written."""
    view = views.view(
        comparisons=(
            views.regression(
                name=views.metric_name(f"test_{NASTY}", app=NASTY),
                cases=CaseLists(regressed=(NASTY,)),
                reason=NASTY,
                candidate=NASTY,
            ),
        ),
        errors=(
            ErrorView(app=NASTY, variant=NASTY, error=NASTY, infrastructure=False, count=1, cases=(NASTY,)),
        ),
        notes=(NASTY,),
        warnings=(NASTY,),
        written=(NASTY,),
        baselines=(BaselineView(path=NASTY, name=NASTY, module="m", action="missing", detail=NASTY),),
        gate=(GateItem(nodeid="x", failed=True, message=NASTY),),
        decision=Decision(action="continue", variant=NASTY, reason=NASTY, command=NASTY),
    )
    for verbosity in (-1, 0, 1):
        text = "".join(said(view, verbosity=verbosity))
        assert text.isprintable()
        assert "\u202e" not in text
        assert "red" in text


def test_a_segment_is_harmless_however_it_is_made():
    """The last door before the terminal."""
    assert Line((Segment("a\x1b[2Jb"), Segment("\nc"))).text == "ab c"


def test_the_summary_needs_no_heavy_library():
    """Suites pay for a summary, not for a template engine."""
    code = (
        "import sys, pytest_promptune.terminal, pytest_promptune.report.json_results\n"
        "heavy = {'jinja2', 'markupsafe', 'numpy', 'pandas', 'pytest', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_population_scope_speaks_of_inputs_like_these():
    """Another question, another line."""
    row = views.comparison(scope="population", n_cases=12)
    text = flat(views.view(mode="compare", comparisons=(row,)))
    assert "Scope: new inputs like these 12 cases; case-to-case variation included" in text
    assert "run-to-run noise only" not in text


def test_an_unsettled_metric_is_explained_in_a_short_check():
    """Inconclusive is not wrong, but it is not nothing either."""
    view = views.view(comparisons=(views.words(), views.comparison()))
    assert said(view)[0] == "promptune: test_reply::words inconclusive (20 cases x 5 runs)"
    assert "9 runs per case needed" in flat(view)


def test_many_unsettled_metrics_are_counted_in_the_headline():
    """Their names stand below, each reason once."""
    rows = [
        views.words(name=views.metric_name(f"test_{letter}"), reason=f"{'One' if letter < 'c' else 'Other'}.")
        for letter in "abc"
    ]
    lines = said(views.view(comparisons=tuple(rows)))
    assert lines[0] == "promptune: 3 metrics inconclusive (20 cases x 5 runs)"
    assert lines[1:3] == ["  test_a, test_b: One.", "  test_c: Other."]


def test_what_could_not_be_compared_says_why():
    """Gated or not: a row without p needs its reason."""
    row = views.latency(p=None, ci=None, ratio=None, verdict="inconclusive", reason="Another load.")
    assert "latency_s: Another load." in flat(views.view(mode="compare", comparisons=(row,)))
    assert "Another load." not in flat(views.view(comparisons=(views.comparison(), row)))


def test_a_gate_that_failed_for_want_of_scores_says_so_first():
    """The verdict on such a row says nothing; what failed is in the message."""
    row = views.words(verdict="inconclusive", gate="failed", n_cases=0, p=None)
    item = GateItem(nodeid="t.py::a::gate[words-v]", failed=True, message="words: the scorer is silent")
    view = views.view(comparisons=(row,), gate=(item,))
    assert said(view, verbosity=-1)[0] == "promptune: gate failed: words: the scorer is silent"


def test_an_app_in_two_modules_has_two_tables():
    """Names are unique within a module only."""
    other = views.metric_name(module="tests/prompts/test_sales.py")
    text = flat(views.view(comparisons=(views.regression(), views.regression(name=other))))
    assert "support_bot (tests/prompts/test_support.py): current against baseline main" in text
    assert "support_bot (tests/prompts/test_sales.py): current against baseline main" in text


@pytest.mark.parametrize(
    ("action", "line"),
    [
        ("updated", "promptune: baseline main updated (5 metrics, 20 cases x 5 runs)"),
        ("untouched", "promptune: baseline main already up to date (5 metrics, 20 cases x 5 runs)"),
        ("not recorded", "promptune: baseline main not recorded (5 metrics, 20 cases x 5 runs)"),
    ],
)
def test_what_happened_to_the_baseline_is_the_result_of_recording(action, line):
    """A file that did not change is no new baseline."""
    view = views.recorded()
    changed = views.view(
        mode="baseline",
        metrics=view.metrics,
        comparisons=(),
        baselines=(views.baseline_file(action=action, detail="two cases failed"),),
    )
    assert said(changed, verbosity=-1) == [line]
    assert "two cases failed" in flat(changed)
