"""Rules for prompts and parameters of one node, as far as its source tells (LANGGRAPH 4).

A rule that can't be decided says nothing: without the prompt's text none about wording, without the model's
settings none about parameters. The thresholds are conventions, not measurements; each finding shows what it
was decided from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeGuard

from pytest_promptune.core.limits import OUTPUT_LIMITS
from pytest_promptune.core.literals import PLACEHOLDER
from pytest_promptune.core.nodes.model import CallPlace, Finding, ModelUse, Node
from pytest_promptune.core.nodes.run_findings import is_choice, run_findings

Task = Literal["decision", "extraction", "generation", "agent"]

#: Instruction words below which a prompt without constraints is called vague.
FEWEST_WORDS = 40
VAGUE_VERBS = 3
HIGHEST_TEMPERATURE = 0.3
MOST_TOKENS_OF_A_DECISION = 2000
LONG_PROMPT = 1500
#: Characters of English text to a token; others have fewer, so the estimate is low for them.
_CHARACTERS_PER_TOKEN = 4
#: Instruction words in a human message that would belong to a system message.
_INSTRUCTION = 15

_REJECTS_TEMPERATURE = re.compile(r"(?:^|/)(?:o[134]\b|gpt-5|deepseek-reasoner)")

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
#: Chinese, Japanese and Korean write no spaces; two signs count as a word.
_SIGNS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_BLOCK = re.compile(r"<(\w[\w-]*)>\s*(?:\{[^<]*\}|\{\{[^<]*\}\})\s*</\1>")
_LIST = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s", re.MULTILINE)
#: The end of a list is enough, and keeps the search linear.
_CHOICES = re.compile(r"\w ?,[\w ]+,? (?:or|and) \w|\w(?:\s?\|\s?\w+){2}")
_CRITERION = re.compile(
    r"\b(?:if|when|unless|only|must|never|always|exactly|at (?:most|least)|no more than|do not|"
    r"don['’]t|avoid|one of|either|whether|criteri\w+|defin\w+|means|means that|rules?)\b"
    r"|場合|ただし|必ず|のみ|以内|しないで",
    re.IGNORECASE,
)
_VAGUE = re.compile(
    r"\b(?:help|assist|handle|process|improve|optimi[sz]e|manage|consider|deal with|analy[sz]e|look at|"
    r"think about|work on|support|understand|address)\b",
    re.IGNORECASE,
)
_FORMAT = re.compile(
    r"\b(?:json|yaml|xml|csv|markdown|bullet(?:s| points?)?|table|format|one word|single word|only the|"
    r"exactly one|(?:answer|respond|reply|return|output)(?: only)? (?:with|as|in|just|only)|yes or no|"
    r"comma[- ]separated|numbered list|true or false)\b|形式|一語|のみ(?:を)?(?:出力|回答)",
    re.IGNORECASE,
)
_LENGTH = re.compile(
    r"\b(?:short|brief(?:ly)?|concise(?:ly)?|(?:one|two|three|\d+)(?:[- –]+(?:to )?(?:two|three|\d+))?"
    r"(?: \w+)? (?:sentences?|words?|paragraphs?|lines?|tokens|characters|bullets?)|at most|no more than|"
    r"under \d+|length)\b|文字|以内|簡潔|短く",
    re.IGNORECASE,
)
_EXAMPLE = re.compile(
    r"\b(?:examples?|e\.g|for instance|few[- ]shot)\b|^\s*(?:input|q|question|text|message|user)\s*:.*\n+"
    r"\s*(?:output|a|answer|label|assistant|category)\s*:|\S\s*(?:->|→|=>)\s*\S|例[:：えば]",
    re.IGNORECASE | re.MULTILINE,
)
_DECISION = re.compile(
    r"\b(?:classif(?:y|ies|ication)|categori[sz]e|which (?:category|of|one|label)|"
    r"(?:yes|true) (?:or|/) ?(?:no|false)|route|router|grader?|assess whether|"
    r"decide (?:whether|if|which)|determine (?:whether|if|which)|"
    r"(?:one|either) of (?:the )?(?:following|these)|pick (?:one|the)|binary score|"
    r"label (?:the|each|it|this)|sentiment)\b|分類|判定|判断",
    re.IGNORECASE,
)
_EXTRACTION = re.compile(r"\b(?:extract|parse|pull out|identify (?:all|the|every))\b|抽出", re.IGNORECASE)


def find(node: Node) -> Node:
    """`node` with what its prompts and parameters lack, each rule once, in the order of the rules."""
    found: dict[str, Finding] = {}
    for call in node.calls:
        subject = _Subject(call)
        for rule in _RULES:
            for finding in rule(subject):
                found.setdefault(finding.rule, finding)
    for finding in run_findings(node, task_of):
        found.setdefault(finding.rule, finding)
    return replace(node, findings=tuple(found[rule] for rule in sorted(found)))


def task_of(call: CallPlace) -> Task | None:
    """The kind of task; None without a hint.

    By the output's schema, else by tools, else by the wording, else by the answers of stored runs.
    """
    return _Subject(call).task


def why_of(call: CallPlace) -> str:
    """What its kind of task was seen from; beside `task_of`."""
    subject = _Subject(call)
    if subject.task == "agent":
        return f"its tools {', '.join(next(model.tools for model in call.models if model.tools))}"
    return "nothing but a text is asked for" if subject.task == "generation" else subject.why


@dataclass(frozen=True)
class _Subject:
    call: CallPlace

    @cached_property
    def text(self) -> str:
        return "\n".join(each.text for each in self.call.prompt)

    @cached_property
    def instruction(self) -> str:
        """The text without what is filled in."""
        return PLACEHOLDER.sub(" ", _BLOCK.sub(" ", self.text))

    @cached_property
    def model(self) -> ModelUse:
        return next(iter(self.call.models), ModelUse())

    @cached_property
    def schema(self) -> str | None:
        return next((model.schema for model in self.call.models if model.schema), None)

    @cached_property
    def task(self) -> Task | None:
        if self.schema:
            return "decision" if any(model.decides for model in self.call.models) else "extraction"
        if any(model.tools for model in self.call.models):
            return "agent"
        if _DECISION.search(self.instruction):
            return "decision"
        if _EXTRACTION.search(self.instruction):
            return "extraction"
        if self.is_choice:
            return "decision"
        return "generation" if self.instruction.strip() else None

    @cached_property
    def is_choice(self) -> bool:
        """Whether stored runs have few different short answers."""
        return self.call.traced is not None and is_choice(self.call.traced.answers)

    @property
    def is_short_answer(self) -> bool:
        return self.task in ("decision", "extraction")

    @property
    def why(self) -> str:
        """What the kind of task was seen from."""
        if self.schema:
            return f"schema {self.schema}"
        by_answers = self.is_choice and not _DECISION.search(self.instruction)
        return "its few different answers" if by_answers and self.task == "decision" else "its wording"


def words(text: str) -> int:
    """How many words; of scripts without spaces two signs count as one."""
    signs = len(_SIGNS.findall(text))
    return len(_WORD.findall(_SIGNS.sub(" ", text))) + signs // 2


def _vague(of: _Subject) -> Iterator[Finding]:
    count = words(of.instruction)
    if not count:
        return
    criterion = _CRITERION.search(of.instruction)
    constrained = criterion or _LIST.search(of.instruction) or _CHOICES.search(of.instruction)
    constrained = constrained or _LENGTH.search(of.instruction) or _FORMAT.search(of.instruction)
    verbs = [verb.lower() for verb in _VAGUE.findall(of.instruction)]
    if count < FEWEST_WORDS and not constrained:
        evidence = f"{count} instruction words, no list, no constraint, no criterion"
    elif len(verbs) >= VAGUE_VERBS and not criterion:
        evidence = f"vague verbs ({', '.join(dict.fromkeys(verbs))}) and no criterion"
    else:
        return
    yield Finding(
        rule="P101",
        message="the instruction is vague",
        evidence=evidence,
        fix="Say what a good answer has and what it must not have, as a list of criteria.",
    )


def _no_examples(of: _Subject) -> Iterator[Finding]:
    shown = _EXAMPLE.search(of.text) or any(each.role == "ai" for each in of.call.prompt)
    if of.text.strip() and of.task == "decision" and not shown:
        yield Finding(
            rule="P102",
            message="a decision without an example",
            evidence=f"a decision by {of.why}; no example in the text, no pair of human and ai messages",
            fix="Add one to three inputs with the right answer for each choice; none of the tested cases.",
        )


def _free_text(of: _Subject) -> Iterator[Finding]:
    if of.text.strip() and of.is_short_answer and not of.schema and not _FORMAT.search(of.instruction):
        yield Finding(
            rule="P103",
            message="the answer is free text",
            evidence=f"{_article(of.task)} by {of.why}; no structured output, no words about the format",
            fix="Use model.with_structured_output(Schema), or say the exact form of the answer.",
        )


def _no_bounds(of: _Subject) -> Iterator[Finding]:
    bounded = _LENGTH.search(of.instruction) or _FORMAT.search(of.instruction)
    if of.text.strip() and of.task == "generation" and not bounded:
        yield Finding(
            rule="P104",
            message="neither length nor format is asked for",
            evidence="a text is generated; no words about its length or format",
            fix="Say how long the answer is to be and in which form, as: at most three sentences.",
        )


def _temperature(of: _Subject) -> Iterator[Finding]:
    model = of.model
    if not of.is_short_answer or _REJECTS_TEMPERATURE.search(model.model or ""):
        return
    value = model.params.get("temperature")
    if _is_number(value) and value > HIGHEST_TEMPERATURE:
        evidence = f"temperature = {value:g} for {_article(of.task)} (by {of.why})"
    elif model.is_settled and "temperature" not in model.params:
        evidence = f"temperature is not set for {_article(of.task)} (by {of.why}): the provider's default"
    else:
        return
    yield Finding(
        rule="P201",
        message="the temperature is high or not set",
        evidence=evidence,
        fix="Set temperature=0 and measure it as a variant.",
    )


def _max_tokens(of: _Subject) -> Iterator[Finding]:
    model = of.model
    given = [name for name in OUTPUT_LIMITS if name in model.params]
    most = model.params[given[0]] if given else None
    if given and of.task == "decision" and _is_number(most) and most > MOST_TOKENS_OF_A_DECISION:
        evidence = f"{given[0]} = {most:g} for a decision"
    elif model.is_settled and not given and not model.is_limited:
        evidence = "no limit on the output is set"
    else:
        return
    yield Finding(
        rule="P202",
        message="the output is not limited, or far above what is needed",
        evidence=evidence,
        fix="Set max_tokens somewhat above the longest right answer.",
    )


def _in_human_message(of: _Subject) -> Iterator[Finding]:
    prompt = of.call.prompt
    if not prompt or any(each.role != "human" for each in prompt):
        return
    count = words(of.instruction)
    if count >= _INSTRUCTION:
        yield Finding(
            rule="P301",
            message="the instructions stand in a human message",
            evidence=f"{count} instruction words in the human message, no system message",
            fix="Put the instructions in a SystemMessage and leave only the input in the HumanMessage.",
        )


def _long(of: _Subject) -> Iterator[Finding]:
    sent = of.call.traced.prompt if of.call.traced else ()
    tokens = tokens_of("\n".join(text for _, text in sent) or of.text)
    if tokens <= LONG_PROMPT:
        return
    first = PLACEHOLDER.search(of.text)
    fixed = tokens_of(of.text[: first.start()] if first else of.text)
    yield Finding(
        rule="P302",
        message="the prompt is long",
        evidence=f"about {tokens:,} tokens; the first {fixed:,} are the same in every call and can be cached",
        fix="Put first what is always the same, so that the provider can cache it; drop what isn't needed.",
    )


def tokens_of(text: str) -> int:
    """About how many tokens a text has: four characters each, one for each sign without spaces."""
    signs = len(_SIGNS.findall(text))
    return signs + (len(text) - signs) // _CHARACTERS_PER_TOKEN


_RULES: tuple[Callable[[_Subject], Iterator[Finding]], ...] = (
    _vague,
    _no_examples,
    _free_text,
    _no_bounds,
    _temperature,
    _max_tokens,
    _in_human_message,
    _long,
)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _article(task: Task | None) -> str:
    return f"an {task}" if task == "extraction" else f"a {task}"
