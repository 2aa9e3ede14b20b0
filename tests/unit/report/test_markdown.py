"""The Markdown report and the step summary."""

import re

import jinja2
import pytest
import views

from pytest_promptune.core.errors import PromptuneError
from pytest_promptune.core.model import Change
from pytest_promptune.core.view import CaseLists, Decision, ErrorView, GateItem, VariantView
from pytest_promptune.report import templating
from pytest_promptune.report.github import SUMMARY_LIMIT, step_summary
from pytest_promptune.report.markdown import render_markdown
from pytest_promptune.report.templating import ReportError
from pytest_promptune.stats import passing

NASTY = "<script>x</script> | `tick` [a](javascript:b) @team #1\n# two \u202e\x1b[31m"


def sections(report):
    return re.findall(r"^## (.*)$", report, re.MULTILINE)


def test_the_title_is_the_result():
    """The first line answers the question people open the report with."""
    first = render_markdown(views.failed_check()).split("\n", 1)[0]
    assert first == (
        "# Prompt regression check: gate failed: test_intent regressed, test_reply::words inconclusive"
    )
    assert render_markdown(views.recorded()).startswith(
        "# Prompt baseline: baseline main recorded (5 metrics"
    )


def test_the_report_has_all_parts():
    """From conditions to method; parts with nothing to say are left out."""
    assert sections(render_markdown(views.three_variants())) == [
        "Conditions",
        "Metrics",
        "Comparisons",
        "Cases",
        "What the variants change",
    ]
    assert "Errors" in sections(render_markdown(views.failed_check()))
    assert sections(render_markdown(views.recorded())) == ["Conditions", "Metrics"]


def test_conditions_are_those_of_the_session():
    """A reader can measure again."""
    report = render_markdown(views.view(experiment=views.experiment(dirty=True)))
    assert "| Commit | `abc1234def5678` on `main` with uncommitted changes |" in report
    assert "| Models | `SmolLM2-135M-Instruct` |" in report
    assert "| Versions | pytest-promptune 0.1.0, Python 3.11.7, langgraph 1.0.0 |" in report


def test_a_comparison_has_difference_interval_and_verdict():
    """`unchanged` is no word for people."""
    report = render_markdown(views.three_variants())
    row = "| `test_intent` | 75.0 % | 86.0 % | +11.0 [+2.9, +19.5] pts | 0.015 | 0.046 | −0.01 | −0.05 |"
    assert f"{row} **improved** | passed |" in report
    assert "unchanged" not in report
    assert "| no significant change | not gated |" in report


def test_every_comparison_has_its_sentence():
    """The verdict in words, for people who don't read tables; also of what isn't gated."""
    report = render_markdown(views.failed_check())
    assert "- `latency_s` (`current` against baseline main): no significant change. No more change" in report
    assert "- `test_intent` (`current` against baseline main): regressed. The drop is larger" in report
    assert (
        "- `test_reply::words` (`current` against baseline main): inconclusive. A regression of up" in report
    )


def test_what_is_open_or_not_comparable_has_its_sentence():
    """Equal values of too small a suite, and times of another load."""
    small = views.constant("test_small", verdict="inconclusive", reason="Takes 12 runs per case.")
    timed = views.latency(p=None, ci=None, ratio=None, verdict="inconclusive", reason="Another load.")
    report = render_markdown(views.view(comparisons=(small, timed, views.constant("test_same"))))
    assert "- `test_small` (`current` against baseline main): inconclusive. Takes 12 runs" in report
    assert "- `latency_s` (`current` against baseline main): inconclusive. Another load." in report
    assert "- `test_same`" not in report


def test_passes_of_k_runs_stand_below_their_table():
    """Of flaky metrics: what retrying could reach, and what can be relied upon."""
    found = passing({"a": [1, 0], "b": [1, 1]})
    report = render_markdown(views.view(metrics=(views.metric_row(passing=found, flaky_cases=("a",)),)))
    assert "@k" not in report, "GitHub would call somebody of that name"
    assert "at least one of k runs passes (pass@\u2060k): 75.0 % for k = 1, 100.0 % for 2" in report
    assert "all of k runs pass (pass^k): 75.0 % for k = 1, 50.0 % for 2" in report
    ten = views.metric_row(passing=passing({"a": [1] * 6 + [0] * 3}), flaky_cases=("a",))
    assert re.findall(r"for (?:k = )?(\d+)", render_markdown(views.view(metrics=(ten,)))) == 2 * [
        "1",
        "2",
        "3",
        "5",
        "9",
    ]
    steady = render_markdown(views.view(metrics=(views.metric_row(passing=passing({"a": [1, 1]})),)))
    assert "of k runs" not in steady


def test_warnings_stand_out():
    """Beside the notes, and before them."""
    report = render_markdown(views.view(warnings=("Partial session.",), notes=("By the way.",)))
    assert "- **Warning:** Partial session.\n- By the way.\n" in report
    assert "**Warning:**" not in render_markdown(views.view(notes=("By the way.",)))


def test_cases_of_metrics_without_a_verdict_are_folded_away():
    """What was found is open, the rest is there for who looks for it."""
    same = views.comparison(
        name=views.metric_name("test_same"), case_means={"TC001": (1.0, 1.0), "TC002": (None, 0.4)}
    )
    report = render_markdown(views.view(comparisons=(views.regression(), same)))
    before, after = report.split("<summary>Cases of the other metrics (1)</summary>")
    assert "| `TC002` | 100.0 % | 20.0 % | −80.0 pts | regressed |" in before
    assert "| `TC002` | – | 40.0 % | – |  |" in after


def test_case_means_come_from_the_metric_rows_where_the_comparison_has_none():
    """Variants of one session are in the view already."""
    view = views.view(
        mode="compare",
        metrics=(
            views.metric_row(case_means={"TC001": 0.2}),
            views.metric_row(variant="fewshot", case_means={"TC001": 1.0}),
        ),
        comparisons=(views.improvement(),),
    )
    assert "| `TC001` | 20.0 % | 100.0 % | +80.0 pts |" in render_markdown(view)


def test_prompts_are_shown_as_diffs_whose_fence_holds():
    """The prompt has a code block of its own."""
    report = render_markdown(views.three_variants())
    assert "````diff\n--- current/analyze_intent.j2\n+++ fewshot/analyze_intent.j2\n" in report
    assert "+```\n+refund -> billing\n+```\n" in report
    assert "| `temperature` | `0.7` | `0` |" in report
    assert "More than one thing is changed at a time" in report


def nasty_view():
    return views.view(
        exit_code=1,
        experiment=views.experiment(branch=NASTY, models=(NASTY,), commit=NASTY),
        metrics=(views.metric_row(views.metric_name(NASTY), flaky_cases=(NASTY,)),),
        comparisons=(
            views.regression(
                name=views.metric_name(NASTY, app=NASTY, unit=NASTY, kind="score"),
                candidate=NASTY,
                reason=NASTY,
                cases=CaseLists(regressed=(NASTY,)),
                case_means={NASTY: (1.0, 0.0)},
            ),
        ),
        variants=(
            VariantView(
                name=NASTY,
                description=NASTY,
                changes=(
                    Change(kind="node", target=NASTY, before="a", after=NASTY),
                    Change(kind="node", target=NASTY, before=NASTY, after=NASTY, what="parameter"),
                ),
                one_change=True,
            ),
        ),
        errors=(
            ErrorView(app=NASTY, variant=NASTY, error=NASTY, infrastructure=False, count=1, cases=(NASTY,)),
        ),
        gate=(GateItem(nodeid="n", failed=True, message=NASTY),),
        decision=Decision(action="investigate", variant=NASTY, reason=NASTY, command=NASTY),
        notes=(NASTY,),
        warnings=(NASTY,),
        baselines=(views.baseline_file(path=NASTY, detail=NASTY),),
    )


@pytest.mark.parametrize("render", [render_markdown, step_summary])
def test_nothing_foreign_takes_effect(render):
    """Case ids, errors, prompts, names: in the page they are text."""
    markdown_it = pytest.importorskip("markdown_it")
    report = render(nasty_view())
    page = markdown_it.MarkdownIt("commonmark", {"html": True}).enable("table").render(report)
    assert "<script" not in page
    assert "<a " not in page
    assert "<h1>two" not in page
    assert "\u202e" not in report
    assert "\x1b" not in report
    prose = re.sub(r"<(code|pre)\b.*?</\1>", "", page, flags=re.DOTALL)
    assert "@team" not in prose
    assert "#1" not in prose


def test_every_row_of_a_table_has_its_columns():
    """Nothing foreign adds or loses a cell."""
    for report in (render_markdown(nasty_view()), render_markdown(views.three_variants())):
        for block in re.findall(r"(?:^\|.*\n)+", report, re.MULTILINE):
            widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.strip().split("\n")}
            assert len(widths) == 1, block


def test_a_folder_replaces_single_templates(tmp_path):
    """The other parts stay ours, and foreign text stays escaped in the user's template."""
    (tmp_path / "conditions.md.j2").write_text(
        "## Ours\n\nAt {{ view.experiment.commit }}\n\n", encoding="utf-8"
    )
    view = views.view(experiment=views.experiment(commit="<b>"))
    report = render_markdown(view, templates=tmp_path)
    assert "## Ours\n\nAt \\<b>\n" in report
    assert sections(report)[:2] == ["Ours", "Metrics"]


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("one\n{{ verdicts }}\n", "'verdicts' is undefined"),
        ("one\n{{ view.verdict }}\n", "no attribute 'verdict'"),
        ("one\n{% if %}\n", "Expected an expression"),
        ("one\n{{ title | shout }}\n", "No filter named 'shout'"),
        ("one\n{{ title + 1 }}\n", "TypeError"),
    ],
)
def test_an_error_in_a_template_names_file_line_and_variable(tmp_path, source, complaint):
    """And says what templates can use."""
    path = tmp_path / "conditions.md.j2"
    path.write_text(source, encoding="utf-8")
    with pytest.raises(ReportError) as error:
        render_markdown(views.view(), templates=tmp_path)
    assert f"{path}:2: " in str(error.value)
    assert complaint in str(error.value)
    assert "Templates can use: baselines, " in str(error.value)
    assert isinstance(error.value, PromptuneError)


def test_templates_that_do_not_exist_are_named(tmp_path):
    """A folder, or a part that a template includes."""
    with pytest.raises(ReportError, match="no such folder"):
        render_markdown(views.view(), templates=tmp_path / "none")
    (tmp_path / "conditions.md.j2").write_text("{% include 'mine.md.j2' %}", encoding="utf-8")
    with pytest.raises(ReportError, match=r"'mine\.md\.j2' does not exist"):
        render_markdown(views.view(), templates=tmp_path)


def test_the_step_summary_is_the_short_report():
    """Result, gated metrics, cases and errors; the report has the rest."""
    summary = step_summary(views.failed_check())
    assert summary.startswith("# Prompt regression check: gate failed: test_intent regressed")
    assert "latency_s" not in summary
    assert "- Regressed (`test_intent`): `TC002`, `TC009`" in summary
    assert "Conditions" not in summary
    experiment = views.failed_check().experiment
    assert f"Experiment {experiment.id}, commit {experiment.commit}." in summary
    assert len(summary) < len(render_markdown(views.failed_check())) * 0.7


def test_a_step_summary_has_the_size_that_github_shows():
    """Cut after a whole block, with a line that says so; what others wrote takes room, too."""
    whole = step_summary(views.failed_check())
    assert step_summary(views.failed_check(), taken=SUMMARY_LIMIT - len(whole.encode())) == whole
    taken = SUMMARY_LIMIT - len(whole.encode()) + 1
    cut = step_summary(views.failed_check(), taken=taken)
    assert len(cut.encode()) + taken <= SUMMARY_LIMIT
    kept, note, _ = cut.partition("\n\nThe rest is in the report")
    assert note
    assert whole.startswith(kept + "\n\n")
    assert step_summary(views.failed_check(), taken=SUMMARY_LIMIT + 1) == ""


def test_an_interrupted_session_says_so():
    """Its rows are no results."""
    assert render_markdown(views.view(interrupted=True)).startswith(
        "# Prompt regression check: interrupted, nothing was compared or recorded"
    )


def test_the_level_of_a_look_stands_beside_its_intervals():
    """Comparisons hold at the level of the look, the metrics by themselves at that of the session."""
    report = render_markdown(views.view(experiment=views.experiment(look=views.look())))
    assert "Difference [99.991 % interval]" in report
    assert "95 % interval" in report
    assert "each direction at 0.0042726 %" in report
    assert "- Looks: after 3, 6 and 10 runs; judged after 3, at a level of 99.991 %." in report
    assert "| Looks | after 3, 6 and 10 runs; judged after 3, at a level of 99.991 % |" in report
    fixed = render_markdown(views.view())
    assert "Difference [95 % interval]" in fixed
    assert "Looks" not in fixed


def test_templates_compiled_ahead_are_not_compiled_again(monkeypatch):
    templating._environment.cache_clear()
    compiled = []
    compile_one = jinja2.Environment.compile
    monkeypatch.setattr(
        jinja2.Environment,
        "compile",
        lambda self, source, name=None, *rest, **options: (
            compiled.append(name) or compile_one(self, source, name, *rest, **options)
        ),
    )
    templating.compile_ahead()
    assert "report.md.j2" in compiled
    compiled.clear()
    render_markdown(views.failed_check())
    assert compiled == []
