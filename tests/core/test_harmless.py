"""Lines that are no commands to a CI runner."""

import html
import json

import pytest
import runners

from pytest_promptune.core.harmless import (
    harmless,
    harmless_json,
    harmless_markup,
    harmless_where_broken,
)
from pytest_promptune.core.lines import Line, Segment, line, paragraph

COMMANDS = (
    "::error::x",
    "  ::set-output name=a::x",
    "\t::add-mask::x",
    "\u3000::add-mask::x",
    ":\u200d:error::x",
    "\u200c::error::x",
    "said ##[add-mask]x",
    "###[group]x",
    "####[error]x",
    "said #\u200d#[error]x",
    "said ##\u200c[error]x",
    "##[group]a ##[error]b",
    "##vso[task.setvariable variable=a]b",
    "said ##v\u200cso[task.complete result=Failed;]",
    "said ##teamcity[testFailed name='x']",
)


@pytest.mark.parametrize("text", COMMANDS)
def test_a_command_becomes_text(text):
    """It can still be read, and the runners' own rules find nothing in it."""
    assert runners.commands(text), "the test's own runner must know it"
    safe = harmless(text)
    assert runners.commands(safe) == []
    assert safe.replace(" ", "") == text.replace(" ", "")
    assert harmless(safe) == safe


@pytest.mark.parametrize("text", COMMANDS)
def test_markup_looks_the_same(text):
    """A character reference stands for a half of the mark."""
    safe = harmless_markup(text)
    assert runners.commands(safe) == []
    assert html.unescape(safe) == text
    assert harmless_markup(safe) == safe


@pytest.mark.parametrize(
    "text", ["a::b", "test_reply::words", "## Title", "# [x]", "issue ##12", "c::d ## e [f]", ":", "##", ""]
)
def test_what_is_no_command_stays(text):
    """Names of metrics and Markdown titles are not touched."""
    assert harmless(text) == text
    assert harmless_markup(text) == text


@pytest.mark.parametrize("text", COMMANDS)
def test_json_keeps_its_data(text):
    """It reads back as it was."""
    written = harmless_json(json.dumps({"said": text, text: ["##"]}))
    assert runners.commands(written) == []
    assert json.loads(written) == {"said": text, text: ["##"]}


def test_lines_of_ours_are_harmless_however_they_are_made():
    """Also where a paragraph breaks before what would be a command, and over the border of two segments."""
    broken = [each.text for each in paragraph("an answer that says ::error::x and ##[group]y", 22)]
    assert len(broken) > 2
    assert runners.commands("\n".join(broken)) == []
    long_word = [each.text for each in paragraph("x" * 20 + "::error::y", 22)]
    assert runners.commands("\n".join(long_word)) == []
    assert runners.commands(line("\x00::error::x").text) == [], "a control character falls away first"
    assert runners.commands(Line((Segment("said ##", {"red": True}), Segment("[error]x"))).text) == []
    assert Line((Segment("a"), Segment("b"))).segments == (Segment("a"), Segment("b"))


@pytest.mark.parametrize(
    "text", ["\x9b2K", "\u202eabc", "a\u2028b", "\ufeff", "\x7f", "##[group]x ##vso[y]", "日本語 😀 ##"]
)
def test_json_that_is_shown_does_nothing(text):
    """Not in a terminal, nor in the log of a job; what people read stays as it is."""
    written = harmless_json(json.dumps({text: [text, 1.5]}, ensure_ascii=False, indent=1))
    assert json.loads(written) == {text: [text, 1.5]}
    assert all(each.isprintable() or each == "\n" for each in written)
    assert runners.commands(written) == []
    assert ("日本語 😀" in written) == ("日本語 😀" in text)


def test_a_text_that_others_break_is_harmless_wherever_they_do():
    """pytest wraps reasons of skipped tests; names of metrics stay as they are."""
    text = "said ::error file=a::b x::set-output name=c::d ::Add-Mask::e :\u200d:stop-commands::f ##[group]g"
    safe = harmless_where_broken(text)
    assert not any(runners.commands(safe[start:]) for start in range(len(safe)))
    assert harmless_where_broken(safe) == safe
    names = "test_reply::words regressed, bot::error_rate and std::vector<int>::size did not"
    assert harmless_where_broken(names) == names
