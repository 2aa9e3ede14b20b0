"""Nodes and findings as lines for a terminal and as Markdown; nothing here prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_promptune.core.display import clean, count, cut
from pytest_promptune.core.lines import BAD, BOLD, DIM, INDENT, WARN, Line, line, paragraph, table
from pytest_promptune.core.nodes import Node, PromptText
from pytest_promptune.inspecting.finding import Inspection
from pytest_promptune.report import escape

UNKNOWN = "–"
_NOTE = (
    "Read from the source: the app was imported, neither its graph nor a model was called, nothing was "
    "sent to LangSmith (LANGSMITH_TRACING=false)."
)


def node_lines(found: Inspection, *, width: int) -> list[Line]:
    """What the terminal shows, in lines of at most `width` columns."""
    width = max(width, 20)
    if not found.nodes:
        return [*paragraph(_without(found), width, BAD), Line(), *paragraph(_NOTE, width, DIM)]
    rows = [[clean(node.node), _place(node), _model(node), _rules(node)] for node in found.nodes]
    made = table(["node", "place", "model", "findings"], rows, width, ())
    lines = paragraph(_title(found), width, BOLD)
    lines += [*(line(text, DIM) for text in made.header), *(line(text) for row in made.rows for text in row)]
    for node in found.nodes:
        lines += [Line(), *_details(node, width)]
    return [*lines, Line(), *paragraph(_NOTE, width, DIM)]


def _title(found: Inspection) -> str:
    findings = sum(len(node.findings) for node in found.nodes)
    calls = "calls" if len(found.nodes) == 1 else "call"
    return f"{count(len(found.nodes), 'node')} {calls} a language model, {count(findings, 'finding')}"


def _without(found: Inspection) -> str:
    names = ", ".join(found.looked_at) or "none"
    return (
        f"No node calls a language model, as far as the source says. Nodes: {names}. If one calls a model in "
        "a way of its own, name the function in the ini file of pytest: promptune_llm_calls = app.llm:ask"
    )


def _details(node: Node, width: int) -> Iterator[Line]:
    yield from paragraph(clean(node.node), width, BOLD)
    yield from paragraph(f"at {_place(node)}", width, None, INDENT)
    for model in node.models:
        yield from paragraph(
            f"model {model.model or 'not known'}{_settings(model.params)}", width, None, INDENT
        )
    for text in node.prompt:
        role = f"{text.role}: " if text.role else ""
        yield line(cut(f"{INDENT}prompt {_stand(text)}  {role}{clean(text.text)}", width))
    if not node.prompt:
        yield from paragraph("prompt not found in the source", width, DIM, INDENT)
    for finding in node.findings:
        yield from paragraph(f"{finding.rule} {finding.message}: {finding.evidence}", width, WARN, INDENT)
        yield from paragraph(finding.fix, width, DIM, INDENT * 2)


def _place(node: Node) -> str:
    return clean(f"{node.file}:{node.line}") if node.file else UNKNOWN


def _stand(text: PromptText) -> str:
    return clean(f"{text.file}:{text.line}") if text.file else UNKNOWN


def _model(node: Node) -> str:
    names = [model.model or model.provider for model in node.models]
    return clean(", ".join(dict.fromkeys(name for name in names if name))) or UNKNOWN


def _rules(node: Node) -> str:
    return " ".join(finding.rule for finding in node.findings) or UNKNOWN


def _settings(params: object) -> str:
    if not isinstance(params, dict) or not params:
        return ""
    shown = [f"{name}={'(at run time)' if value is None else value}" for name, value in params.items()]
    return clean(", " + ", ".join(shown))


# -- Markdown --------------------------------------------------------------------------------------------


def node_markdown(found: Inspection) -> str:
    """The optimisation target list: each node with its model, its prompt, and what to try."""
    parts = ["# Nodes that call a language model", ""]
    if not found.nodes:
        return "\n".join([*parts, str(escape.text(_without(found))), "", str(escape.text(_NOTE)), ""])
    parts += ["| node | place | model | findings |", "|---|---|---|---|"]
    parts += [
        f"| {escape.code(node.node)} | {escape.code(_place(node))} | {escape.text(_model(node))} "
        f"| {_rules(node)} |"
        for node in found.nodes
    ]
    for node in found.nodes:
        parts += ["", *_section(node)]
    return "\n".join([*parts, "", str(escape.text(_NOTE)), ""])


def _section(node: Node) -> Iterator[str]:
    yield f"## {escape.text(node.node)}"
    yield ""
    yield f"- Place: {escape.code(_place(node))}"
    for model in node.models:
        yield f"- Model: {escape.text((model.model or 'not known') + _settings(model.params))}"
    for text in node.prompt:
        role = f" ({text.role})" if text.role else ""
        yield f"\nPrompt{role}, {escape.code(_stand(text))}:\n"
        yield str(escape.fence(_lines(text.text)))
    if not node.prompt:
        yield "- Prompt: not found in the source"
    if node.findings:
        yield "\n| rule | finding | evidence | what to try |\n|---|---|---|---|"
    for finding in node.findings:
        cells: Sequence[str] = (finding.message, finding.evidence, finding.fix)
        yield f"| {finding.rule} | {' | '.join(str(escape.text(cell)) for cell in cells)} |"


def _lines(text: str) -> list[str]:
    from pytest_promptune.core.display import clean_lines

    return clean_lines(text)
