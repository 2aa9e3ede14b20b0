"""What an xdist worker sends while an item waits, and what the controller takes off the reports."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_promptune.core.progress import Progress
from pytest_promptune.plugin.distribution import (
    NEWS_AFTER_S,
    REPEAT_AFTER_S,
    TELL_AFTER_S,
    Messenger,
    take_in,
)


class FakeSession:
    """Has what a messenger asks for."""

    def __init__(self) -> None:
        self.finished: list[str] = []
        self.taken: list[Any] = []
        self.stalled_s: float | None = None
        self.progress = Progress(done=0, total=0, in_flight=0)
        self.slot = 1
        self.models: dict[str, list[str]] = {}
        #: What it has of samples.
        self.samples = self

    def packed(self) -> str | None:
        packed = ",".join(self.finished)
        self.finished.clear()
        return packed or None

    def knowledge(self) -> dict[str, Any]:
        return {"notes": []}

    def know(self, knowledge: dict[str, Any]) -> None:
        self.taken.append(knowledge)

    def know_progress(self, process: str, slot: int, progress: Progress) -> None:
        self.taken.append((process, slot, progress))

    def know_stalled(self, stalled_s: float) -> None:
        self.taken.append(stalled_s)

    def new_models(self) -> dict[str, list[str]]:
        models, self.models = self.models, {}
        return models

    def know_models(self, found: dict[str, list[str]]) -> None:
        self.taken.append(found)

    def unpack(self, packed: str) -> None:
        self.taken.append(packed)


class Worker:
    """A messenger, its clock, and an item whose reports are kept."""

    def __init__(self) -> None:
        self.now = 100.0
        self.session = FakeSession()
        self.sent: list[Any] = []
        session: Any = self.session
        self.messenger = Messenger(lambda: session, clock=lambda: self.now)
        ihook = SimpleNamespace(pytest_runtest_logreport=lambda report: self.sent.append(report))
        self.item: Any = SimpleNamespace(
            nodeid="test_m.py::test_a", location=("test_m.py", 0, "a"), ihook=ihook
        )

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.messenger.meanwhile(self.item)


@pytest.fixture
def worker() -> Worker:
    return Worker()


def report() -> Any:
    return SimpleNamespace()


def test_what_has_finished_is_sent_after_a_while(worker):
    """Once a second at most, all at once, and nothing where nothing has finished."""
    worker.session.finished = ["a", "b"]
    worker.wait(TELL_AFTER_S / 2)
    assert worker.sent == []
    worker.wait(TELL_AFTER_S / 2)
    worker.session.finished = ["c"]
    worker.wait(TELL_AFTER_S / 2)
    assert [sent.promptune_sample for sent in worker.sent] == ["a,b"]
    worker.wait(TELL_AFTER_S)
    worker.wait(TELL_AFTER_S)
    assert [sent.promptune_sample for sent in worker.sent] == ["a,b", "c"]


def test_an_items_report_spares_another_one(worker):
    """The second begins anew with each report: a fast suite has no others."""
    worker.now += TELL_AFTER_S
    worker.messenger.tell(report())
    worker.session.finished = ["a"]
    worker.wait(TELL_AFTER_S / 2)
    assert worker.sent == []


def test_the_first_report_carries_the_knowledge(worker):
    """The controller can't open the log without it; once is enough."""
    worker.session.finished = ["a"]
    worker.wait(TELL_AFTER_S)
    last = report()
    worker.messenger.tell(last)
    assert json.loads(worker.sent[0].promptune_knowledge) == {"notes": []}
    assert not hasattr(last, "promptune_knowledge")


def test_an_app_that_blocks_the_loop_is_told_once(worker):
    """As soon as it is known, and again when it was longer; the controller hears it."""
    told: list[Any] = []
    for stalled_s in (None, 4.0, 4.0, 9.0):
        worker.session.stalled_s = stalled_s
        worker.messenger.tell(last := report())
        told.append(getattr(last, "promptune_stalled_s", None))
    assert told == [None, 4.0, None, 9.0]
    controller: Any = FakeSession()
    take_in(last, controller)
    assert controller.taken == [9.0]
    assert not hasattr(last, "promptune_stalled_s")


def test_it_reads_as_a_setup_that_passed(worker):
    """pytest and its plugins show and count nothing of such a report of the item."""
    worker.session.finished = ["a"]
    worker.wait(TELL_AFTER_S)
    (sent,) = worker.sent
    assert (sent.nodeid, sent.when, sent.outcome) == (worker.item.nodeid, "setup", "passed")
    assert (sent.duration, sent.longrepr, sent.sections) == (0, None, [])


def test_a_stopped_worker_repeats_what_it_sent_just_now(worker):
    """The controller may have been interrupted while it took it in; what is older it has."""
    worker.session.finished.append("[old]")
    worker.wait(2.0)
    worker.now += 10.0
    worker.session.finished.append("[new]")
    worker.wait(2.0)
    worker.session.finished.append("[last]")
    told = worker.messenger.last_word(is_stopped=True)
    assert told["promptune_sample"] == "[new, last]"
    assert "promptune_knowledge" not in told


def test_a_stopped_worker_repeats_the_knowledge_it_sent_just_now(worker):
    """Without it the controller could not say what the samples are of."""
    worker.session.finished.append("[new]")
    worker.wait(2.0)
    told = worker.messenger.last_word(is_stopped=True)
    assert told["promptune_sample"] == "[new]"
    assert json.loads(told["promptune_knowledge"]) == {"notes": []}


def test_the_last_word_of_a_session_that_ends_by_itself_is_what_is_new(worker):
    """Nothing is repeated there, and nothing said where nothing is left."""
    worker.session.finished.append("[new]")
    worker.wait(2.0)
    assert worker.messenger.last_word() == {}
    worker.session.finished.append("[last]")
    assert worker.messenger.last_word()["promptune_sample"] == "[last]"


def test_the_last_word_has_the_last_progress(worker):
    """What was spent since the last news belongs to the session; what is known isn't said again."""
    worker.session.progress = Progress(done=3, total=9, in_flight=0, cost_usd=7.0)
    told = worker.messenger.last_word()
    told["node"] = SimpleNamespace(gateway=SimpleNamespace(id="gw1"))
    controller: Any = FakeSession()
    take_in(SimpleNamespace(**told), controller)
    assert ("gw1", 1, worker.session.progress) in controller.taken
    assert worker.messenger.last_word() == {}


def test_models_are_told_once(worker):
    """Which chat models apps hold goes along with the first report after they were met."""
    worker.session.models = {"bot": ["Acme acme-1"]}
    first, second = report(), report()
    worker.messenger.tell(first)
    worker.messenger.tell(second)
    controller: Any = FakeSession()
    take_in(first, controller)
    take_in(second, controller)
    assert controller.taken.count({"bot": ["Acme acme-1"]}) == 1


def test_the_controller_takes_it_off(worker):
    """pytest keeps all reports to the end: outputs must not stay with them. Knowledge comes first."""
    worker.session.finished = ["a"]
    worker.wait(TELL_AFTER_S)
    (sent,) = worker.sent
    controller: Any = FakeSession()
    take_in(sent, controller)
    assert controller.taken == [{"notes": []}, "a"]
    assert not [name for name in vars(sent) if name.startswith("promptune")]
    take_in(report(), controller)
    assert len(controller.taken) == 2


# --- progress -------------------------------------------------------------------------------------


def progress_of(report: Any) -> list[Any] | None:
    return getattr(report, "promptune_progress", None)


def test_news_are_told_while_an_item_waits(worker):
    """Now and then, and only what changed; the time alone is no news."""
    worker.session.progress = Progress(done=0, total=9, in_flight=4)
    worker.wait(0)
    worker.session.progress = Progress(done=1, total=9, in_flight=4, seconds=1)
    worker.wait(NEWS_AFTER_S / 2)
    assert len(worker.sent) == 1
    worker.wait(NEWS_AFTER_S)
    worker.session.progress = Progress(done=1, total=9, in_flight=4, seconds=2)
    worker.wait(NEWS_AFTER_S)
    assert [progress_of(sent)[:4] for sent in worker.sent] == [[1, 0, 9, 4], [1, 1, 9, 4]]


def test_a_long_wait_is_told_again(worker):
    """The controller shows the time that is left, and writes a line to a log from time to time."""
    worker.session.progress = Progress(done=1, total=9, in_flight=4)
    for _ in range(20):
        worker.wait(REPEAT_AFTER_S / 4)
    assert len(worker.sent) == 5


def test_reports_of_items_carry_them(worker):
    """Not each: a fast suite has many. The last word is always said."""
    told = []
    for done in range(1, 10):
        worker.now += NEWS_AFTER_S / 4
        worker.session.progress = Progress(done=done, total=9, in_flight=9 - done)
        worker.messenger.tell(last := report())
        told.append(progress_of(last) and progress_of(last)[1])
    assert told == [1, None, None, None, 5, None, None, None, 9]
    worker.now += REPEAT_AFTER_S
    worker.messenger.tell(last := report())
    assert progress_of(last) is None
    worker.session.progress = Progress(done=10, total=10, in_flight=0)
    worker.messenger.tell(last := report())
    worker.session.progress = Progress(done=11, total=11, in_flight=0)
    worker.messenger.tell(last := report())
    assert progress_of(last)[1] == 11


def test_the_controller_hears_of_progress(worker):
    """With whose it is and of which part; taken off the report."""
    worker.session.progress = Progress(done=3, total=9, in_flight=4, cost_usd=0.1)
    worker.wait(0)
    (sent,) = worker.sent
    sent.node = SimpleNamespace(gateway=SimpleNamespace(id="gw5"))
    controller: Any = FakeSession()
    take_in(sent, controller)
    assert controller.taken == [{"notes": []}, ("gw5", 1, worker.session.progress)]
    assert not [name for name in vars(sent) if name.startswith("promptune")]
