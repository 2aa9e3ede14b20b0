"""Text of models, users and files stays text in everything the project prints and writes.

An app answers with whatever could act on a terminal, a browser, GitHub, a spreadsheet or a CI runner; the
same texts are case ids, tags, errors, comments of scorers, labels, and names of nodes and variants. A new
kind of output is one more row of `OUTPUTS`.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Set
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
import runners
from markdown_it import MarkdownIt

#: What is hostile about it, and the text. `PWN` marks what must not be found anywhere as more than text.
PAYLOADS = {
    "script": "<script>alert('PWN')</script><img src=x onerror=PWN><svg/onload=PWN></td></table><!-- PWN",
    "image": "![PWN](https://pwn.example/p.png) ![PWN][pwn]\n\n[pwn]: https://pwn.example/q.png",
    "link": "[PWN](javascript:PWN) <https://pwn.example> https://pwn.example www.pwn.example pwn@pwn.example",
    "table": "a | PWN || c |\n|---|---|\n| PWN \\| \\",
    "emphasis": "**PWN** _PWN_ ~~PWN~~ * PWN\n- PWN\n1. PWN\n# PWN\n> PWN\nPWN\n===",
    "ansi": "\x1b[31mPWN\x1b[2J\x1b]8;;https://pwn.example\x07PWN\x1b]8;;\x1b\\\x9b2K\x9dPWN\x9c\x08\x7f\rPWN",
    "bidi": "\u202ePWN\u2066\u2069\u200b\u200f\ufeff\u2028PWN\u2029",
    "formula": "=cmd|' /C calc'!A0",
    "plus": "+1+cmd|PWN",
    "minus": "-1+cmd|PWN",
    "at": "@SUM(PWN)",
    "tab": "\t=PWN()",
    "output": "::set-output name=PWN::PWN",
    "error": "a\n::error file=PWN::PWN\n::stop-commands::PWN\r::add-mask::e",
    "words": " ".join(["word"] * 40) + " ::warning::PWN " * 30,
    "group": "##[group]PWN a ##[add-mask]PWN",
    "azure": "##vso[task.setvariable variable=PWN]PWN ##teamcity[PWN]",
    "math": "$\\frac{PWN}{x}$ $$PWN$$ $`PWN`$",
    "cdata": "]]>PWN<![CDATA[&PWN;&#x3c;script&#62;",
    "nul": "\x00::error::PWN\x00\x01",
    "surrogate": "\ud800PWN\udfff::\U0001f600",
    "template": "{{ 7*191 }}{% for x in y %}{{ PWN.__class__ }}{# PWN #}",
    "long": "PWN" * 40_000,
    "fence": "```\n# PWN\n~~~\n``PWN`\n</code></pre>",
    "mention": "@pwn-team #123 GH-123 pwn/pwn#1 pwn@1234567",
}
#: Those that fit into names: node ids, metrics, nodes and variants are one line of moderate length.
NAMES = {name: text for name, text in PAYLOADS.items() if len(text) < 300}

SUITE = """
import json
import os
from pathlib import Path
from typing import TypedDict

import pytest
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import START, StateGraph
from pytest_promptune import Case, Sample, Variant

PAYLOADS = json.loads((Path(__file__).parent / "payloads.json").read_text())
NAMES = json.loads((Path(__file__).parent / "names.json").read_text())
HOSTILE = os.environ.get("HOSTILE")

# every id twice: once for an answer, once for an error
CASES = [
    Case(
        id=f"{NAMES.get(name, name)} {kind}",
        input={"name": name, "kind": kind},
        expected={"a": "good"},
        tags={"category": NAMES.get(name, name), NAMES.get(name, name): name},
    )
    for name in PAYLOADS
    for kind in ("answer", "error")
]


class Scripted(BaseChatModel):
    model: str = "m"

    @property
    def _llm_type(self):
        return "scripted"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        used = {"input_tokens": 10, "output_tokens": 10, "total_tokens": 20}
        message = AIMessage("x", usage_metadata=used, response_metadata={"model_name": self.model})
        return ChatResult(generations=[ChatGeneration(message=message)])


class State(TypedDict, total=False):
    name: str
    kind: str
    a: str


def build(variant):
    hostile = HOSTILE or variant.context.get("hostile")

    def ask(state):
        text = PAYLOADS[state["name"]]
        Scripted(model=text[:300]).invoke(text)
        if hostile and state["kind"] == "error":
            raise RuntimeError(text)
        return {"a": text if hostile else "good"}

    builder = StateGraph(State)
    last = START
    for text in [NAMES[name] for name in NODES]:
        name = text.replace(":", ";").replace("|", "/")  # reserved by LangGraph
        builder.add_node(name, ask)
        builder.add_edge(last, name)
        last = name
    return builder.compile()


@pytest.fixture(scope="session")
def bot():
    return build


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return request.param


@pytest.fixture(scope="session")
def judge():
    def evaluator(outputs):
        return {"key": "judged", "score": outputs["a"] == "good", "comment": outputs["a"]}
    return evaluator


def pytest_promptune_variants(config):
    return [
        Variant(name=name, description=text, context={"hostile": text})
        for name, text in zip(VARIANTS, NAMES.values())
    ]


NODES = ("script", "table", "emphasis", "ansi", "bidi", "group", "azure", "nul", "fence", "mention", "math")
# whitespace, brackets, slashes and :: can't stand in the name of a variant
VARIANTS = ["<b>PWN", "a|PWN|", "=PWN()", "@pwn#1", "`PWN`", "$PWN$", "\x1bPWN\u202e", "**PWN**"]
"""

TESTS = """
import pytest
from conftest import NAMES
from pytest_promptune import Case, Sample

pytestmark = pytest.mark.promptune(app="bot", runs=1, retries=0)


@pytest.mark.promptune(scorers=["judge"])
def test_answer(case: Case, sample: Sample):
    assert sample.output["a"] == "good", sample.output["a"]


@pytest.mark.promptune(metric="##[group]<b>PWN</b> | @pwn #1")
def test_label(case: Case, sample: Sample):
    sample.classify(predicted=sample.output["a"], expected="good")


def test_scores(case: Case, sample: Sample):
    for text in NAMES.values():
        if "::" not in text and "\\n" not in text:
            sample.score(text, sample.output["a"] == "good", unit=text)
"""

#: Of terminals; the tab and the line feed apart.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


LOADED = ("-p", "pytest_promptune.plugin", "-p", "no:cacheprovider")


@dataclass(frozen=True)
class Session:
    """One pytest session: what it printed, and the folder it wrote to."""

    code: int
    out: str
    folder: Path


def _pytest(folder: Path, *arguments: str, **env: str) -> Session:
    outside = ("GITHUB_", "PYTEST", "COV_", "CI")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(outside)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *LOADED, "--color=no", *arguments],
        cwd=folder,
        env={**inherited, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONUTF8": "1", **env},
        capture_output=True,
        check=False,
        timeout=180,
    )
    said = done.stdout.decode("utf-8", "surrogateescape") + done.stderr.decode("utf-8", "surrogateescape")
    return Session(done.returncode, said, folder)


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Session]:
    """Sessions by name, each run when first asked for, on the baseline of an app that still behaved."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "conftest.py").write_text(SUITE)
    (folder / "test_hostile.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "payloads.json").write_text(json.dumps(PAYLOADS))
    (folder / "names.json").write_text(json.dumps(NAMES))
    recorded = _pytest(folder, "--promptune-baseline", "-q")
    assert recorded.code == 0, recorded.out
    known: dict[str, Session] = {}

    def session(name: str) -> Session:
        if name not in known:
            written = [
                f"--promptune-report={name}.md",
                f"--promptune-report={name}.html",
                f"--promptune-json={name}.json",
                f"--junitxml={name}.xml",
            ]
            env = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(folder / f"{name}.summary.md")}
            if "compare" not in name:
                env["HOSTILE"] = "1"
            known[name] = _pytest(folder, *SESSIONS[name], *written, **env)
            assert known[name].code == (name not in ("recorded", "shard")), known[name].out[-3000:]
        return known[name]

    return session


#: Arguments of each session.
SESSIONS = {
    "plain": (),
    "verbose": ("-v",),
    "quiet": ("-q", "-k", "not test_scores"),
    "all": ("-rA", "-vv"),
    "compare": ("--promptune-compare", "-k", "not test_scores"),
    "recorded": ("--promptune-baseline", "--promptune-against=hostile"),
    "shard": ("--promptune-gate=off",),
}


# -- what is looked for -----------------------------------------------------------------------------------


#: Of the annotations that we print.
TITLES = re.compile(r"Prompt (regression|gate failed): |Inconclusive: |No baseline |\d+ more ")


def check_terminal(text: str, folder: Path) -> None:
    """No control characters, no commands but our annotations, nothing endless."""
    ours = [line for line in text.split("\n") if "test_hostile.py::" not in line.partition(" - ")[0]]
    for line in ours:
        assert not _CONTROL.search(line), repr(line)
        assert not any(
            unicodedata.category(each) in ("Cf", "Cs") and each not in "\u200c\u200d" for each in line
        )
        assert len(line) < 10_000, f"{len(line)} columns: {line[:200]!r}"
    found = [each for line in ours for each in runners.commands(line)]
    for each in found:
        assert each.name in ("error", "warning"), each
        assert TITLES.match(each.properties.get("title", "")), each
        assert each.properties.get("file", "test_hostile.py") == "test_hostile.py"
    unprinted = [name for name in ("7*191", "PWN") if name in text]
    assert "1337" not in text, "a template was rendered"
    assert unprinted, "the texts are shown, or nothing was tested"


def check_annotations(text: str, folder: Path) -> None:
    """At most ten of a kind, each with a place of ours."""
    found = [each for each in runners.commands(text) if "title" in each.properties]
    assert 0 < sum(each.name == "error" for each in found) <= 10
    assert sum(each.name == "warning" for each in found) <= 10
    for each in found:
        assert set(each.properties) <= {"file", "line", "title"}
        assert not _CONTROL.search(each.message.replace("\n", "")), repr(each.message)
        assert not runners.commands(each.message), "not even when the runner has undone its escapes"


class _Html(HTMLParser):
    """The elements of a rendered report, and its text outside of code."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.prose = ""
        self.headings: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag != "meta":  # it has no end
            self._open.append(tag)
        if re.fullmatch(r"h\d", tag):
            self.headings.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes something else"

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data!r}")

    def handle_data(self, data: str) -> None:
        if not {"code", "pre"} & set(self._open):
            self.prose += data
        if any(re.fullmatch(r"h\d", tag) for tag in self._open):
            self.headings[-1] += data


#: What templates of ours make.
_ELEMENTS = {
    "h1",
    "h2",
    "h3",
    "h4",
    "p",
    "ul",
    "li",
    "strong",
    "code",
    "pre",
    "details",
    "summary",
    "br",
    "hr",
} | {"table", "thead", "tbody", "tr", "th", "td"}


#: And of those of the final report.
_OF_SERIES = _ELEMENTS | {"blockquote", "ol"}


def _without_plots(html: _Html, folder: Path) -> list[tuple[str, dict[str, str | None]]]:
    """All elements but the pictures that we draw, which are looked at themselves."""
    rest = []
    for tag, attributes in html.elements:
        source = attributes.get("src") or ""
        data = source.removeprefix("data:image/svg+xml;base64,")
        if tag != "img" or not (data != source or re.fullmatch(r"[\w%-]+_files/[\w-]+\.svg", source)):
            rest.append((tag, attributes))
            continue
        assert set(attributes) == {"src", "alt"}
        svg = base64.b64decode(data).decode() if data != source else (folder / source).read_text("utf-8")
        tags = re.findall(r"<[^>]*>", svg)
        assert not [each for each in tags if re.search(r"^<(script|a|image|foreignObject)\b|\son\w+=", each)]
        assert not [each for each in tags if re.search(r"(href|src)=\"(?!#)|url\((?!#)", each)]
    return rest


def check_markdown(text: str, folder: Path, known: Set[str] = _ELEMENTS) -> None:
    """Rendered as GitHub does, HTML let through: only the elements of our templates, whole tables."""
    html = _Html(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text))
    elements = _without_plots(html, folder)
    assert {tag for tag, _ in elements} <= known
    for tag, attributes in elements:
        assert set(attributes) <= {"style", "class"}, f"<{tag} {attributes}>"
        assert not re.search(r"url|expression", attributes.get("style") or "")
    assert not _CONTROL.search(text.replace("\n", "")), _CONTROL.findall(text)
    for link in (r"\w://\w", r"www\.\w", r"@[\w-]", r"#\d", r"\bGH-\d"):
        assert not re.search(link, html.prose), re.findall(f".{{9}}{link}.{{9}}", html.prose)[:3]
    without_code = re.sub(r"^ *(`{3,}).*?^ *\1|`[^`\n]*`", "", text, flags=re.DOTALL | re.MULTILINE)
    assert not re.search(r"(?<!\\)\$(?=[^\d\s])", without_code), "a formula"
    assert html.headings.count(html.headings[0]) == 1
    assert [heading for heading in html.headings if heading.strip() in ("PWN", "")] == []
    _check_tables(text)
    assert runners.commands(text) == [], "when a job prints it"
    assert "PWN" in text


def check_csv(text: str, folder: Path) -> None:
    """No cell is a formula to a spreadsheet; numbers are numbers; the rows have one length."""
    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    assert len({len(row) for row in rows if row}) == 1
    for cell in (cell for row in rows for cell in row):
        is_number = re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", cell)
        assert is_number or not re.match(r"[=+\-@\t\r]", cell), cell
        assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", cell), repr(cell)
    assert "PWN" in text


def check_final(text: str, folder: Path) -> None:
    """As any report."""
    check_markdown(text, folder, _OF_SERIES)


def check_final_page(text: str, folder: Path) -> None:
    """As any page."""
    check_page(text, folder, _OF_SERIES)


def check_page(text: str, folder: Path, known: Set[str] = _ELEMENTS) -> None:
    """Only elements of ours, and no attribute that runs or loads."""
    html = _Html(text)
    allowed = known | _OF_THE_PAGE
    elements = _without_plots(html, folder)
    assert {tag for tag, _ in elements} <= allowed, {tag for tag, _ in elements} - allowed
    for tag, attributes in elements:
        assert set(attributes) <= _ATTRIBUTES, f"<{tag} {attributes}>"
        assert tag == "a" or "href" not in attributes
        assert (attributes.get("href") or "#").startswith("#")
    assert not _CONTROL.search(text.replace("\n", "")), _CONTROL.findall(text)
    (policy,) = [a["content"] for tag, a in html.elements if tag == "meta" and a.get("http-equiv")]
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")


def check_html(text: str, folder: Path) -> None:
    """As a page; the answers are data in one element."""
    check_page(text, folder)
    assert [tag for tag, _ in _Html(text).elements].count("script") == 2
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert "<" not in data
    assert "PWN" in json.dumps(json.loads(data)["texts"])


def _check_tables(text: str) -> None:
    columns = None
    for line in text.split("\n"):
        if not line.startswith("|"):
            columns = None
            continue
        bars = len(re.findall(r"(?<!\\)(?:\\\\)*\|", line))
        columns = columns or bars
        assert bars == columns, f"{bars - 1} cells instead of {columns - 1}: {line[:300]}"


def check_json(text: str, folder: Path) -> None:
    """Plain JSON, nothing in it that a console would obey when it is shown."""

    def refuse(name: str) -> None:
        raise AssertionError(name)

    data = json.loads(text, parse_constant=refuse)
    assert isinstance(data, dict)
    assert not _CONTROL.search(text.replace("\n", ""))
    assert runners.commands(text) == []


def check_junit(text: str, folder: Path) -> None:
    """Well-formed, and what we say in it is one harmless line."""
    suite = ElementTree.fromstring(text.encode("utf-8"))
    assert len(suite.findall(".//testcase")) > 2 * len(PAYLOADS)
    values = [each.get(name, "") for each in suite.findall(".//property") for name in ("name", "value")]
    said = [each.get("message", "") for each in suite.findall(".//failure") + suite.findall(".//skipped")]
    assert said or "gate" not in text
    for each in (*values, *said):
        assert not runners.commands(each), each
        assert not _CONTROL.search(each), repr(each)


@dataclass(frozen=True)
class Output:
    """One thing that is printed or written: of which session, where it is, what must hold."""

    name: str
    session: str
    text: Callable[[Session], str]
    check: Callable[[str, Path], None]


def _printed(session: Session) -> str:
    return session.out


def _file(pattern: str) -> Callable[[Session], str]:
    def read(session: Session) -> str:
        (path,) = session.folder.glob(pattern)
        return path.read_bytes().decode("utf-8")

    return read


def _written_by(name: str, *arguments: str) -> Callable[[Session], str]:
    """The file that ``pytest-promptune`` writes in the folder of the session."""

    def run(session: Session) -> str:
        _command(*arguments)(session)
        return (session.folder / name).read_bytes().decode("utf-8")

    return run


def _command(*arguments: str) -> Callable[[Session], str]:
    """What ``pytest-promptune`` prints in the folder of the session."""

    def run(session: Session) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "pytest_promptune.cli", *arguments],
            cwd=session.folder,
            env={**os.environ, "PYTHONUTF8": "1", "GITHUB_ACTIONS": "true"},
            capture_output=True,
            check=False,
            timeout=120,
        )
        said = done.stdout.decode("utf-8") + done.stderr.decode("utf-8")
        assert done.returncode in (0, 1), said
        assert "Traceback" not in said
        return said

    return run


#: Sessions that differ in what they write, not only in what they print.
WRITING = ("plain", "compare", "recorded")

#: What the page around a report is made of.
_OF_THE_PAGE = frozenset(
    {
        "a", "body", "button", "dd", "div", "dl", "dt", "h1", "head", "header", "html", "main", "meta", "nav",
        "noscript", "script", "section", "span", "style", "title",
    }
)  # fmt: skip
_ATTRIBUTES = {
    "aria-label", "aria-labelledby", "charset", "class", "content", "hidden", "href", "http-equiv", "id",
    "lang", "name", "tabindex", "type",
}  # fmt: skip

OUTPUTS = (
    *(Output(f"terminal, {name}", name, _printed, check_terminal) for name in SESSIONS),
    Output("terminal, merge", "shard", _command("merge", "shard.json", "--gate"), check_terminal),
    Output("terminal, show", "compare", _command("show", "last"), check_terminal),
    Output("terminal, samples", "plain", _command("show", "--samples", "--outputs"), check_terminal),
    Output("terminal, prompts", "plain", _command("show", "--samples", "--prompts"), check_terminal),
    Output("JSON, samples", "plain", _command("show", "--samples", "--outputs", "--json"), check_json),
    Output("CSV", "plain", _written_by("all.csv", "show", "--csv", "all.csv", "--outputs"), check_csv),
    Output("final report", "compare", _command("report", "--out", "-"), check_final),
    Output("final report, ja", "compare", _command("report", "--lang=ja", "--out", "-"), check_final),
    Output("final report in HTML", "compare", _command("report", "--html", "--out", "-"), check_final_page),
    Output("annotations", "plain", _printed, check_annotations),
    Output("annotations, merge", "shard", _command("merge", "shard.json", "--gate"), check_annotations),
    *(Output(f"report, {name}", name, _file(f"{name}.md"), check_markdown) for name in WRITING),
    *(Output(f"HTML report, {name}", name, _file(f"{name}.html"), check_html) for name in WRITING),
    *(Output(f"step summary, {name}", name, _file(f"{name}.summary.md"), check_markdown) for name in WRITING),
    *(Output(f"results, {name}", name, _file(f"{name}.json"), check_json) for name in (*WRITING, "shard")),
    *(Output(f"junit, {name}", name, _file(f"{name}.xml"), check_junit) for name in WRITING),
    Output("baseline", "recorded", _file("__promptune__/*.hostile.json"), check_json),
)


@pytest.mark.parametrize("output", OUTPUTS, ids=[output.name for output in OUTPUTS])
def test_it_stays_text(output: Output, sessions: Callable[[str], Session]) -> None:
    """Whatever the app answers."""
    session = sessions(output.session)
    output.check(output.text(session), session.folder)
