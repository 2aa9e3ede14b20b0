"""Rules for prompts: each finds what it is for, and says nothing where it can't know."""

from __future__ import annotations

import pytest

from pytest_promptune.core.nodes.findings import find, task_of, tokens_of, words
from pytest_promptune.core.nodes.model import CallPlace, Finding, ModelUse, Node, PromptText, to_json

#: A model with nothing to complain about.
GOOD = ModelUse(model="gpt-4.1-mini", params={"temperature": 0, "max_tokens": 50}, is_settled=True)
DECISION = (
    "Classify the ticket into billing, delivery or other. Answer with one word.\nExample: refund -> billing"
)


def call(text: str, *, model: ModelUse = GOOD, role: str | None = "system") -> CallPlace:
    prompt = (PromptText(text=text, role=role),) if text else ()
    return CallPlace(models=(model,), prompt=prompt)


def found(*calls: CallPlace) -> dict[str, Finding]:
    node = find(Node(node="n", file="app.py", line=1, calls=calls))
    return {finding.rule: finding for finding in node.findings}


def rules(text: str, *, model: ModelUse = GOOD, role: str | None = "system") -> list[str]:
    return list(found(call(text, model=model, role=role)))


def test_a_good_prompt_has_no_findings():
    """A decision with choices, a format, an example, a low temperature and a limit is left alone."""
    assert rules(DECISION) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Help the customer.", True),
        ("Help the customer in at most two sentences.", False),
        ("Sort the message:\n- billing\n- delivery", False),
        ("Help, assist and support the customer, and handle what comes. " * 8, True),
        ("Help, assist and support the customer, but never promise a refund. " * 8, False),
        ("{question}", False),
    ],
)
def test_vague_instructions(text, expected):
    """P101: short without any constraint, or vague verbs without a criterion; nothing of placeholders."""
    assert ("P101" in rules(text)) is expected


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (", ".join(map(str, range(40))), True),  # no choices: the list may go on
        (",".join(map(str, range(40))), True),
        (", ".join(map(str, range(40))) + " or 41", False),
        (",".join(map(str, range(40))) + ", and 41", False),
        ("1 2 or 3", True),
        ("1, 2 3 or 4", False),
        ("1 , 2 or 3", False),
        ("1, or 3", True),
        ("|".join(map(str, range(40))), False),
        ("1 | 2 | 3", False),
        ("1 | 2", True),
    ],
)
def test_lists_of_choices(listed, expected):
    """P101: choices are a constraint; long lists are searched in no time."""
    assert ("P101" in rules(f"Help the customer with {listed}.")) is expected


def test_words_of_context_are_no_instructions():
    """What is filled in doesn't make an instruction longer."""
    filled = " ".join(f"{{field_number_{i}}}" for i in range(50))
    assert "P101" in rules(f"Help the customer. {filled}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Classify the ticket. Answer with one word.", True),
        ("Classify the ticket. Answer with one word. Example: my parcel is late, delivery", False),
        ("Classify the ticket. Answer with one word.\nrefund please -> billing", False),
        ("Write one sentence about the ticket.", False),
    ],
)
def test_decisions_without_examples(text, expected):
    """P102: of decisions alone, and not where the text shows one."""
    assert ("P102" in rules(text)) is expected


def test_examples_as_messages():
    """P102: a message of the ai is an example as well."""
    prompt = (
        PromptText(text="Classify the ticket. Answer with one word.", role="system"),
        PromptText(text="my parcel is late", role="human"),
        PromptText(text="delivery", role="ai"),
    )
    assert "P102" not in found(CallPlace(models=(GOOD,), prompt=prompt))


def test_free_text_answers():
    """P103: decisions and extractions without schema and format words."""
    assert "P103" in rules("Extract the names in the letter")
    assert "P103" not in rules("Extract the names in the letter as JSON")
    with_schema = ModelUse(params=GOOD.params, is_settled=True, schema="Names")
    assert "P103" not in rules("Extract the names in the letter", model=with_schema)


def test_generation_without_bounds():
    """P104: of generated texts alone; agents with tools say what they do by calling them."""
    assert "P104" in rules("Tell the customer about the weather")
    assert "P104" not in rules("Tell the customer about the weather in two sentences")
    agent = ModelUse(params=GOOD.params, is_settled=True, tools=("search",))
    assert "P104" not in rules("Tell the customer about the weather", model=agent)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (ModelUse(model="gpt-4.1", params={"temperature": 0.7, "max_tokens": 9}), "temperature = 0.7"),
        (ModelUse(model="gpt-4.1", params={"max_tokens": 9}, is_settled=True), "is not set"),
        (ModelUse(model="gpt-4.1", params={"temperature": 0.3}, is_settled=True), None),
        (ModelUse(model="gpt-4.1", params={"temperature": None}, is_settled=True), None),
        (ModelUse(model="gpt-4.1", params={}), None),
        (ModelUse(model="o3-mini", params={}, is_settled=True), None),
        (ModelUse(model="openai/gpt-5-mini", params={}, is_settled=True), None),
    ],
)
def test_temperature_of_decisions(model, expected):
    """P201: high or surely unset; not where it is set at run time, not known, or rejected by the model."""
    finding = found(call(DECISION, model=model)).get("P201")
    assert (expected in finding.evidence) if expected else finding is None


def test_temperature_of_texts():
    """P201: a text may be generated at any temperature."""
    assert "P201" not in rules(
        "Write one sentence", model=ModelUse(params={"temperature": 1}, is_settled=True)
    )


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (ModelUse(params={"temperature": 0}, is_settled=True), True),
        (ModelUse(params={"temperature": 0, "max_tokens": 4000}, is_settled=True), True),
        (ModelUse(params={"temperature": 0, "num_predict": 2000}, is_settled=True), False),
        (ModelUse(params={"temperature": 0, "max_tokens": None}, is_settled=True), False),
        (ModelUse(params={"temperature": 0}, is_settled=True, is_limited=True), False),
        (ModelUse(params={"temperature": 0}), False),
    ],
)
def test_limits_on_the_output(model, expected):
    """P202: surely unlimited, or far above what a decision needs; not where the client limits it itself."""
    assert ("P202" in rules(DECISION, model=model)) is expected


def test_instructions_in_human_messages():
    """P301: where all is human and long enough to be an instruction, and the roles are known."""
    text = (
        "Answer the question of the customer in at most two short sentences, and never promise a refund. {q}"
    )
    assert "P301" in rules(text, role="human")
    assert "P301" not in rules(text, role="system")
    assert "P301" not in rules(text, role=None)
    assert "P301" not in rules("Answer briefly: {q}", role="human")


def test_long_prompts():
    """P302: says how much of it is the same in every call."""
    text = "Never promise a refund to anybody. " * 200 + "{question}" + "Answer in one sentence. " * 100
    (finding,) = [each for rule, each in found(call(text)).items() if rule == "P302"]
    assert f"the first {tokens_of('Never promise a refund to anybody. ' * 200):,}" in finding.evidence
    assert "P302" not in rules("Never promise a refund to anybody. " * 100)


def test_without_a_text_nothing_is_said_of_it():
    """Where no prompt was found only the parameters are judged."""
    assert rules("", model=ModelUse(params={}, is_settled=True)) == ["P202"]
    assert rules("", model=ModelUse()) == []


def test_each_rule_once_and_in_order():
    """Two calls with the same weakness make one finding."""
    vague = call("Help the customer.", model=ModelUse(params={}, is_settled=True))
    assert list(found(vague, vague)) == ["P101", "P104", "P202"]


@pytest.mark.parametrize(
    ("text", "model", "task"),
    [
        ("Write a poem", GOOD, "generation"),
        ("Write a poem", ModelUse(schema="Poem"), "extraction"),
        ("Write a poem", ModelUse(schema="Grade", decides=True), "decision"),
        ("Write a poem", ModelUse(tools=("rhymes",)), "agent"),
        ("Decide whether it rhymes", GOOD, "decision"),
        ("Extract the rhymes", GOOD, "extraction"),
        ("次の文章を分類してください", GOOD, "decision"),
        ("", GOOD, None),
    ],
)
def test_tasks(text, model, task):
    """The schema says more than tools, and tools more than the wording."""
    assert task_of(call(text, model=model)) == task


def test_words_of_scripts_without_spaces():
    """Two signs of Japanese or Chinese count as a word."""
    assert words("one two three") == 3
    assert words("質問に答えて") == 3


def test_rows():
    """The row of JSON has exactly the fixed keys, and takes the model that has a name."""
    unknown, known = CallPlace(models=(ModelUse(),)), call("Help the customer.")
    node = find(Node(node="a/b", file="app.py", line=3, calls=(unknown, known)))
    row = to_json(node)
    assert list(row) == [
        "node", "file", "line", "model", "provider", "params", "prompt", "calls_llm", "evidence", "findings",
    ]  # fmt: skip
    assert (row["model"], row["params"]) == ("gpt-4.1-mini", {"temperature": 0, "max_tokens": 50})
    assert row["prompt"] == [{"file": None, "line": None, "text": "Help the customer."}]
    assert {tuple(finding) for finding in row["findings"]} == {("rule", "message", "evidence", "fix")}
