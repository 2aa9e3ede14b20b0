"""The final report in Markdown, in each of its languages."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from string import Formatter
from typing import get_args

import finals
import pytest
import views
from markupsafe import Markup

from pytest_promptune.core.casebook import MARKS
from pytest_promptune.core.circumstances import What
from pytest_promptune.core.model import Change
from pytest_promptune.core.results import GRAVEST
from pytest_promptune.core.series.final import (
    RecommendationKind,
    RemarkKind,
    SuggestedCases,
    Unjudged,
    UnjudgedGoal,
)
from pytest_promptune.report.final.json import to_json
from pytest_promptune.report.final.markdown import render_final
from pytest_promptune.report.markdown import Picture
from pytest_promptune.report.plots.drawings import Share
from pytest_promptune.report.templating import ReportError
from pytest_promptune.report.words import LANGUAGES, Words, en, ja

NASTY = (
    "<script>x</script> | `tick` [a](javascript:b) ![i](http://x/y.png) @team #1\n# two \u202e\x1b[31m ```"
)
#: Latin letters that Japanese engineers write, beside names.
FOREIGN = {
    "p",
    "pytest",
    "promptune",
    "CPython",
    "Python",
    "Holm",
    "Wilson",
    "MOVER",
    "UTC",
    "USD",
    "ms",
    "s",
}


def placeholders(pattern: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(pattern) if name is not None}


# -- words -------------------------------------------------------------------------------------------


def test_languages_have_the_same_words():
    """Every key, with the same things to fill in; nothing is left empty."""
    assert set(en.WORDS) == set(ja.WORDS)
    for key, pattern in en.WORDS.items():
        assert placeholders(pattern) == placeholders(ja.WORDS[key]), key
        assert pattern
        assert ja.WORDS[key] or key == "space"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_has_words(language):
    """Whatever a report can say, it can say in each language."""
    keys = set(Words(language)._words)
    assert {f"r_{kind}" for kind in get_args(RecommendationKind)} <= keys
    assert {f"m_{kind}" for kind in get_args(RemarkKind)} <= keys
    assert {f"unjudged_{why}" for why in get_args(Unjudged)} <= keys
    assert {f"d_{what}" for what in get_args(What)} <= keys
    assert {f"book_{each}" for each in (*MARKS, *GRAVEST) if each != "skipped"} <= keys


def test_words_that_nobody_uses_are_gone():
    """A key stands in a template or in the code, or is made of a kind."""
    from pathlib import Path

    import pytest_promptune

    root = Path(pytest_promptune.__file__).parent / "report"
    files = [
        *(root / "final").glob("*.py"),
        *(root / "plots").glob("*.py"),
        *(root / "templates" / "final").glob("*.j2"),
        *(root / "templates" / "html").glob("*.j2"),
        root / "words" / "__init__.py",
        root.parent / "plot_files.py",
    ]
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    script = (root / "templates" / "html" / "page.js").read_text(encoding="utf-8")
    assert '"rest"' not in script  # of cut texts, which are made before
    text += "".join(f'"book_{each}"' for each in ("rest", *MARKS, *GRAVEST, *re.findall(r'"(\w+)"', script)))
    assert all(f'"p_{what}"' not in text for what in get_args(Share))  # made of a kind, too
    made = (
        *(f"p_{what}" for what in get_args(Share)),
        "r_",
        "m_",
        "d_",
        "status_",
        "unjudged_",
        "verdict_",
        "action_",
        "kind_",
        "case_",
        "w_",
    )
    assert [key for key in en.WORDS if not key.startswith(made) and f'"{key}"' not in text] == []


def test_values_are_escaped_and_names_are_code():
    """Numbers are grouped, unknown is a dash, long lists are cut."""
    w = Words("en")
    assert w("r_flaky", metric="a|b", count=1200, of=None, cases=[f"c{i}" for i in range(12)]) == (
        "**Look at flaky cases of <code>a\\|b</code>**: 1,200 of – pass in some runs only (`c0`, `c1`, `c2`, "
        "`c3`, `c4`, `c5`, `c6`, `c7`, `c8`, `c9` and 2 more)."
    )


# -- the report --------------------------------------------------------------------------------------


def test_the_report_has_all_parts():
    """From the summary to the method."""
    text = render_final(finals.report())
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [
        "Summary",
        "Results",
        "Goals",
        "Conditions",
        "Iterations",
        "Cases",
        "Latency and cost by node",
        "Recommendations",
        "Where the numbers come from",
    ]
    assert "How this was computed" in text
    assert text.startswith("# Prompt tuning report: `support_bot`\n")


def test_the_summary_has_a_line_for_each_goal():
    """From what to what, by how much, how sure, and whether that is enough."""
    text = render_final(finals.report())
    assert "Iterations: 1. Adopted: `fewshot`. Goals reached: 0 of 1, beyond chance: 0. All goals" in text
    assert (
        "- Accuracy (`test_intent`): 75.0 % → 86.0 % (+11.0 [+2.9, +19.5] pts, p 0.046), target 90.0 % or "
        "higher: **not reached, but that may be chance**"
    ) in text


def test_every_goal_is_counted():
    """Those that aren't judged as well: a line for each, with why, and a row."""
    unjudged = (
        UnjudgedGoal(goal="Kindness", why="unmatched"),
        UnjudgedGoal(goal="Speed", why="misfit"),
        UnjudgedGoal(goal="Cost", why="contradicted"),
    )
    met = replace(finals.goal(0.95, "attained"), name=views.metric_name())
    goals = (finals.GoalChange(initial=met, final=met),)
    text = render_final(finals.report(goals=goals, unjudged=unjudged))
    assert "Goals reached: 1 of 4, beyond chance: 1. All goals must be reached." in text
    assert "- Kindness: **not judged**, as no metric that was measured is what this goal means\n" in text
    assert "- Speed: **not judged**, as its target can't be one of its metric\n" in text
    assert "- Cost: **not judged**, as the goals file gives it two targets\n" in text
    assert "| Kindness | – | – | – | – | – | – | – | not judged |" in text
    text = render_final(finals.report(goals=(), unjudged=unjudged[:1]))
    assert "Goals reached: 0 of 1" in text
    assert "- Kindness: **not judged**" in text
    assert "- `test_intent`: 75.0 % → 86.0 %" in text


def test_a_goal_of_several_metrics_is_one():
    """It is reached where all of them are."""
    met, missed = finals.goal(0.95, "attained"), finals.goal(0.5, "missed", name=views.WORDS)
    goals = tuple(finals.GoalChange(initial=row, final=row) for row in (met, missed))
    assert "Goals reached: 0 of 1, beyond chance: 0." in render_final(finals.report(goals=goals))


def test_results_have_initial_and_final():
    """Value, change with interval, relative change, p, target, achievement and verdict."""
    text = render_final(finals.report())
    assert (
        "| `test_intent` | 75.0 % | 86.0 % | +11.0 [+2.9, +19.5] pts | +14.7 % | 0.015 | 0.046 | "
        "90.0 % or higher | 95.6 % | **improved** |"
    ) in text
    assert "| `latency_s` | 2.50 s | 2.40 s | −2.0 [−8.0, +5.0] % | −4.0 % |" in text
    assert "no significant change (not gated) |" in text


def test_means_that_outliers_turn_around():
    """The difference of typical cases stands alone, and a note says why; otherwise there is none."""
    base = finals.report()
    assert "opposite directions" not in render_final(base)
    moved = {"reference_mean": 2.4, "candidate_mean": 2.6, "ratio": 0.7, "ratio_ci": (0.5, 0.9)}
    row = replace(base.metrics[1].comparison, **moved)
    latency = replace(
        base.metrics[1],
        initial=replace(base.metrics[1].initial, mean=2.4),
        final=replace(base.metrics[1].final, mean=2.6),
        comparison=row,
    )
    text = render_final(replace(base, metrics=(base.metrics[0], latency)))
    assert "| `latency_s` | 2.40 s | 2.60 s | −30.0 [−50.0, −10.0] % | – |" in text
    assert "Mean and difference point in opposite directions in: `latency_s`." in text
    assert text.count("+14.7 %") == 1  # the other row keeps its own
    variant = finals.tried(comparisons=(row,))
    text = render_final(replace(base, iterations=(finals.iteration(tried=(variant,)),)))
    assert text.count("opposite directions in: `latency_s`.") == 1


def test_conditions_have_parameters_and_libraries():
    """Of both states, as code; unknown ones are a dash."""
    start = finals.circumstances(parameters={"a": "temperature=0.3", "b": ""}, libraries={"langgraph": "1.0"})
    text = render_final(finals.report(start=start))
    assert "| Model parameters | `a: temperature=0.3`, `b: –` | – |" in text
    assert "| Libraries | `langgraph 1.0` | – |" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_number_can_be_traced(language):
    """To the hashes of cases, tests and prompts, the commit, and the command that lists the samples."""
    other = finals.Session(experiment="e0", mode="compare", started="", commit="0ther", variants={"f": ""})
    made = replace(finals.report(), iterations=(finals.iteration(repeats=(other,)),))
    text = render_final(made, language=language)
    for found in (
        "| `sha256:00000000000000bb` | `sha256:00000000000000bb` |",
        "| `sha256:00000000000000cc`, `tests/test_bot.py sha256:00000000000000aa` |",
        "| `intent.j2 sha256:0000000000000001`, `reply.j2 sha256:0000000000000003` "
        "| `intent.j2 sha256:0000000000000002`, `reply.j2 sha256:0000000000000003` |",
        f"| `current` | `abc1234` | `pytest-promptune show {finals.FIRST} --samples` |",
        f"| `current`, `fewshot` | `abc1234` | `pytest-promptune show {finals.SECOND} --samples` |",
        "| `f` | `0ther` | `pytest-promptune show e0 --samples` |",
        f"| `fewshot` | `abc1234` | `pytest-promptune show {finals.SECOND} --samples --variant fewshot` |",
    ):
        assert found in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_prompts_stand_there_in_full(language):
    """Folded away: what changed as a difference and both texts, what didn't once."""
    text = render_final(finals.report(), language=language)
    folded = text[text.index(Words(language)("show_prompts", number=2)) :]
    folded = folded[: folded.index("</details>")]
    assert "-Classify.\n+Classify:\n Be brief.\n" in folded
    assert "```\nClassify.\nBe brief.\n```" in folded
    assert "```\nClassify:\nBe brief.\n```" in folded
    assert folded.count("```\nAnswer.\n```") == 1
    assert f"`pytest-promptune show {finals.SECOND} --samples --prompts`" in text
    without = render_final(replace(finals.report(), prompts=()), language=language)
    assert Words(language)("show_prompts", number=0) not in without
    assert f"`pytest-promptune show {finals.SECOND} --samples --prompts`" in without


def test_measurements_that_do_not_count_are_told_with_their_size():
    """What was repeated in part doesn't go without saying."""
    part = finals.Session(
        experiment="e9", mode="compare", started="", cases=3, runs=1, measured=(("m.py", "a"),)
    )
    text = render_final(replace(finals.report(), iterations=(finals.iteration(repeats=(part,)),)))
    assert "Measured as well, and not counted: `e9` (metrics 1, cases 3, runs 1)." in text


def test_iterations_tell_what_changed_and_what_was_decided():
    """The note, results, the diff of the prompt in a fence, the decision with its commit."""
    text = render_final(finals.report())
    assert "### Iteration 1: `fewshot`" in text
    assert "Note: examples of every topic" in text
    assert "```diff\n--- current/intent.j2\n+++ fewshot/intent.j2\n" in text
    assert "-Classify.\n+Classify:\n+Examples.\n" in text
    assert "**Decision: `fewshot` was adopted on 2026-11-22 (commit `1a2b3c4d5e`).**" in text
    elsewhere = finals.iteration(adopted=replace(finals.ADOPTED, is_elsewhere=True))
    text = render_final(finals.report(iterations=(elsewhere,)))
    assert "2026-11-22 (commit `1a2b3c4d5e`, not in this branch).**" in text
    suggested = finals.iteration(adopted=None, suggested="adopt", suggested_variant="fewshot")
    text = render_final(finals.report(iterations=(suggested,)))
    assert "**Decision: nothing was adopted. Suggested: adopt `fewshot`.**" in text
    parameter = Change(kind="context", target="temperature", before="0.7", after="0.2", what="parameter")
    variant = finals.tried(changes=(parameter,), one_change=False)
    text = render_final(finals.report(iterations=(finals.iteration(tried=(variant,)),)))
    assert "| `temperature` | `0.7` | `0.2` |" in text
    assert "More than one thing is changed at a time" in text


def test_every_note_is_told():
    """Those of repeated measurements, and that of the starting point, unless it is an iteration itself."""
    each = finals.iteration(notes=("first look", "again, quieter"))
    noted = replace(finals.series(), begins=replace(finals.series().begins, note="before *all*", dirty=True))
    text = render_final(finals.report(iterations=(each,), series=noted))
    assert "\n\nNote: first look\n\nNote: again, quieter\n\n" in text
    assert f"### Iteration 0: the initial state\n\nExperiment `{finals.FIRST}` of 2026-11-22" in text
    assert "\n\nNote: before \\*all\\*\n\n### Iteration 1" in text
    assert "## Iterations" in render_final(finals.report(iterations=(), series=noted))
    own = finals.iteration(experiment=finals.FIRST, notes=("before *all*",))
    assert render_final(finals.report(iterations=(own,), series=noted)).count("before \\*all\\*") == 1
    assert "Iteration 0" not in render_final(finals.report())


def test_prompts_that_changed_by_hand_are_named_at_the_iteration():
    """Where any did."""
    assert "by hand" not in render_final(finals.report())
    text = render_final(finals.report(iterations=(finals.iteration(by_hand=("a.j2", "b|c.j2")),)))
    assert "**Changed by hand before it**, without an adoption: `a.j2`, <code>b\\|c.j2</code>." in text


def test_levels_of_looks_are_told():
    """An iteration that was judged early has wider intervals than the report's level says."""
    assert "Its intervals" not in render_final(finals.report())
    early = finals.tried(comparisons=(finals.compared(alpha=0.0075),))
    text = render_final(finals.report(iterations=(finals.iteration(tried=(early,)),)))
    assert "Its intervals hold at 99.25 %, the level of the look" in text


def test_goals_of_percentiles():
    """Are called so, in both languages."""
    row = finals.goal(2.0, "missed", name=views.LATENCY, percentile=95, direction="lower", target=1.5)
    report = finals.report(goals=(finals.GoalChange(initial=row, final=row),))
    assert "| p95 of `support_bot::latency_s` | 1.50 s or less |" in render_final(report)
    assert "| `support_bot::latency_s` の p95 | 1.50 s 以下 |" in render_final(report, language="ja")


def test_cases_are_counted_and_listed():
    """Changed ones first; many are folded, and of very many the kept ones are only counted."""
    text = render_final(finals.report())
    assert "Improved: 1, kept: 1, degraded: 1 (more than chance: 1)." in text
    assert (
        text.index("`TC001` | 100.0 % | 80.0 %")
        < text.index("`TC002` | 20.0 % | 100.0 %")
        < text.index("`K000`")
    )
    assert "| **improved** |" in text
    assert "Show the cases" not in text
    assert "Show the cases (20)" in render_final(finals.report(cases=(finals.cases(20),)))
    text = render_final(finals.report(cases=(finals.cases(60),)))
    assert "`K000`" not in text
    assert "Cases that were kept are not shown: 58." in text


def test_the_reason_of_a_suggestion_is_told():
    """As the session gave it, where nothing was adopted; what was adopted needs none."""
    given = {"suggested": "plateau", "reason": "Nothing *moved*."}
    made = replace(finals.report(), iterations=(finals.iteration(adopted=None, **given),))
    text = render_final(made)
    assert (
        "**Decision: nothing was adopted. Suggested: plateau.**\n\n"
        "In the words of the session: “Nothing \\*moved\\*.”\n" in text
    )
    assert "In the words" not in render_final(replace(made, iterations=(finals.iteration(**given),)))


def test_cases_of_a_variant_that_was_suggested():
    """Where nothing was adopted: beside `current`; where nothing was suggested, that is said."""
    suggested = SuggestedCases(iteration=2, variant="new", cases=(finals.cases(),))
    made = replace(finals.beginning(), iterations=(finals.iteration(adopted=None),))
    text = render_final(replace(made, suggested_cases=suggested))
    about = "These are the cases of `new` beside `current` in iteration 2, which suggested to adopt it."
    assert about in text
    assert "| Case | Before | After | Change | Result |" in text
    assert "Improved: 1, kept: 1, degraded: 1" in text
    text = render_final(made)
    assert "## Cases\n\nNothing was adopted, and no session suggested to adopt a variant" in text
    assert "## Cases" not in render_final(finals.beginning())


def test_metrics_without_any_change_are_only_named():
    """A table of equal numbers says nothing."""
    same = replace(finals.cases(4), name=views.ERROR_RATE, cases=finals.cases(4).cases[2:])
    text = render_final(finals.report(cases=(same,)))
    assert "No case changed in: `error_rate`." in text
    assert "`K000`" not in text


def test_unchanged_metrics_of_an_iteration():
    """They are named below its table; a goal's stays in it, and so does one that another variant changes."""
    same = {"reference_mean": 1.0, "candidate_mean": 1.0, "difference": 0.0, "p": None, "p_adjusted": None}
    same |= {"ci": (-0.1, 0.1), "verdict": "unchanged", "constant": True}
    goal, error = finals.compared(**same), finals.compared(name=views.ERROR_RATE, **same)
    still = finals.tried(comparisons=(goal, error))
    text = render_final(finals.report(iterations=(finals.iteration(tried=(still,)),)))
    assert "| `fewshot` | `test_intent` | 100.0 % | 100.0 % | 0.0 [−10.0, +10.0] pts | – | – |" in text
    assert "| `fewshot` | `error_rate`" not in text
    assert "\n\nUnchanged: `error_rate`.\n\n" in text
    text = render_final(finals.report(goals=(), iterations=(finals.iteration(tried=(still,)),)))
    assert "Unchanged: `test_intent`, `error_rate`.\n" in text
    assert "Nothing was compared" not in text
    other = finals.tried("other", comparisons=(finals.compared(name=views.ERROR_RATE),))
    text = render_final(finals.report(iterations=(finals.iteration(tried=(still, other)),)))
    assert "| `fewshot` | `error_rate` | 100.0 % | 100.0 %" in text
    assert "Unchanged:" not in text


def test_the_price_is_told():
    """What got worse without being gated, as times and cost: nobody adopts a variant without knowing."""
    base = finals.report()
    assert "The price" not in render_final(base)
    slower = replace(base.metrics[1].comparison, verdict="regressed", ratio=1.5, ratio_ci=(1.2, 1.9))
    text = render_final(replace(base, metrics=(base.metrics[0], replace(base.metrics[1], comparison=slower))))
    assert "- The price, measured but not gated: `latency_s` +50.0 [+20.0, +90.0] %." in text


def test_long_diffs_are_folded():
    """Short ones stand open."""
    assert "Show the diff" not in render_final(finals.report())
    change = Change(kind="template", target="a.j2", before="", after="\n".join(map(str, range(60))))
    variant = finals.tried(changes=(change,))
    text = render_final(finals.report(iterations=(finals.iteration(tried=(variant,)),)))
    assert "<summary>Show the diff (64 lines)" in text
    change = replace(change, after="##[error]\n" + change.after)
    variant = finals.tried(changes=(change,))
    text = render_final(finals.report(iterations=(finals.iteration(tried=(variant,)),)))
    assert "<summary>Show the diff (65 lines)" in text


@pytest.mark.parametrize(
    ("value", "status", "told"),
    [
        (0.95, "attained", "attained"),
        (0.95, "unclear", "reached, but that may be chance"),
        (0.85, "unclear", "not reached, but that may be chance"),
        (0.5, "missed", "missed"),
        (None, "unclear", "unclear"),
    ],
)
def test_a_goal_is_more_than_attained_or_not(value, status, told):
    """What the value says and whether chance could explain it are two things."""
    row = replace(finals.goal(0.9, status), value=value, ci=None)
    text = render_final(finals.report(goals=(finals.GoalChange(initial=row, final=row),)))
    assert f"target 90.0 % or higher: **{told}**" in text


def test_nodes_before_and_after():
    """Latency, tokens and cost per sample, in one cell; what is the same stands there once."""
    text = render_final(finals.report())
    assert "| `classify` | 412 ms | 21 % | 1.03 | 412 / 10.3 | $0.00120 → $0.00240 | 3.4 % |" in text


def test_columns_of_which_nothing_is_known_are_left_out():
    """The cost of a model without a price, targets without goals."""
    base = finals.report()
    free = {"cost_usd": None, "share_of_cost": None}
    node = replace(base.nodes[0], before=views.node_row(**free), after=views.node_row(**free))
    text = render_final(replace(base, nodes=(node,), goals=()))
    assert "Cost per sample" not in text
    assert "Achievement" not in text
    assert "Share of latency" in text


def test_a_series_without_iterations():
    """The numbers of the starting point, and no claim that anything changed."""
    text = render_final(finals.beginning())
    assert "Iterations: 0. Adopted: none." in text
    assert "| Metric | Initial | 95 % interval | Target | Achievement | Result |" in text
    assert "- Accuracy (`test_intent`): 75.0 %, target 90.0 % or higher: **missed**" in text
    assert "→" not in text.replace("initial → final", "")
    assert "## Iterations" not in text
    assert "## Cases" not in text


def test_without_goals_the_gated_metrics_are_summed_up():
    """With their verdicts."""
    text = render_final(finals.report(goals=(), goals_path=None))
    assert "- `test_intent`: 75.0 % → 86.0 % (+11.0 [+2.9, +19.5] pts, p 0.046), **improved**" in text
    assert "Goals reached" not in text
    assert "- `latency_s`" not in text


def test_several_apps_have_tables_of_their_own():
    """Under their names."""
    other = views.metric_name("test_b", app="other_bot")
    second = replace(finals.report().metrics[0], name=other)
    base = finals.report()
    text = render_final(replace(base, apps=(views.APP, "other_bot"), metrics=(*base.metrics, second)))
    assert "### `support_bot`" in text
    assert "### `other_bot`" in text


def test_metrics_of_several_apps_are_told_apart():
    """In the summary and the table of goals, where no app stands above them."""
    base = finals.report()
    names = [views.ERROR_RATE, views.metric_name("other_bot::error_rate", app="other_bot", direction="lower")]
    metrics = tuple(replace(base.metrics[0], name=name, comparison=None) for name in names)
    several = replace(base, apps=(views.APP, "other_bot"), metrics=metrics, goals=())
    text = render_final(several)
    assert "- `error_rate` of `support_bot`: 75.0 % → 86.0 %, no target\n" in text
    assert "- `error_rate` of `other_bot`: 75.0 % → 86.0 %, no target\n" in text
    assert "- `error_rate` of" not in render_final(replace(several, apps=(views.APP,)))
    rows = [finals.goal(0.5, "missed", name=views.metric_name(app=app)) for app in several.apps]
    goals = tuple(finals.GoalChange(initial=row, final=row) for row in rows)
    text = render_final(replace(several, goals=goals))
    assert "- Accuracy (`test_intent` of `other_bot`): 50.0 % → 50.0 %" in text
    assert "| Accuracy | `test_intent` of `support_bot` |" in text


# -- Japanese ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [finals.report, finals.beginning])
def test_nothing_english_is_left_in_japanese(made):
    """But names: what is in code, in diffs, and what the user wrote."""
    every = [
        *(
            finals.Recommendation(kind=kind, values=_filled(f"r_{kind}"))
            for kind in get_args(RecommendationKind)
        ),
    ]
    remarks = [finals.Remark(kind=kind, values=_filled(f"m_{kind}")) for kind in get_args(RemarkKind)]
    differences = [finals.Difference(what=what, before="1", after="2") for what in get_args(What)]
    report = replace(
        made(), recommendations=tuple(every), remarks=tuple(remarks), differences=tuple(differences)
    )
    text = render_final(report, language="ja")
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"</?(details|summary)>|<code>.*?</code>|`[^`]*`", "", text)
    for own in ("two examples", "examples of every topic", "Accuracy", "test_intent"):
        text = text.replace(own, "")
    words = set(re.findall(r"[A-Za-z]+", text))
    assert words <= FOREIGN


def _filled(key: str) -> dict[str, object]:
    values: dict[str, object] = dict.fromkeys(placeholders(en.WORDS[key]), "1")
    return values | ({"status": "missed"} if "status" in values else {})


def test_japanese_has_the_same_numbers():
    """Only words differ."""
    numbers = re.compile(r"[+−]?\d[\d.,]*")
    report = finals.report()

    def table_rows(language: str) -> list[list[str]]:
        text = render_final(report, language=language)
        return [numbers.findall(line) for line in text.splitlines() if line.startswith("| `")]

    assert table_rows("en") == table_rows("ja") != []
    text = render_final(report, language="ja")
    assert "# プロンプトチューニング最終報告: `support_bot`" in text
    assert "+11.0 [+2.9, +19.5] ポイント" in text
    assert "**改善**" in text


def test_words_of_users_are_not_translated():
    """Units of our own numbers are; goals, notes, models and descriptions stay as they are."""
    w = Words("ja")
    assert w.number("+11.0 [+2.9, +19.5] pts") == "+11.0 [+2.9, +19.5] ポイント"
    assert (w.units("1,234 tokens"), w.units(" tokens"), w.units("2 min 5 s")) == (
        "1,234 トークン",
        " トークン",
        "2 分 5 s",
    )
    base, said = finals.report(), "Input tokens, saved 40 tokens, 3 pts in 2 min all"
    goals = tuple(
        finals.GoalChange(initial=replace(g.initial, goal=said), final=replace(g.final, goal=said))
        for g in base.goals
    )
    unjudged = (UnjudgedGoal(goal=said, why="unmatched"),)
    values = dict(base.recommendations[0].values) | {"goal": said}
    report = finals.report(
        goals=goals,
        unjudged=unjudged,
        iterations=(finals.iteration(notes=(said,), tried=(finals.tried(description=said),)),),
        differences=(finals.Difference(what="models", before=said, after="b"),),
        recommendations=(finals.Recommendation(kind="goal_open", values=values),),
    )
    text = render_final(report, language="ja")
    assert text.count(said) == 8
    assert "トークン、" not in text
    assert "+11.0 [+2.9, +19.5] ポイント、p" in text
    assert "目標値 90.0 %（差 −4.0 ポイント）" in text


# -- hostile texts and users' templates -----------------------------------------------------------------


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.links: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.links += [value for name, value in attrs if name in ("href", "src")]


@pytest.mark.parametrize("language", LANGUAGES)
def test_foreign_text_stays_text(language):
    """Of models and users: no tags, no links, no broken tables, no way out of a fence."""
    markdown_it = pytest.importorskip("markdown_it")
    change = Change(
        kind="template", target=NASTY, before=f"a\n{NASTY}", after=f"b\n````\n{NASTY}\n`````\n# out"
    )
    parameter = Change(kind="context", target=NASTY, before=NASTY, after=NASTY, what="parameter")
    variant = finals.tried(NASTY, description=NASTY, changes=(change, parameter))
    base = finals.report()
    nasty_name = views.metric_name(NASTY, app=NASTY)
    hostile = replace(
        base,
        apps=(NASTY, "b"),
        start=finals.circumstances(commit=NASTY, branch=NASTY, models=(NASTY,), python=NASTY),
        metrics=(replace(base.metrics[0], name=nasty_name), *base.metrics),
        goals=tuple(
            replace(each, initial=replace(each.initial, goal=NASTY), final=replace(each.final, goal=NASTY))
            for each in base.goals
        ),
        cases=(replace(base.cases[0], cases=(replace(base.cases[0].cases[0], case=NASTY),)),),
        nodes=(replace(base.nodes[0], node=NASTY, app=NASTY), replace(base.nodes[0], app="b")),
        iterations=(finals.iteration(notes=(NASTY,), tried=(variant,), experiment=NASTY, commit=NASTY),),
        recommendations=tuple(
            finals.Recommendation(kind=kind, values=_filled(f"r_{kind}") | _nasty(f"r_{kind}"))
            for kind in get_args(RecommendationKind)
        ),
        remarks=tuple(finals.Remark(kind=kind, values=_nasty(f"m_{kind}")) for kind in get_args(RemarkKind)),
        differences=tuple(finals.Difference(what=what, before=NASTY, after=NASTY) for what in get_args(What)),
        prompts=(
            finals.PromptChange(
                name=NASTY,
                before=finals.Prompt(text=f"a\n```\n{NASTY}", hash=NASTY),
                after=finals.Prompt(text=f"</details>\n````\n{NASTY}\n# out", hash=NASTY),
            ),
            base.prompts[1],
        ),
    )
    text = render_final(hostile, language=language)
    assert "\x1b" not in text
    assert "\u202e" not in text
    page = markdown_it.MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    tags = _Tags()
    tags.feed(page)
    assert tags.links == []
    assert tags.found.isdisjoint({"script", "img", "a", "iframe", "style"})
    expected = render_final(base, language=language).count("\n## ")
    assert page.count("<h2>") == expected
    assert page.count("<h1>") == 1


def _nasty(key: str) -> dict[str, object]:
    return dict.fromkeys(placeholders(en.WORDS[key]) - {"status"}, NASTY)


def test_templates_of_the_user(tmp_path):
    """A file of the same name replaces ours, with the same values; mistakes are named."""
    folder = tmp_path / "final"
    folder.mkdir()
    (folder / "method.md.j2").write_text(
        '{{ t("h_method") }}: ask {{ report.apps[0] | code }}', encoding="utf-8"
    )
    text = render_final(finals.report(), templates=tmp_path)
    assert text.endswith("How this was computed: ask `support_bot`\n")
    (folder / "method.md.j2").write_text("{{ nothing }}", encoding="utf-8")
    with pytest.raises(ReportError, match="nothing"):
        render_final(finals.report(), templates=tmp_path)


def test_plots_have_their_place():
    """Each with its alternative text."""
    plot = Picture(
        title="Progress", alternative="Accuracy rises", reference=Markup("report_files/progress-1.svg")
    )
    text = render_final(finals.report(), plots=[plot])
    assert "## Plots\n\n![Accuracy rises](report_files/progress-1.svg)" in text


def test_json_has_everything():
    """As plain data without NaN."""
    data = json.loads(json.dumps(to_json(finals.report()), allow_nan=False))
    assert data["format"] == 1
    assert data["iterations"][0]["adopted"]["variant"] == "fewshot"
    assert data["metrics"][0]["comparison"]["difference"] == 0.11
    assert data["goals"][0]["final"]["status"] == "unclear"
