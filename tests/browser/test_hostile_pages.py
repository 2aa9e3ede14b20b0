"""Pages that sessions of a hostile app wrote (see `hostile`), opened in Chromium."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import hostile
import pytest

from pytest_promptune.core.display import clean
from pytest_promptune.store.log import Adoption, ExperimentLog, locate

pytestmark = pytest.mark.browser

#: By name: what writes it, after a comparison of the hostile variants has written its own report.
COMMANDS = {
    "show.html": ("show", "last", "--html", "show.html"),
    "final.html": ("report", "--html", "--out", "final.html"),
    "final.ja.html": ("report", "--lang=ja", "--out", "final.ja.html"),
}
PAGES = ("session.html", *COMMANDS)
#: So much of the longest is shown at least.
CUT = 15_000

PRESS_EVERYTHING = """
for (const button of document.querySelectorAll("button:not(#theme)")) button.click();
for (const each of document.querySelectorAll("details")) each.open = true;
while (!document.querySelector(".more")?.hidden && document.querySelector(".more")) {
    document.querySelector(".more").click();
}
for (const button of document.querySelectorAll(".case > button[aria-expanded=false]")) button.click();
for (const button of document.querySelectorAll(".runs button")) button.click();
for (const select of document.querySelectorAll("select")) select.dispatchEvent(new Event("change"));
for (const button of document.querySelectorAll(".case > button[aria-expanded=false]")) button.click();
document.getElementById("theme").click();
"""
#: Of each case: the texts of its input, its outputs and its errors.
TEXTS = """
const words = JSON.parse(document.getElementById("data").textContent).words;
const of = (each, key) => [...each.querySelectorAll(".what")].filter(what => what.textContent === words[key])
    .map(what => what.nextElementSibling.textContent);
return [...document.querySelectorAll(".case")].map(
    each => [of(each, "input")[0], of(each, "output"), of(each, "error")]);
"""
#: What a page has that could run or load: nothing but its own.
FOREIGN = """
const ours = ["figure.plot > img[src^='data:image/svg+xml;base64,']", "head > meta[charset]",
    "head > meta[name]", "head > meta[http-equiv='Content-Security-Policy']", "head > style", "body > script",
    "nav a[href^='#']", "a.skip[href='#main']"];
return [...document.querySelectorAll("*")].filter(each => !ours.some(known => each.matches(known))
    && (each.matches("img, meta, style, script, a, iframe, base, link, svg, object, embed, form")
        || [...each.attributes].some(found => /^on|^style$|^src|href$/.test(found.name))))
    .map(each => each.outerHTML.slice(0, 200));
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where an app was measured that behaved, and its hostile variants, one of which was adopted."""
    folder = tmp_path_factory.mktemp("hostile")
    hostile.write_suite(folder)
    chosen = ("-k", "not test_scores")
    compared = hostile.run_pytest(
        folder, "--promptune-compare", *chosen, "--promptune-report=session.html", GITHUB_ACTIONS="true"
    )
    assert compared.code == 1, compared.out[-3000:]
    with ExperimentLog(locate(None, root=folder)) as log:
        log.adopt(Adoption(experiment=log.experiment("last").id, variant="<b>PWN", at="2030-01-01T00:00:00Z"))
    for arguments in COMMANDS.values():
        hostile.run_command(folder, *arguments)
    return folder


def readable(text: str) -> str:
    """A string as the page is to show it within JSON: whatever can't be seen by its number."""
    within = json.dumps(text, ensure_ascii=False)[1:-1]
    hidden = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return "".join(f"<U+{ord(c):04X}>" if unicodedata.category(c) in hidden else c for c in within)


def dialogs(browser: Any) -> int:
    """How many the page has opened."""
    events = [json.loads(entry["message"])["message"] for entry in browser.driver.get_log("performance")]
    return sum(event["method"] == "Page.javascriptDialogOpening" for event in events)


@pytest.mark.parametrize("name", PAGES)
def test_nothing_of_them_runs(browser, folder, name):
    """Whatever is pressed: no request but the page itself, nothing in the console, no element but ours."""
    path = folder / name
    assert "PWN" in path.read_text(encoding="utf-8")
    browser.open(path)
    browser.run(PRESS_EVERYTHING)
    assert browser.run("return window.PWN") is None
    assert browser.run("return document.title + location.href").endswith(path.as_uri())
    assert browser.run(FOREIGN) == []
    assert browser.run("return document.querySelectorAll('.plot > img').length") > 2
    assert "data:image" not in browser.run("return document.querySelector('main').innerText"), (
        "no picture any more"
    )
    assert browser.complaints() == []
    assert browser.requests() == [path.as_uri()]


def test_no_dialog(browser, folder):
    """Neither while pages load nor when everything is pressed."""
    for name in PAGES:
        browser.open(folder / name)
        browser.run(PRESS_EVERYTHING)
        assert dialogs(browser) == 0, name


@pytest.mark.parametrize("name", PAGES)
def test_all_of_them_can_be_read(browser, folder, name):
    """Every answer to the letter and every error on one line, where it belongs."""
    browser.open(folder / name)
    browser.run(PRESS_EVERYTHING)
    seen = set()
    for given, outputs, errors in browser.run(TEXTS):
        case = json.loads(given)
        text = hostile.PAYLOADS[case["name"]]
        if case["kind"] == "error":
            text, shown = clean(text), errors
        else:
            text, shown = readable(text), [each for each in outputs if '"a": "good"' not in each]
        assert shown
        for each in shown:
            assert text[:CUT] in each, each[:500]
        seen.add((case["name"], case["kind"]))
    assert seen == {(each, kind) for each in hostile.PAYLOADS for kind in ("answer", "error")}


def test_they_would_run(browser, tmp_path):
    """On a page that doesn't keep them as text, they do all that is looked for above."""
    from selenium.common.exceptions import UnexpectedAlertPresentException

    path = tmp_path / "open.html"
    script = hostile.PAYLOADS["script"]
    path.write_text(f"<!DOCTYPE html><title>x</title>{script.replace('alert', 'void')}", encoding="utf-8")
    browser.open(path)
    assert browser.run("return window.PWN") is not None
    assert browser.run(FOREIGN) != []
    assert len(browser.requests()) > 1
    path.write_text(f"<!DOCTYPE html><title>x</title>{script}", encoding="utf-8")

    def opened() -> None:
        browser.open(path)
        browser.run("return document.title")

    with pytest.raises(UnexpectedAlertPresentException):
        opened()
    assert dialogs(browser) > 0
