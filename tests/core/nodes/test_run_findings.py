"""Rules for answers: each speaks where the stored runs show it, with their numbers, and not elsewhere."""

from __future__ import annotations

import pytest

from pytest_promptune.core.model import Answer, NodeRun, SampleRecord
from pytest_promptune.core.model import ModelCall as Way
from pytest_promptune.core.nodes.findings import find, task_of
from pytest_promptune.core.nodes.model import CallPlace, Finding, ModelUse, Node, PromptText
from pytest_promptune.core.nodes.run_findings import form_of
from pytest_promptune.core.nodes.traces import Trace, TraceBuilder

DECISION = (
    "Classify the ticket into billing, delivery or other. Answer with one word.\nExample: refund -> billing"
)
GOOD = ModelUse(model="m", params={"temperature": 0, "max_tokens": 50}, is_settled=True)


def answer(text: str = "", **more: object) -> Answer:
    return Answer(**{"text": text, "length": len(text)} | more)


def trace(answers: dict[str, list[Answer]], *, errors: dict[str, int] | None = None, **labels: str) -> Trace:
    """Runs by case, one answer each."""
    builder = TraceBuilder()
    for case, runs in answers.items():
        for run, given in enumerate(runs, 1):
            node = NodeRun(
                node="n", calls=1, ways=(Way(model="m"),), answers=(given,), error_types=errors or {}
            )
            builder.add("bot", SampleRecord(case_id=case, variant="current", run=run, nodes=(node,)))
    return builder.trace("x", "current", labels={("bot", case): (label,) for case, label in labels.items()})


def node(text: str, traced: Trace, model: ModelUse = GOOD) -> Node:
    (found,) = traced.nodes
    prompt = (PromptText(text=text, role="system"),) if text else ()
    call = CallPlace(models=(model,), prompt=prompt, traced=found.calls[0])
    return Node(node="n", file="a.py", line=1, calls=(call,), traced=(found,))


def found(text: str, traced: Trace, model: ModelUse = GOOD) -> dict[str, Finding]:
    return {each.rule: each for each in find(node(text, traced, model)).findings}


def texts(*given: str) -> list[Answer]:
    return [answer(text) for text in given]


def test_steady_answers_have_no_findings():
    """The same answer over repeats, whatever its case and punctuation."""
    runs = {"c1": texts("billing", "Billing.", " billing"), "c2": texts("other", "other", "other")}
    assert found(DECISION, trace(runs, c1="billing", c2="other")) == {}


def test_answers_that_flip():
    """P403 names the cases, how often each answer came, and of how many cases."""
    runs = {"c1": texts("billing", "other", "billing"), "c2": texts("other", "other"), "c3": texts("x")}
    finding = found(DECISION, trace(runs))["P403"]
    assert finding.evidence == "over repeats of 1 of 2 cases (c1: billing 2, other 1)"


def test_texts_may_differ():
    """P403 is for choices: a reply that is generated is another one each time."""
    replies = texts("Dear customer, we are sorry for that.", "Dear customer, we are so sorry about it all.")
    assert "P403" not in found("Write a reply in two sentences.", trace({"c1": replies}))


def test_several_formats():
    """P402 counts them over the cases whose repeats differ."""
    runs = {
        "c1": texts('{"a": 1}', '```json\n{"a": 1}\n```', '{"a": 2}'),
        "c2": texts('{"a": 1}', '{"a": 3}'),
    }
    finding = found("Write a reply as JSON.", trace(runs))["P402"]
    assert finding.evidence == "over repeats of 1 of 2 cases: JSON 2, JSON in a code block 1"
    assert "P402" not in found("Write a reply as JSON.", trace({"c2": runs["c2"]}))


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("billing", "short line"),
        ("It is about the bill, I think.", "text"),
        ("[1, 2]", "JSON"),
        ("Here:\n```python\nx\n```", "code block"),
        ("- one\n- two", "list"),
        ("# Title\ntext", "headings"),
        ("| a | b |\n|---|---|", "table"),
        ("<answer>yes</answer>", "XML"),
    ],
)
def test_forms(text, form):
    """What an answer looks like."""
    assert form_of(text) == form


def test_answers_that_cannot_be_read():
    """P401 counts samples, exceptions of parsers and broken calls of tools; no other errors."""
    runs = {"c1": [answer("{"), answer("", broken=1)]}
    finding = found("Write a reply.", trace(runs, errors={"OutputParserException": 1, "ValueError": 3}))[
        "P401"
    ]
    assert finding.evidence == (
        "in 2 of 2 samples: 2 OutputParserException, 1 call of tools with arguments that can't be read"
    )
    assert "P401" not in found("Write a reply.", trace({"c1": texts("{")}, errors={"ValueError": 3}))


def test_output_far_longer_than_the_label():
    """P404 needs the expected label in the answer, and a decision."""
    long = "The ticket that you sent me belongs to the category billing, as far as I can tell."
    runs = {"c1": texts(long), "c2": texts("other")}
    finding = found(DECISION, trace(runs, c1="billing", c2="other"))["P404"]
    assert (
        finding.evidence == "1 of 2 answers hold the expected label and are 12 times as long, at the median"
    )
    assert "P404" not in found(DECISION, trace(runs, c1="delivery"))
    assert "P404" not in found("Write a reply in two sentences.", trace(runs, c1="billing"))


def test_tools_that_are_tried_again():
    """P405 counts answers, samples and tools."""
    runs = {"c1": [answer(tools=("find",)), answer(tools=("find",), retried=1)], "c2": texts("done")}
    finding = found("Help.", trace(runs))["P405"]
    assert finding.evidence == "1 of 2 answers that call tools, in 1 sample (find 1)"
    assert "P405" not in found("Help.", trace({"c1": runs["c1"][:1]}))


def test_few_short_answers_are_a_decision():
    """At most three different ones in six or more runs, if the wording doesn't say; then its rules hold."""
    runs = {"c1": texts("a", "b", "a"), "c2": texts("b", "c", "B")}
    prompt = "Read what the customer wrote and then do as the handbook of our house says: {q}"
    (call,) = node(prompt, trace(runs)).calls
    assert task_of(call) == "decision"
    assert "its few different answers" in found(prompt, trace(runs))["P102"].evidence
    for others in (
        {"c1": texts("a", "b", "a"), "c2": texts("b", "c", "d")},  # four of them
        {"c1": texts("a", "b", "a"), "c2": texts("b", "c")},  # five runs
        {"c1": texts("a", "a", "a", "a", "a", "a")},  # one input, one answer: nothing was chosen
        {"c1": texts(*["a b c d e f"] * 3), "c2": texts(*["g h i j k l"] * 3)},  # sentences
    ):
        (call,) = node(prompt, trace(others)).calls
        assert task_of(call) == "generation"


def test_what_fakes_answer_is_no_evidence():
    """A dry run has no answers."""
    builder = TraceBuilder()
    for run, text in enumerate(("a", "b"), 1):
        one = NodeRun(node="n", calls=1, answers=(answer(text),), ways=(Way(),), models=("fake",))
        builder.add("bot", SampleRecord(case_id="c1", variant="current", run=run, nodes=(one,)))
    (traced,) = builder.trace("x", "current", labels={}, is_fake=True).nodes
    assert (traced.calls[0].answers, traced.models) == ((), ())
