"""The samples of one stored experiment: for the terminal, as data, and as a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from pytest_promptune.core.display import UNKNOWN, clean, count, cut, seconds, some, visible
from pytest_promptune.core.errors import SettingsError
from pytest_promptune.core.lines import DIM, INDENT, Line, line, paragraph, table_lines
from pytest_promptune.core.model import NodeRun, Prompt
from pytest_promptune.store.log import ExperimentLog, ExperimentSummary, SampleLine, TestOutcome, Wanted

#: Characters of an output, an error or a message of a prompt in the terminal.
_SHOWN = 300
#: Messages of a prompt in the terminal: as many first ones, and as many last ones.
_MESSAGES = 3
#: Names in an error.
_NAMED = 12
#: Characters that a cell of a spreadsheet may have; Excel drops what is beyond 32,767.
_CELL = 32_000

#: What makes spreadsheets take a text for a formula, at its beginning.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

_NUMBERS = ("latency_s", "input_tokens", "output_tokens", "cost_usd", "attempts")

_ASSERTED = {"passed": 1, "missed": 0, "errored": 0}


def check_names(log: ExperimentLog, experiment: ExperimentSummary, wanted: Wanted) -> None:
    """Refuse cases and variants that the experiment doesn't have.

    Raises:
        SettingsError: for the first of them, with the valid ones.
    """
    id_ = experiment.id
    if set(wanted.variants) - set(experiment.variants):
        valid = {*experiment.variants, *log.lists.sampled_variants(id_)}
        _check(wanted.variants, valid, f"--variant: experiment {id_} did not measure")
    if wanted.cases and set(wanted.cases) - (planned := log.lists.planned_cases(id_)):
        _check(wanted.cases, planned | log.lists.sampled_cases(id_), f"--case: experiment {id_} has no case")


def _check(names: Sequence[str], valid: set[str], what: str) -> None:
    for name in names:
        if name not in valid:
            there = f"Valid: {some(sorted(valid), _NAMED)}." if valid else "It has no samples."
            raise SettingsError(f"{what} {name!r}. {there}")


# -- terminal --------------------------------------------------------------------------------------------


def sample_lines(
    samples: Sequence[SampleLine], *, total: int, outputs: bool, width: int, prompts: bool = False
) -> list[Line]:
    """A row for each sample, with its app where there are several.

    Below it stands what it said, its prompts and its output where they are wanted.
    """
    if not samples:
        return [line("No sample is like that." if not total else "No samples are shown.")]
    several = len({s.app for s in samples}) > 1
    header = [*(["app"] if several else []), "case", "variant", "run", "outcome", "latency"]
    rows = [[*([cut(clean(s.app), 24)] if several else []), *_cells(s)] for s in samples]
    laid_out = table_lines(header, rows, width)
    if len(laid_out) != len(rows) + 1:  # no room for columns
        laid_out = [
            line(cut(", ".join(header), width), DIM),
            *(line(cut(", ".join(row), width)) for row in rows),
        ]
    lines = [laid_out[0]]
    for sample, row in zip(samples, laid_out[1:], strict=True):
        lines += [row, *_said(sample, outputs=outputs, prompts=prompts, width=width)]
    if len(samples) < total:
        lines += [
            Line(),
            *paragraph(f"{len(samples):,} of {count(total, 'sample')}; -n N or --all shows more.", width),
        ]
    return lines


def _cells(sample: SampleLine) -> list[str]:
    case, variant = cut(clean(sample.case_id), 40), cut(clean(sample.variant), 24)
    return [case, variant, str(sample.run), sample.outcome, _time(sample)]


def _time(sample: SampleLine) -> str:
    return seconds(sample.latency_s) if sample.latency_s is not None else UNKNOWN


def _said(sample: SampleLine, *, outputs: bool, prompts: bool, width: int) -> list[Line]:
    lines: list[Line] = []
    if sample.error_type is not None:
        lines += paragraph(cut(clean(_error(sample)), _SHOWN), width, DIM, 3 * INDENT)
    for test in sample.tests:
        if test.outcome not in ("passed", "errored", "missing"):
            said = f": {test.message}" if test.message else ""
            lines += paragraph(
                cut(clean(f"{test.test} {test.outcome}{said}"), _SHOWN), width, DIM, 3 * INDENT
            )
    for text in _asked(sample.nodes or ()) if prompts else ():
        lines += paragraph(cut(clean(text), _SHOWN), width, indent=3 * INDENT)
    if outputs and sample.output is not None:
        lines += paragraph(cut(clean(_text(sample.output)), _SHOWN), width, indent=3 * INDENT)
    return lines


def _asked(nodes: Sequence[NodeRun]) -> Iterator[str]:
    """What each node's models were asked, a message each; long conversations without their middle."""
    for node in nodes:
        for number, prompt in enumerate(_prompts(node), 1):
            which = f"{node.node} ({number})" if len(_prompts(node)) > 1 else node.node
            for place, (role, text) in enumerate(prompt):
                left_out = len(prompt) - 2 * _MESSAGES
                if left_out > 0 and place == _MESSAGES:
                    yield f"{which}: … {count(left_out, 'more message')}"
                if left_out <= 0 or not _MESSAGES <= place < len(prompt) - _MESSAGES:
                    yield f"{which}, {role}: {text}"


def _prompts(node: NodeRun) -> Sequence[Prompt]:
    """The last prompt of each of its ways to call models."""
    return node.prompts or ((node.prompt,) if node.prompt else ())


def _error(sample: SampleLine) -> str:
    return f"{sample.error_type}: {sample.error_message}" if sample.error_message else str(sample.error_type)


def _text(output: Any) -> str:
    return output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)


# -- data ------------------------------------------------------------------------------------------------


def to_json(samples: Sequence[SampleLine], *, total: int, outputs: bool) -> dict[str, Any]:
    """The samples that are shown, with all that is known of their tests."""
    listed = []
    for sample in samples:
        values = asdict(sample) | {"outcome": sample.outcome}
        if not outputs:
            del values["output"]
        del values["nodes"]
        if sample.nodes is not None:
            values |= _traced(sample.nodes)
        values["tests"] = [
            {name: test[name] for name in ("module", "test", "metric", "outcome", "message", "scores")}
            for test in values["tests"]
        ]
        listed.append(values)
    return {"total": total, "samples": listed}


def _traced(nodes: Sequence[NodeRun]) -> dict[str, Any]:
    """What was rendered at each node, and what the nodes did."""
    apart = ("prompt", "prompts")
    return {
        "prompts": {
            node.node: [[{"role": role, "text": text} for role, text in prompt] for prompt in _prompts(node)]
            for node in nodes
            if _prompts(node)
        },
        "nodes": [
            {name: value for name, value in asdict(node).items() if name not in apart} for node in nodes
        ],
    }


# -- spreadsheets ----------------------------------------------------------------------------------------


def to_csv(samples: Sequence[SampleLine], *, outputs: bool) -> str:
    """RFC 4180: a row for each sample, a column for each metric of the tests and each score.

    The text begins with a byte order mark: Excel takes UTF-8 for the local encoding without it, and every
    other reader skips it (pandas, LibreOffice, Google). What a spreadsheet would take for a formula begins
    with an apostrophe; numbers are numbers, unknown is empty.
    """
    columns = _columns(samples)
    several = len({module for module, _ in columns}) > 1
    heads = [f"{module}::{name}" if several else name for module, name in columns]
    texts = ["app", "case", "variant", "run", "outcome"]
    more = ["error_type", "error_message", *(["output"] if outputs else [])]
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow([cell(head) for head in (*texts, *heads, *_NUMBERS, *more)])
    for sample in samples:
        values = _values(sample)
        row: list[Any] = [sample.app, sample.case_id, sample.variant, sample.run, sample.outcome]
        row += [values.get(column) for column in columns]
        row += [getattr(sample, name) for name in _NUMBERS]
        row += [sample.error_type, sample.error_message]
        row += [_text(sample.output) if sample.output is not None else None] if outputs else []
        writer.writerow([cell(value) for value in row])
    return "\ufeff" + written.getvalue()


def cell(value: object) -> object:
    """A value as a spreadsheet may have it: never a formula, nothing that moves a terminal's cursor."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    text = "\n".join(visible(each) for each in value.replace("\r\n", "\n").split("\n"))[:_CELL]
    return f"'{text}" if value.startswith(_FORMULA) or text.startswith(_FORMULA) else text


def _columns(samples: Sequence[SampleLine]) -> list[tuple[str, str]]:
    """Module and name, a test's assertions before its scores, in order of appearance."""
    found: dict[tuple[str, str], None] = {}
    tests = [test for sample in samples for test in sample.tests]
    for test in tests:
        found[test.module, test.metric] = None
    for test in tests:
        for name in test.scores:
            found[test.module, _full(test, name)] = None
    return list(found)


def _full(test: TestOutcome, name: str) -> str:
    """The score's name in the table of scores: those of scorers are named in full already."""
    return name if "::" in name else f"{test.test}::{name}"


def _values(sample: SampleLine) -> dict[tuple[str, str], float | None]:
    values: dict[tuple[str, str], float | None] = {}
    for test in sample.tests:
        values[test.module, test.metric] = _ASSERTED.get(test.outcome)
        for name, value in test.scores.items():
            is_whole = value is not None and value.is_integer() and abs(value) < 1e15
            values[test.module, _full(test, name)] = int(value) if is_whole and value is not None else value
    return values
