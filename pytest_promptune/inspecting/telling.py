"""Nodes and findings as lines for a terminal and as Markdown; nothing here prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_promptune.core.display import UNKNOWN, clean, clean_lines, count, cut, money, seconds
from pytest_promptune.core.lines import BAD, BOLD, DIM, INDENT, WARN, Line, line, paragraph, table
from pytest_promptune.core.nodes.headroom import Headroom, headroom_of
from pytest_promptune.core.nodes.model import CallPlace, Node, PromptText
from pytest_promptune.core.nodes.priority import Priority, Unmet
from pytest_promptune.core.nodes.roles import role_lines, roles_of
from pytest_promptune.core.nodes.traces import Trace
from pytest_promptune.core.nodes.wording import share, whole
from pytest_promptune.core.redaction import beginning
from pytest_promptune.inspecting import matrix
from pytest_promptune.inspecting.finding import Inspection
from pytest_promptune.report import escape

_MOST_ERRORS = 3
#: Characters shown of one message as it was sent.
_LONGEST_SENT = 4000
HEADROOM = (
    "Shares are measured; they bound what a change of the node can gain, and promise nothing. A case has "
    "failed if it missed or errored in some run; all nodes that ran in it share it."
)
_NOTE = (
    "Read from the source: the app was imported, neither its graph nor a model was called, nothing was "
    "sent to LangSmith (LANGSMITH_TRACING=false)."
)
_DRY_RUN_NOTE = (
    "Read from the source, and from a run of the cases with fake models: no provider was called, no host "
    "but this one was reached, nothing was sent to LangSmith (LANGSMITH_TRACING=false)."
)


def node_lines(found: Inspection, *, width: int) -> list[Line]:
    """What the terminal shows, in lines of at most `width` columns."""
    width = max(width, 20)
    failed = [each for text in found.unloaded for each in _unloaded(text, width)]
    if not found.nodes:
        return [
            *failed,
            *paragraph(_without(found), width, BAD),
            Line(),
            *paragraph(_note(found), width, DIM),
        ]
    traced = found.trace is not None
    rows = [
        [clean(node.node), _place(node), _model(node), *([node.evidence] if traced else []), _rules(node)]
        for node in found.nodes
    ]
    header = ["node", "place", "model", *(["evidence"] if traced else []), "findings"]
    made = table(header, rows, width, ())
    lines = [*failed, *paragraph(_title(found), width, BOLD)]
    for text in covered(found):
        lines += paragraph(text, width)
    lines += [*(line(text, DIM) for text in made.header), *(line(text) for row in made.rows for text in row)]
    for node in found.nodes:
        lines += [Line(), *_details(node, found, width)]
    if found.unmet is not None:
        lines += [Line(), *_matrix(found.priorities, found.unmet, width)]
    for text in (*found.notes, _note(found)):
        lines += [Line(), *paragraph(text, width, DIM)]
    return lines


def _unloaded(text: str, width: int) -> Iterator[Line]:
    for told in f"Not loaded: {text}".splitlines():
        yield from paragraph(clean(told), width, BAD)
    yield Line()


def _matrix(rows: Sequence[Priority], unmet: Unmet, width: int) -> Iterator[Line]:
    made = table(matrix.HEADER, matrix.cells(rows), width, ())
    yield from paragraph("What to work on first", width, BOLD)
    yield from (line(text, DIM) for text in made.header)
    yield from (line(text) for row in made.rows for text in row)
    yield from paragraph(matrix.rule_of(unmet), width, DIM)


def covered(found: Inspection) -> Iterator[str]:
    """Where the traces are from, which nodes no case reached, and which the graph doesn't have."""
    trace = found.trace
    if trace is None:
        return
    of = f"{count(trace.samples, 'sample')} of {count(trace.cases, 'case')}"
    if trace.is_fake:
        yield f"Traces: a dry run, {of}. Models were fake: their answers, times and costs mean nothing."
    else:
        yield f"Traces: experiment {trace.id}, variant {trace.variant}, {of}."
    if trace.errors:
        yield _failures(trace)
    yield _ran(found)
    for names, what in (
        (found.never_executed, "Never executed by these cases (a coverage gap)"),
        (found.silent, "Ran without a model call that LangChain tells of (an SDK, or a branch not taken)"),
        (found.dynamic, "Dynamic: ran, and the graph doesn't have them"),
    ):
        if names:
            yield f"{what}: {', '.join(names)}."


def _failures(trace: Trace) -> str:
    shown = "; ".join(f"{times:,} {error}" for error, times in list(trace.errors.items())[:_MOST_ERRORS])
    failed = count(sum(trace.errors.values()), "sample")
    return f"{failed} ended in an error ({shown}): what would have come after it didn't run."


def _ran(found: Inspection) -> str:
    ran = [node for node in found.nodes if node.traced]
    return f"{len(ran):,} of {len(found.nodes):,} nodes that call a model ran."


def beside_rows(found: Inspection) -> Iterator[str]:
    """What the rows of ``--json`` don't say: samples that failed, and what was left out."""
    if found.trace is not None and found.trace.errors:
        yield f"{_failures(found.trace)} {_ran(found)}"
    yield from (f"Not loaded: {text}" for text in found.unloaded)
    yield from found.notes


def measured(node: Node, found: Inspection) -> Iterator[str]:
    """What samples showed of a node, one sentence for each app; its headroom."""
    trace = found.trace
    if trace is None:
        return
    if not node.traced:
        yield "ran, but called no model that was seen" if node.is_silent else "never executed by these cases"
        return
    for each in node.traced:
        usage = each.usage
        calls = f"{count(usage.calls, 'call')} in {count(usage.samples, 'sample')}"
        if trace.is_fake:
            yield f"traced ({each.app}): {calls}, by a fake model"
            continue
        yield (
            f"traced ({each.app}): {calls}, tokens {whole(usage.input_tokens)} in, "
            f"{whole(usage.output_tokens)} out, {seconds(usage.latency_s.mean)} a sample, "
            f"{money(usage.cost_usd)} in all"
        )
    if not trace.is_fake:
        room = headroom_of(node, found.failed)
        yield (
            f"measured headroom: ran in {_failed(room)} failed cases, {share(room.latency)} of time, "
            f"{share(room.cost)} of cost"
        )


def _failed(room: Headroom) -> str:
    if room.failed_cases is None:
        return UNKNOWN
    return f"{room.failed:,} of {room.of_failed:,} ({share(room.failed_cases)})"


def _no_prompt(node: Node) -> str:
    return "prompt not found in the source" + (" or the traces" if node.traced else "")


def _note(found: Inspection) -> str:
    return _DRY_RUN_NOTE if found.trace is not None and found.trace.is_fake else _NOTE


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


def _details(node: Node, found: Inspection, width: int) -> Iterator[Line]:
    yield from paragraph(clean(node.node), width, BOLD)
    yield from paragraph(f"at {_place(node)}", width, None, INDENT)
    if roles := role_lines(node):
        yield from paragraph(clean(f"role {', '.join(roles)}"), width, None, INDENT)
    if node.sites:
        yield from paragraph(f"called its model at {clean(', '.join(node.sites))}", width, None, INDENT)
    for model in _models(node):
        yield from paragraph(f"model {model}", width, None, INDENT)
    for text in node.prompt:
        role = f"{text.role}: " if text.role else ""
        yield line(cut(f"{INDENT}prompt {_stand(text)}  {role}{clean(text.text)}", width))
    if not node.prompt:
        yield from paragraph(_no_prompt(node), width, DIM, INDENT)
    for told in measured(node, found):
        yield from paragraph(told, width, None, INDENT)
    for finding in node.findings:
        yield from paragraph(f"{finding.rule} {finding.message}: {finding.evidence}", width, WARN, INDENT)
        yield from paragraph(finding.fix, width, DIM, INDENT * 2)


def _place(node: Node) -> str:
    return clean(f"{node.file}:{node.line}") if node.file else UNKNOWN


def _stand(text: PromptText) -> str:
    return clean(f"{text.file}:{text.line}") if text.file else UNKNOWN


def _models(node: Node) -> list[str]:
    """Each model with what is set, those that look the same once."""
    every = ((model.model or "not known") + _settings(model.params) for model in node.models)
    return list(dict.fromkeys(every))


def _model(node: Node) -> str:
    names = [model.model or model.provider for model in node.models]
    return clean(", ".join(dict.fromkeys(name for name in names if name))) or UNKNOWN


def _rules(node: Node) -> str:
    return " ".join(finding.rule for finding in node.findings) or UNKNOWN


def _roles(node: Node) -> str:
    return ", ".join(roles_of(node)) or UNKNOWN


def _settings(params: object) -> str:
    if not isinstance(params, dict) or not params:
        return ""
    shown = [f"{name}={'(at run time)' if value is None else value}" for name, value in params.items()]
    return clean(", " + ", ".join(shown))


# -- Markdown --------------------------------------------------------------------------------------------


def node_markdown(found: Inspection) -> str:
    """The optimisation target list: each node with its model, its prompt, and what to try."""
    parts = ["# Nodes that call a language model", ""]
    for text in found.unloaded:
        parts += [f"**Not loaded**: {escape.text(clean(text))}", ""]
    if not found.nodes:
        return "\n".join([*parts, str(escape.text(_without(found))), "", str(escape.text(_note(found))), ""])
    for text in covered(found):
        parts += [str(escape.text(text)), ""]
    traced = found.trace is not None
    seen = (" evidence |", "---|") if traced else ("", "")
    parts += [f"| node | role | place | model |{seen[0]} findings |", f"|---|---|---|---|{seen[1]}---|"]
    parts += [
        f"| {escape.code(node.node)} | {_roles(node)} | {escape.code(_place(node))} "
        f"| {escape.text(_model(node))} |{f' {node.evidence} |' if traced else ''} {_rules(node)} |"
        for node in found.nodes
    ]
    if traced:
        parts += ["", *_headroom_table(found)]
    if found.unmet is not None:
        parts += ["", *_matrix_table(found.priorities, found.unmet)]
    for node in found.nodes:
        parts += ["", *_section(node, found)]
    return "\n".join([*parts, "", *(f"{escape.text(text)}\n" for text in (*found.notes, _note(found)))])


def _headroom_table(found: Inspection) -> Iterator[str]:
    """What was measured of each node; nothing is said about what a change would gain."""
    if found.trace is None or found.trace.is_fake:
        return
    yield "| node | samples | calls | failed cases in which it ran | of time | of cost |"
    yield "|---|---|---|---|---|---|"
    for node in found.nodes:
        room = headroom_of(node, found.failed)
        samples = sum(each.usage.samples for each in node.traced)
        calls = sum(each.usage.calls for each in node.traced)
        yield (
            f"| {escape.code(node.node)} | {samples:,} | {calls:,} | {_failed(room)} "
            f"| {share(room.latency)} | {share(room.cost)} |"
        )
    yield ""
    yield str(escape.text(HEADROOM))


def _matrix_table(rows: Sequence[Priority], unmet: Unmet) -> Iterator[str]:
    yield "## What to work on first"
    yield ""
    yield f"| {' | '.join(matrix.HEADER)} |\n|{'---|' * len(matrix.HEADER)}"
    for name, *values in matrix.cells(rows):
        yield f"| {escape.code(name)} | {' | '.join(str(escape.text(value)) for value in values)} |"
    yield ""
    yield str(escape.text(matrix.rule_of(unmet)))


def _section(node: Node, found: Inspection) -> Iterator[str]:
    yield f"## {escape.text(node.node)}"
    yield ""
    yield f"- Place: {escape.code(_place(node))}"
    if roles := role_lines(node):
        yield f"- Role: {escape.text(clean(', '.join(roles)))}"
    if node.sites:
        yield f"- Called its model at: {', '.join(str(escape.code(clean(site))) for site in node.sites)}"
    for model in _models(node):
        yield f"- Model: {escape.text(model)}"
    for text in node.prompt:
        role = f" ({text.role})" if text.role else ""
        yield f"\nPrompt{role}, {escape.code(_stand(text))}:\n"
        yield str(escape.fence(clean_lines(text.text)))
    if not node.prompt:
        yield f"- {_no_prompt(node).capitalize()}"
    for told in measured(node, found):
        yield f"- {escape.text(told[0].upper() + told[1:])}"
    for call in node.calls:
        yield from _sent(call)
    if node.findings:
        yield "\n| rule | finding | evidence | what to try |\n|---|---|---|---|"
    for finding in node.findings:
        cells: Sequence[str] = (finding.message, finding.evidence, finding.fix)
        yield f"| {finding.rule} | {' | '.join(str(escape.text(cell)) for cell in cells)} |"


def _sent(call: CallPlace) -> Iterator[str]:
    """A prompt as it was sent, where that isn't its text already."""
    sent = call.traced
    if sent is None or [text for _, text in sent.prompt] == [text.text for text in call.prompt]:
        return
    if sent.prompt:
        yield f"\nAs it was sent (case {escape.code(sent.case_id)}, run {sent.run}):\n"
        for role, text in sent.prompt:
            yield str(escape.fence(clean_lines(f"[{role}]\n{beginning(text, _LONGEST_SENT)}")))
