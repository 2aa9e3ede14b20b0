"""The plots of the documentation: readable by machines and by those who don't see them, and up to date."""

from __future__ import annotations

import importlib.util
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PLOTS = sorted((DOCS / "plots").glob("*.svg"))
SVG = "{http://www.w3.org/2000/svg}"
IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)]+)\)")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script that draws them; what it adds to the path is taken away again."""
    monkeypatch.syspath_prepend(str(DOCS / "plots"))
    spec = importlib.util.spec_from_file_location("plots_of_the_docs", DOCS / "plots" / "plots.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", PLOTS, ids=lambda path: path.stem)
def test_a_plot_says_what_it_shows(path: Path):
    """Well-formed, with a title and a description, on a card of its own that doesn't depend on the page."""
    root = ET.fromstring(path.read_text(encoding="utf-8"))
    assert root.get("role") == "img"
    named = {root.find(f"{SVG}title").get("id"), root.find(f"{SVG}desc").get("id")}
    assert named == set(root.get("aria-labelledby").split())
    assert len(root.find(f"{SVG}desc").text) > 60
    card = root.find(f"{SVG}rect")
    assert card.get("fill") == "#ffffff"
    assert float(card.get("width")) >= float(root.get("width")) - 1


@pytest.mark.parametrize("path", PLOTS, ids=lambda path: path.stem)
def test_nothing_sticks_out(path: Path):
    """Texts end inside the card, at seven pixels a letter."""
    root = ET.fromstring(path.read_text(encoding="utf-8"))
    width = float(root.get("width"))
    for text in root.iter(f"{SVG}text"):
        x, long = float(text.get("x")), 7 * len(text.text or "")
        left = x - {"start": 0, None: 0, "middle": long / 2, "end": long}[text.get("text-anchor")]
        assert left >= 0, text.text
        assert left + long <= width, text.text


def test_every_plot_is_shown_and_described():
    """Each one stands in a page, and no picture is without alternative text."""
    shown = {}
    for page in DOCS.rglob("*.md"):
        for alternative, target in IMAGE.findall(page.read_text(encoding="utf-8")):
            shown[(page.parent / target).resolve()] = alternative
    assert {path.resolve() for path in PLOTS} <= set(shown)
    assert [path.name for path, alternative in shown.items() if len(alternative) < 40] == []


def test_the_plot_of_the_verdicts_is_up_to_date(script: ModuleType):
    """What the script draws is what is committed; else run python docs/plots/plots.py and look at it."""
    assert script.verdicts().svg() == (DOCS / "plots" / "verdicts.svg").read_text(encoding="utf-8")


def test_every_plot_is_one_of_the_script(script: ModuleType):
    """No picture is left that nothing draws."""
    assert {path.stem for path in PLOTS} == set(script.PLOTS)
