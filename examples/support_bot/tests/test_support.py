"""Does the bot sort customers' messages into the right intents?"""

import os
from pathlib import Path

import pytest
from langgraph.graph.state import CompiledStateGraph
from support_bot import build_graph

from pytest_promptune import Case, Sample, load_cases

HERE = Path(__file__).parent
#: The prompts were tuned on tickets.json; SUPPORT_BOT_CASES=tickets_heldout.json has other messages.
TICKETS = HERE / os.environ.get("SUPPORT_BOT_CASES", "tickets.json")

pytestmark = pytest.mark.promptune(app="support_bot", runs=3)


@pytest.fixture(
    params=load_cases(TICKETS, input_key="message"), ids=lambda case: f"{case.id}-{case.tags['difficulty']}"
)
def ticket(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture(scope="session")
def support_bot() -> CompiledStateGraph:
    return build_graph(max_retries=0)  # promptune retries, and counts: the client's retries would multiply


def test_intent(ticket: Case, sample: Sample) -> None:
    sample.classify(predicted=sample.output["intent"], expected=ticket.expected["intent"])


@pytest.mark.promptune(gate=["test_reply"])  # the number of words is reported, not gated
def test_reply(ticket: Case, sample: Sample) -> None:  # noqa: ARG001 - it says which cases to run
    assert "@" not in sample.output["reply"]  # never invent a mail address
    sample.score("words", len(sample.output["reply"].split()), direction="lower")
