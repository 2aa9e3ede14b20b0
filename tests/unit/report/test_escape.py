"""Foreign text in Markdown stays text."""

import html
import random
import re

import pytest
import runners

from pytest_promptune.core.display import clean
from pytest_promptune.report import escape

NASTY = [
    "a | b || c",
    "`code` ``more`` ```fence```",
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    "<!-- comment --> <https://x.invalid>",
    "[x](javascript:alert(1)) ![y](https://x.invalid/y.png) [z][ref]",
    "[ref]: https://x.invalid",
    "@team and someone@x.invalid",
    "#1 and owner/repo#23",
    "https://x.invalid www.x.invalid",
    "*bold* **bolder** _it_ __strong__ ~~gone~~ snake_case_name __init__.py",
    "# heading",
    "- list",
    "+ list",
    "12. list",
    "1) list",
    "> quote",
    "---",
    "===",
    "&lt;b&gt; &#64; AT&T",
    "back\\slash \\| \\` end\\",
    "$x$ and $5",
    "line\nbreak\r\n\n# two",
    "bidi \u202e\u2066 reversed\u2069",
    "\x1b[31mred\x1b[0m",
    "",
    "[+2.9, +19.5] pts",
    "日本語 🙂",
]

markdown_it = pytest.importorskip("markdown_it", reason="renders what the escapes are about")


def rendered(source):
    """What GitHub's dialect makes of it, as far as there is a parser for it."""
    parser = markdown_it.MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return parser.render(source)


def read(source):
    """The text a reader sees."""
    return " ".join(
        html.unescape(re.sub(r"<[^>]*>", "", rendered(source))).replace(escape.JOINER, "").split()
    )


@pytest.mark.parametrize("nasty", NASTY)
def test_text_reads_as_it_was_and_means_nothing(nasty):
    """In a paragraph: one, with no other tag in it."""
    source = str(escape.text(nasty))
    assert read(source) == clean(nasty)
    assert set(re.findall(r"</?\w+", rendered(source))) <= {"<p", "</p"}


@pytest.mark.parametrize("make", [escape.text, escape.code])
@pytest.mark.parametrize("nasty", NASTY)
def test_cells_stay_in_their_column(make, nasty):
    """In a table: a pipe opens no cell, a backtick no code."""
    table = rendered(f"| a | b |\n| --- | --- |\n| {make(nasty)} | end |\n")
    cells = re.findall(r"<td>(.*?)</td>", table)
    assert len(cells) == 2
    assert cells[1] == "end"
    text = html.unescape(re.sub(r"</?code>", "", cells[0])).replace(escape.JOINER, "")
    assert text in (clean(nasty), "–")
    assert "<" not in re.sub(r"</?code>", "", cells[0])


def test_random_text_never_escapes():
    """Five hundred lines made of what Markdown looks at."""
    chance = random.Random(7)
    pieces = [*"`|*_[]()<>#@!~\\&$:-+=1.) a\n", "</b>", "](", "&amp;", "://", "www.", "``"]
    for _ in range(500):
        nasty = "x" + "".join(chance.choices(pieces, k=12))
        assert read(str(escape.text(nasty))) == clean(nasty)
        cells = re.findall(
            r"<td>(.*?)</td>", rendered(f"| a | b |\n|---|---|\n| {escape.code(nasty)} | end |")
        )
        assert cells[1:] == ["end"]


@pytest.mark.parametrize("linked", ["@team", "#12", "https://x.invalid", "www.x.invalid", "owner/repo#3"])
def test_github_makes_no_link_of_it(linked):
    """A joiner without width breaks what GitHub looks for after rendering."""
    assert linked not in escape.text(f"see {linked} there")


def test_plain_text_stays_plain():
    """Reports are read as text, too: nothing is escaped without need."""
    plain = "test_reply::words: −1.7 [−7.6, +4.5] % at p <0.001, $0.0150 (20 cases x 5 runs) -> AT&T."
    assert escape.text(plain) == plain


def test_a_fence_is_longer_than_any_run_of_backticks_in_it():
    """A prompt with a code block does not end the diff."""
    block = escape.fence(["+```", "+text", "+`````"], "diff")
    assert block.split("\n")[0] == "``````diff"
    assert rendered(str(block)).count("<pre>") == 1


COMMANDS = [
    "##[error]x",
    "a ##vso[task.x]y",
    "::error::x",
    " ::set-output name=a::x",
    "#\u200d#[group]<b>&amp;",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_runner_obeys_a_printed_report(command):
    """As text, as code and in a diff; each reads as it was."""
    assert runners.commands(command)
    for made in (escape.text(command), escape.code(command)):
        assert runners.commands(str(made)) == []
    assert read(str(escape.text(command))) == clean(command)
    block = str(escape.fence([command, "", "- *a*", f"+{command}"], "diff"))
    assert runners.commands(block) == []
    shown = re.fullmatch(
        r"<p>a</p>\n<pre[^>]*>\n<code>(.*)</code></pre>\n*<p>b</p>\n",
        rendered(f"a\n\n{block}\n\nb"),
        re.DOTALL,
    )
    assert shown is not None
    assert html.unescape(shown[1]) == f"{command}\n\n- *a*\n+{command}\n"


def test_long_text_is_cut():
    """An error of a megabyte does not make a report of a megabyte."""
    assert len(escape.code("x" * 10_000, limit=300)) == 302


def test_lists_of_codes_are_counted_where_cut():
    """No case disappears without a word."""
    assert escape.codes(["a", "b", "c"], limit=2) == "`a`, `b` and 1 more"


def test_a_sentence_escapes_what_is_put_into_it():
    """All but what is escaped already."""
    assert escape.sentence("{} of {}", "<b>", escape.code("x")) == "\\<b> of `x`"


PICTURES = [*NASTY, "##[group]", "[pwn]: https://x.invalid", "]", "[", "\\[", "\\\\]", "![a][b] [c\\]: d"]


@pytest.mark.parametrize("nasty", PICTURES)
def test_a_picture_stays_one(nasty):
    """Whatever its alternative text says: neither words with brackets nor a link."""
    shown = markdown_it.MarkdownIt("commonmark").render(f"![{escape.alternative(nasty)}](plot.svg)")
    found = re.fullmatch(r'<p><img src="plot.svg" alt="([^"]*)" /></p>\n', shown)
    assert found, shown
    assert html.unescape(found[1]).replace(escape.JOINER, "") == clean(nasty)
