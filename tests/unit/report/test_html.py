"""The HTML report: our Markdown as a page, and the answers as data in it."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import finals
import runners
import views

from pytest_promptune.core.casebook import (
    Answer,
    BookCase,
    BookSample,
    CaseBook,
    build_series_book,
    shown,
)
from pytest_promptune.core.model import Change
from pytest_promptune.core.results import Result
from pytest_promptune.core.series.final import CaseChange, CaseChanges, MetricChange
from pytest_promptune.report.final.markdown import render_final
from pytest_promptune.report.html import page, render_html, rendering
from pytest_promptune.report.html.casebook_data import to_script
from pytest_promptune.report.html.converting import to_html
from pytest_promptune.report.words import LANGUAGES, Words


def test_markdown_as_html():
    """Tables scroll and can be sorted, numbers stand to the right, sections have anchors; no styles."""
    markdown = (
        "## What it *is*\n\n| a | b |\n| --- | ---: |\n| 12 cases x 3 | −1.5 [−2, −1] pts |\n| 1 | 3 |\n"
    )
    html, sections = to_html(markdown)
    assert sections == [("s-what-it-is", "What it *is*")]
    assert '<h2 id="s-what-it-is">' in html
    assert re.search(r'<div class="wide" tabindex="0">\s*<table class="sortable">', html)
    assert "<td>12 cases x 3</td>" in html
    assert '<td class="number">−1.5 [−2, −1] pts</td>' in html
    assert "<td>1</td>" in html
    assert "style=" not in html


def test_pictures_as_figures():
    """Plots scroll within themselves, as tables do; a picture among words stays where it is."""
    source = "data:image/svg+xml;base64,AA=="
    html, _ = to_html(f"![one *two*]({source})\n\nbefore ![small]({source})\n")
    assert f'<figure class="wide plot" tabindex="0"><img src="{source}" alt="one two"></figure>' in (
        html.replace(" />", ">")
    )
    assert f'<p>before <img src="{source}" alt="small" /></p>' in html


def test_a_column_stands_to_the_right_when_all_of_it_are_numbers():
    """A dash is none and no word; one word among numbers leaves the column where it was."""
    html, _ = to_html("| n | mixed |\n| --- | --- |\n| 1.5 s | 100 |\n| – | main |\n")
    assert '<th class="number">n</th>' in html
    assert '<td class="number">–</td>' in html
    assert "<th>mixed</th>" in html
    assert "<td>100</td>" in html


def test_the_page_says_what_the_markdown_says():
    """Heading, verdicts as badges, sections, and the state of the gate as its colour."""
    html = render_html(views.failed_check())
    assert '<header class="head failed">' in html
    assert '<li class="badge failed">Gate failed</li>' in html
    assert '<a href="#s-comparisons">Comparisons</a>' in html
    assert 'id="answers"' not in html
    assert '<header class="head recorded">' in render_html(views.recorded())
    assert '<header class="head passed">' in render_html(views.view())
    worse = views.view(comparisons=(views.regression(gate="off"),))
    assert '<header class="head failed">' in render_html(worse)


def test_any_report_of_ours_is_a_page():
    """The final report, in its language, with its own title."""
    html = page("# 最終レポート: `bot`\n\n本文\n", language="ja")
    assert '<html lang="ja">' in html
    assert "<title>最終レポート: bot</title>" in html
    assert "<h1>最終レポート: <code>bot</code></h1>" in html
    assert "<p>本文</p>" in html


def test_no_runner_obeys_a_printed_page():
    """Whatever the Markdown held; style and script are as they were, or the policy would not let them run."""
    nasty = "##[error]x ##vso[task.y]z"
    change = Change(kind="template", target="a.j2", before="a\n", after=f"{nasty}\n::error::x\n")
    variant = finals.tried(description="::error::x", changes=(change,))
    report = finals.report(iterations=(finals.iteration(tried=(variant,), notes=(nasty,)),))
    markdown = render_final(report)
    assert runners.commands(markdown) == []
    assert f"+{nasty}" in html.unescape(markdown)
    html_page = page(markdown)
    assert runners.commands(html_page) == []
    assert f"+{nasty}\n+::error::x" in html.unescape(html_page)
    assert f"Note: {nasty}" in html.unescape(html_page)
    (script,) = re.findall(r"<script>(.*?)</script>", html_page, re.DOTALL)
    assert rendering._hash(script) in html_page


def test_templates_of_the_user(tmp_path):
    """One of the page, or of a part of the report, replaces ours."""
    (tmp_path / "html").mkdir()
    (tmp_path / "html" / "page.html.j2").write_text("<i>{{ title }}</i>{{ body }}", encoding="utf-8")
    (tmp_path / "goals.md.j2").write_text("mine & yours\n", encoding="utf-8")
    html = render_html(views.view(), templates=tmp_path)
    assert html.startswith("<i>Prompt regression check</i>")
    assert "mine &amp; yours" in html


def book(text: str) -> CaseBook:
    sample = BookSample(variant="current", run=1, outcome="passed", verdicts=(), output=text)
    case = BookCase(module="m.py", app="bot", id="c1", input=text, samples=(sample, sample))
    return CaseBook(variants=("current",), cases=(case,))


def test_the_data_cannot_end_its_element():
    """Nor break a script: neither tags nor line separators nor lone surrogates; each text stands once."""
    text = "</script><!-- \u2028\u2029 \ud800 ü"
    script = to_script(book(text), Words("en"))
    assert not re.search("[<\u2028\u2029]", script)
    script.encode("utf-8")
    data = json.loads(script)
    assert data["texts"] == [text, ""]
    assert script.count("script") == 1


def test_the_script_has_words_for_all_it_says():
    """Each key that it asks for, in every language."""
    script = (Path(rendering.__file__).parent.parent / "templates" / "html" / "page.js").read_text("utf-8")
    asked = set(re.findall(r'say\("(\w+)"', script)) | {"count", "count_first"}
    assert len(asked) >= 20
    for language in LANGUAGES:
        words = json.loads(to_script(book("x"), Words(language)))["words"]
        assert asked <= set(words)
        filled = {name: set(re.findall(r"{(\w+)}", words[name])) for name in asked}
        assert filled == {
            name: set(re.findall(r"{(\w+)}", Words("en").plain(f"book_{name}"))) for name in asked
        }


def test_a_page_in_its_language():
    """What the page itself says, too: no word of another language stands around the report."""
    html = page("# 最終レポート\n\n本文\n", book=book("x"), language="ja")
    around = re.sub(r"<style>.*?</style>|<script.*?</script>|<[^>]*>", "", html, flags=re.DOTALL)
    assert set(re.findall(r"[A-Za-z]+", around)) == {"pytest", "promptune"}
    labels = re.findall(r'(?:aria-label|title)="([^"]*)"', html)
    assert len(labels) == 2
    assert not any(re.search("[A-Za-z]", label) for label in labels)


def series_result(variant: str, passed: bool, **changes: Any) -> Result:
    values: dict[str, Any] = {
        "nodeid": f"{views.MODULE}::test_intent[TC001-1]",
        "module": views.MODULE,
        "test": "test_intent",
        "metric": "test_intent",
        "app": "bot",
        "case_id": "TC001",
        "case_hash": "sha256:1",
        "variant": variant,
        "run": 1,
        "outcome": "passed" if passed else "missed",
    }
    return Result(**(values | changes))


def test_the_book_of_a_series():
    """What became of cases as the report counts it, and what is flaky at present; texts cut in its words."""
    metric = views.metric_name()
    changes = CaseChanges(
        name=metric,
        cases=(
            CaseChange(case="TC001", before=0.0, after=1.0, verdict="improved"),
            CaseChange(case="TC002", before=1.0, after=0.5, verdict="degraded", confirmed=True),
            CaseChange(case="TC003", before=1.0, after=1.0, verdict="kept"),
        ),
    )
    rows = [views.metric_row(metric, flaky_cases=(case,)) for case in ("TC003", "TC002")]
    change = MetricChange(name=metric, initial=rows[0], final=rows[1], comparison=None, gated=True)
    report = finals.report(cases=(changes,), metrics=(change,))
    assert report.is_changed
    results = [
        series_result(state, passed, case_id=case)
        for case in ("TC001", "TC002", "TC003")
        for state, passed in (("初期", case != "TC001"), ("最終", True))
    ]
    answers = {(*each.sample_identity, 1): Answer(output="長" * 20_003) for each in results}
    found = build_series_book(
        report, ("初期", "最終"), results, contents={}, answers=answers, more="… ほか {rest} 文字"
    )
    assert found.variants == ("初期", "最終")
    assert {case.id: case.marks for case in found.cases} == {
        "TC001": ("improved", "missed"),
        "TC002": ("degraded", "flaky"),
        "TC003": (),
    }
    assert [sample.variant for sample in found.cases[0].samples] == ["初期", "最終"]
    assert (found.cases[0].samples[0].output or "").endswith("長\n… ほか 3 文字")


def test_values_are_shown_as_text():
    """Strings as they are, with invisible characters seen; anything else as JSON; the longest are cut."""
    assert shown("a\r\nb\u202e\x1b") == "a\nb<U+202E><U+001B>"
    assert shown({"a": ["ü"]}) == '{\n  "a": [\n    "ü"\n  ]\n}'
    assert shown(None) == ""
    assert shown("x" * 20_010).endswith("x\n… 10 more characters")
    assert Answer().output is None
