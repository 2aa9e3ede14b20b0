"""The HTML report: our Markdown as a page, and the answers as data in it."""

from __future__ import annotations

import json
import re

import views

from pytest_promptune.core.casebook import Answer, BookCase, BookSample, CaseBook, shown
from pytest_promptune.report.html import page, render_html
from pytest_promptune.report.html.casebook_data import to_script
from pytest_promptune.report.html.converting import to_html


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
    script = to_script(book(text))
    assert not re.search("[<\u2028\u2029]", script)
    script.encode("utf-8")
    data = json.loads(script)
    assert data["texts"] == [text, ""]
    assert script.count("script") == 1


def test_values_are_shown_as_text():
    """Strings as they are, with invisible characters seen; anything else as JSON; the longest are cut."""
    assert shown("a\r\nb\u202e\x1b") == "a\nb<U+202E><U+001B>"
    assert shown({"a": ["ü"]}) == '{\n  "a": [\n    "ü"\n  ]\n}'
    assert shown(None) == ""
    assert shown("x" * 20_010).endswith("x\n… 10 more characters")
    assert Answer().output is None
