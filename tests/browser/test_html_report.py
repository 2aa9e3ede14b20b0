"""What somebody sees who opens an HTML report."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import finals
import pytest
import views

from pytest_promptune.core.casebook import Answer, CaseBook, Contents, build_case_book, build_series_book
from pytest_promptune.core.model import Usage
from pytest_promptune.core.results import Result, SampleFacts
from pytest_promptune.core.scoring import Score
from pytest_promptune.core.series.final import CaseChange, CaseChanges
from pytest_promptune.core.view import CaseLists
from pytest_promptune.plot_files import of_session, within
from pytest_promptune.report.final.markdown import render_final
from pytest_promptune.report.html import page as page_of
from pytest_promptune.report.html import render_html

pytestmark = pytest.mark.browser

HOSTILE = (
    "<script>window.PWN = 1</script><img src=http://pwn.example/x onerror='window.PWN = 2'>"
    "</script><!-- \u2028 \u202e </pre><a href=javascript:window.PWN=3>PWN</a>"
)


def result(case: str, variant: str, run: int, outcome: Any) -> Result:
    return Result(
        nodeid=f"{views.MODULE}::test_intent[{case}-{variant}-{run}]",
        module=views.MODULE,
        test="test_intent",
        metric="test_intent",
        app="support_bot",
        case_id=case,
        case_hash=f"sha256:{case}",
        variant=variant,
        run=run,
        outcome=outcome,
        message=HOSTILE if outcome == "missed" else "",
        scores={"words": Score(value=float(run), kind="score", direction="lower")},
        sample=SampleFacts(
            latency_s=0.25 * run, usage=Usage(input_tokens=7, output_tokens=2, cost_usd=0.001)
        ),
    )


def book(cases: int, runs: int, view: Any, text: str = "") -> CaseBook:
    """Even cases pass under `current`, all under `fewshot`."""
    results, answers, contents = [], {}, {}
    for number in range(cases):
        case = f"C{number:05d}"
        tags = {"category": ("billing", "technical")[number % 2], "note": HOSTILE if number == 3 else "x"}
        contents[views.MODULE, case] = Contents(input={"message": f"Question {number}"}, tags=tags)
        for run in range(1, runs + 1):
            for variant in ("current", "fewshot"):
                passes = variant == "fewshot" or number % 2 == 0
                found = result(case, variant, run, "passed" if passes else "missed")
                results.append(found)
                said = f"The answer of {variant} to question {number} in run {run}. {text}"
                said += HOSTILE if number == 1 else ""
                answers[*found.sample_identity, run] = Answer(output=said)
    return build_case_book(view, results, contents=contents, answers=answers)


@pytest.fixture(scope="module")
def view() -> Any:
    """A comparison in which the odd cases improved."""
    row = views.improvement(candidate="fewshot", cases=CaseLists(improved=("C00001", "C00003")))
    experiment = views.experiment(variants=("current", "fewshot"))
    return views.view(
        mode="compare", experiment=experiment, comparisons=(row,), metrics=(views.metric_row(),)
    )


@pytest.fixture(scope="module")
def page(view: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As sessions write it, plots and all."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    plots = within(of_session(view).drawn)
    assert plots
    path.write_text(render_html(view, book(6, 2, view), plots=plots), encoding="utf-8")
    return path


VISIBLE = "return [...document.querySelectorAll('.case .id')].map(node => node.textContent)"
CHOOSE = """
const node = document.getElementById(arguments[0]);
node.value = arguments[1];
node.dispatchEvent(new Event('change'));
"""
CHANGED = "return [...document.querySelectorAll('.diff ins, .diff del')].map(n => n.tagName + n.textContent)"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_opens(browser, page, dark):
    """Without a request beside its own, without a complaint; dark where the system is, or by the button."""
    browser.open(page, dark=dark)
    assert browser.requests() == [page.as_uri()]
    assert browser.complaints() == []
    colour = "return getComputedStyle(document.body).backgroundColor"
    before = browser.run(colour)
    assert (before == "rgb(13, 17, 23)") is dark
    browser.run("document.getElementById('theme').click()")
    assert (browser.run(colour) == "rgb(13, 17, 23)") is not dark


SORTED = (
    ["−12 %", "9.5 %", "10 %", "1,200 %"],
    ["85 ms", "900 ms", "1.20 s", "2.5 s", "3 min 20 s"],
    ["$0.0123", "$0.19", "$0.2", "$1.50"],
    ["1e-05", "0.01", "900", "1.2M"],
    ["2026-11-28", "2026-12-01", "2027-01-01"],
    ["<0.001", "0.041", "0.2"],
    ["[−12, 3]", "[0.186, 0.420]", "[0.94, 1.00]", "[10, 12]"],
    ["[−0.19 s, +0.05 s]", "[+85 ms, +0.2 s]", "[+900 ms, +2 s]", "[1.20 s, 2.5 s]"],
    ["T2", "t9", "T10"],
)


@pytest.mark.parametrize("texts", SORTED, ids=[texts[0] for texts in SORTED])
def test_tables_sort(browser, page, texts):
    """By a click on a heading, numbers by their value, up and down; what is unknown stays last."""
    browser.open(page)
    browser.run(
        """
        const table = document.querySelector('table.sortable');
        window.body = table.tBodies[0];
        window.body.replaceChildren();
        for (const text of arguments[0]) {
            const row = window.body.insertRow();
            for (const _ of table.tHead.rows[0].cells) row.insertCell().textContent = text;
        }
        """,
        [*texts[1::2], "–", *texts[::2]],
    )
    press = "document.querySelector('table.sortable th button').click();"
    column = press + "return [...window.body.rows].map(row => row.cells[0].textContent)"
    assert browser.run(column) == [*texts, "–"]
    assert browser.run("return document.querySelector('th[aria-sort]').ariaSort") == "ascending"
    assert browser.run(column) == [*texts[::-1], "–"]


def test_filters(browser, page):
    """By change, by category and by text, together; the count says how many are left."""
    browser.open(page)
    assert len(browser.run(VISIBLE)) == 6
    browser.run(CHOOSE, "change", "improved")
    assert browser.run(VISIBLE) == ["C00001", "C00003"]
    browser.run(CHOOSE, "change", "missed")
    assert browser.run(VISIBLE) == ["C00001", "C00003", "C00005"]
    browser.run(CHOOSE, "category", "billing")
    assert browser.run(VISIBLE) == []
    assert browser.run("return document.querySelector('.count[role=status]').textContent") == "0 of 6 cases"
    browser.run(CHOOSE, "change", "")
    search = "const node = document.getElementById('search'); node.value = 'QUESTION 4';"
    browser.run(search + "node.dispatchEvent(new Event('input'))")
    browser.driver.implicitly_wait(0)
    for _ in range(100):
        if browser.run(VISIBLE) == ["C00004"]:
            break
    assert browser.run(VISIBLE) == ["C00004"]


def test_a_case(browser, page):
    """Input, what both variants answered in each run, and the words in which they differ."""
    browser.open(page)
    browser.run("document.querySelector('.case > button').click()")
    shown = "return document.querySelector('.inside').innerText"
    assert "Question 0" in browser.run(shown)
    assert "The answer of current to question 0 in run 1." in browser.run(shown)
    assert "The answer of fewshot to question 0 in run 1." in browser.run(shown)
    assert browser.run(CHANGED) == ["DELcurrent", "INSfewshot"]
    browser.run("document.querySelectorAll('.runs button')[1].click()")
    assert "question 0 in run 2." in browser.run(shown)
    assert "question 0 in run 1." not in browser.run(shown)
    browser.run("document.querySelector('.case > button').click()")
    assert browser.run("return document.querySelector('.inside')") is None


def test_hostile_answers_stay_text(browser, page):
    """They are shown to the letter, and nothing in them runs, loads or becomes an element."""
    browser.open(page)
    browser.run("document.querySelectorAll('.case > button')[1].click()")
    text = browser.run("return document.querySelector('.inside').innerText")
    assert "<script>window.PWN = 1</script>" in text
    assert "<U+202E>" in text
    assert browser.run("return window.PWN") is None
    foreign = "main img:not(.plot > img[src^='data:image/svg+xml;base64,']), main script, main a"
    assert browser.run("return document.querySelectorAll(arguments[0]).length", foreign) == 0
    assert browser.requests() == [page.as_uri()]


def test_the_policy_holds(browser, page):
    """Even if something slipped through: a script in the page doesn't run, a picture doesn't load."""
    hostile = page.with_name("hostile.html")
    injected = "<img src='http://pwn.example/x'><script>window.PWN = 1</script>"
    text = page.read_text(encoding="utf-8").replace('<main id="main"', f'{injected}<main id="main"')
    hostile.write_text(text, encoding="utf-8")
    browser.open(hostile)
    assert browser.run("return window.PWN") is None
    assert sum("Content Security Policy" in complaint for complaint in browser.complaints()) == 2
    assert browser.requests() == [hostile.as_uri()]


@pytest.mark.parametrize("width", [360, 390])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("opened", [False, True], ids=["closed", "opened"])
def test_a_phone(browser, page, opened, dark, width):
    """The page itself never scrolls sideways; wide tables and plots do within themselves."""
    browser.open(page, width=width, height=780, dark=dark)
    if opened:
        browser.run("document.querySelector('.case > button').click()")
    assert browser.run("return document.documentElement.scrollWidth") == width
    sizes = "return [...document.querySelectorAll('.plot > img')].map(img => [img.naturalWidth, img.width])"
    plots = browser.run(sizes)
    assert plots
    for natural, shown in plots:
        assert shown > 0.75 * natural > 0, "its words are too small to read"
    frames = "return [...document.querySelectorAll('.plot')].map(each => each.getBoundingClientRect().right)"
    assert all(right <= width for right in browser.run(frames))


def test_plots_fit_a_wide_screen(browser, page):
    """As large as they were drawn, on a card of their own width, in the dark, too."""
    browser.open(page, dark=True)
    sizes = "return [...document.querySelectorAll('.plot > img')].map(img => [img.naturalWidth, img.width])"
    plots = browser.run(sizes)
    assert plots
    assert all(natural == shown for natural, shown in plots)


def test_without_script(browser, page):
    """Everything but the answers can be read, and the page says so."""
    plain = page.with_name("plain.html")
    text = re.sub(r"<script.*?</script>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    plain.write_text(text, encoding="utf-8")
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.open(plain)
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert browser.run("return document.querySelectorAll('main table').length") > 0
    assert "Answers are shown by a script" in browser.run(
        "return document.querySelector('noscript').textContent"
    )


def test_many_samples(browser, view, tmp_path):
    """10,000 samples: the first cases are there at once, more by a click, and each is found."""
    path = tmp_path / "many.html"
    path.write_text(render_html(view, book(1000, 5, view, "word " * 90)), encoding="utf-8")
    browser.open(path)
    assert len(browser.run(VISIBLE)) == 200
    browser.run("document.querySelector('.more').click()")
    assert len(browser.run(VISIBLE)) == 400
    assert browser.run("return document.querySelector('.count[role=status]').textContent") == (
        "1000 of 1000 cases, the first 400 shown"
    )


# -- the final report -----------------------------------------------------------------------------------

#: What comes from a project: names of metrics, scores, tags and their values, and a test's message.
KNOWN = {"test", "intent", "words", "billing", "technical", "category", *re.findall(r"[A-Za-z]{2,}", HOSTILE)}


def final_page(language: str, *, cases: int, runs: int, text: str = "") -> str:
    """Two states of an app, the first of which misses odd cases."""
    states = {"en": ("Initial", "Final"), "ja": ("初期", "最終")}[language]
    results, answers, contents, changes = [], {}, {}, []
    for number in range(cases):
        case = f"C{number:05d}"
        tags = {"category": ("billing", "technical")[number % 2]}
        contents[views.MODULE, case] = Contents(input={"question": number}, tags=tags)
        verdict = "improved" if number % 2 else "kept"
        changes.append(CaseChange(case=case, before=0.0, after=1.0, verdict=verdict))
        for run in range(1, runs + 1):
            for state, name in enumerate(states):
                found = result(case, name, run, "passed" if state or number % 2 == 0 else "missed")
                results.append(found)
                said = f"The answer {state} to {number} in run {run}. {text}"
                answers[*found.sample_identity, run] = Answer(output=said)
    changed = CaseChanges(name=views.metric_name(), cases=tuple(changes))
    report = finals.report(cases=(changed,))
    book = build_series_book(report, states, results, contents=contents, answers=answers)
    return page_of(render_final(report, language=language), book=book, language=language)


def test_the_final_report(browser, tmp_path):
    """What both states answered, side by side with what differs; chosen by change and by category."""
    path = tmp_path / "final.html"
    path.write_text(final_page("en", cases=6, runs=2), encoding="utf-8")
    browser.open(path)
    assert browser.run(VISIBLE) == [f"C{number:05d}" for number in range(6)]
    options = "return [...document.getElementById(arguments[0]).options].map(each => each.textContent)"
    assert browser.run(options, "change") == ["all (6)", "improved (3)", "missed (3)"]
    browser.run(CHOOSE, "change", "improved")
    assert browser.run(VISIBLE) == ["C00001", "C00003", "C00005"]
    browser.run(CHOOSE, "category", "billing")
    assert browser.run(VISIBLE) == []
    browser.run(CHOOSE, "category", "technical")
    browser.run("document.querySelector('.case > button').click()")
    heads = "return [...document.querySelectorAll('.pair h4')].map(each => each.textContent)"
    assert browser.run(heads) == ["Initial", "Final"]
    assert browser.run(CHANGED) == ["DEL0", "INS1"]
    assert browser.requests() == [path.as_uri()]
    assert browser.complaints() == []


def test_the_final_report_in_japanese(browser, tmp_path):
    """No control, label or hint of the page is left in English, whatever is opened."""
    path = tmp_path / "final.html"
    path.write_text(final_page("ja", cases=202, runs=2), encoding="utf-8")
    browser.open(path)
    browser.run("document.querySelectorAll('.case > button')[1].click()")
    options = "return [...document.getElementById(arguments[0]).options].map(each => each.textContent)"
    assert browser.run(options, "change") == ["すべて（202 件）", "改善（101 件）", "不合格（101 件）"]
    said = browser.run(
        """
        const answers = document.getElementById("answers");
        for (const each of answers.querySelectorAll("pre")) each.remove();
        const hints = ["aria-label", "placeholder", "title", "alt"].flatMap(
            name => [...document.querySelectorAll(`[${name}]`)].map(each => each.getAttribute(name)));
        const around = [".skip", "nav", ".top"].map(each => document.querySelector(each).textContent);
        return [answers.textContent, ...around, ...hints].join(" ");
        """
    )
    assert "出力の差分" in said
    assert "ID・タグ・入力・出力を検索" in said
    own = set(re.findall(r"[A-Za-z]{2,}", said))
    assert own - {"pytest", "promptune", "ID", "ms"} <= KNOWN


def test_many_samples_in_a_final_report(browser, tmp_path):
    """10,000 of both states: the first cases are there at once, and each is found."""
    path = tmp_path / "many.html"
    path.write_text(final_page("ja", cases=1000, runs=5, text="word " * 90), encoding="utf-8")
    browser.open(path)
    assert len(browser.run(VISIBLE)) == 200
    count = "return document.querySelector('.count[role=status]').textContent"
    assert browser.run(count) == "1000 件中 1000 件（先頭の 200 件を表示）"
