"""How the controller hands out items, with workers that are doubles."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("xdist")
from xdist.scheduler import LoadScheduling

from pytest_promptune.plugin.scheduling import SampleScheduling


class Worker:
    """Takes in what it is sent."""

    def __init__(self, slot):
        self.slot = slot
        self.gateway = SimpleNamespace(id=f"gw{slot}")
        self.shutting_down = False
        self.sent = []

    def send_runtest_some(self, indices):
        assert not self.shutting_down, "sent after the shutdown"
        self.sent += indices

    def shutdown(self):
        self.shutting_down = True


class Reports:
    """Stands for the controller's config."""

    def __init__(self):
        self.seen = []
        self.hook = SimpleNamespace(pytest_collectreport=lambda report: self.seen.append(report))
        self.option = SimpleNamespace(maxschedchunk=None)

    def getoption(self, name):
        return getattr(self.option, name)

    def getvalue(self, name):
        return ["popen", "popen"] if name == "tx" else None


@pytest.fixture
def reports():
    return Reports()


def ids(count):
    return [f"test_{n}" for n in range(count)]


def scheduling(config, slots, workers, *, collections=None):
    """A scheduler whose workers have collected."""
    found = SampleScheduling(
        config,
        default=LoadScheduling(config),
        slots=lambda: slots,
        slot_of=lambda worker: worker.slot,
    )
    for worker in workers:
        found.add_node(worker)
    for number, worker in enumerate(workers):
        assert not found.collection_is_completed
        found.add_node_collection(worker, collections[number] if collections else ids(len(slots or "1234")))
    assert found.collection_is_completed
    found.schedule()
    return found


def run_all(found, workers):
    """Every worker runs what it has been sent, in order; gives who ran what."""
    ran = []
    for worker in workers:
        done = 0
        while done < len(worker.sent):
            ran.append((worker.slot, worker.sent[done]))
            found.mark_test_complete(worker, worker.sent[done])
            done += 1
    return ran


def test_each_slot_goes_to_its_worker_at_once(reports):
    """Whatever the order in which the workers came up; all know at once that nothing follows."""
    workers = [Worker(1), Worker(0)]
    found = scheduling(reports, [0, 0, 1, 1, 0], workers)
    assert [worker.sent for worker in workers] == [[2, 3], [0, 1, 4]]
    assert all(worker.shutting_down for worker in workers)
    assert found.has_pending
    assert not found.tests_finished
    run_all(found, workers)
    assert found.tests_finished
    assert not found.has_pending
    assert [found.remove_node(worker) for worker in workers] == [None, None]
    assert found.nodes == []


def test_free_items_go_to_whoever_has_time(reports):
    """Each item is run exactly once, and a worker that has nothing of its own helps."""
    workers = [Worker(0), Worker(1)]
    found = scheduling(reports, [0, None, 0, *[None] * 20], workers)
    ran = run_all(found, [workers[1], workers[0]])
    assert sorted(index for _, index in ran) == list(range(23))
    assert {slot for slot, index in ran if index in (0, 2)} == {0}
    assert len({slot for slot, index in ran}) == 2


def test_without_slots_xdist_decides(reports):
    """No promptune tests: what xdist's scheduler would send, and nothing else."""
    workers = [Worker(0), Worker(1)]
    found = scheduling(reports, None, workers)
    plain = [Worker(0), Worker(1)]
    xdist = LoadScheduling(reports)
    for worker in plain:
        xdist.add_node(worker)
        xdist.add_node_collection(worker, ids(4))
    xdist.schedule()
    assert [worker.sent for worker in workers] == [worker.sent for worker in plain]
    assert found.has_pending == xdist.has_pending
    assert found.tests_finished == xdist.tests_finished
    assert len(found.nodes) == 2


def test_a_replacement_takes_over(reports):
    """The item at which a worker crashed is named and not run again; its others are."""
    workers = [Worker(0), Worker(1)]
    found = scheduling(reports, [0, 1, 0, 1, 0], workers)
    found.mark_test_complete(workers[0], 0)
    assert found.remove_node(workers[0]) == "test_2"
    assert found.first_left(0) == 4
    assert not found.tests_finished
    heir = Worker(0)
    found.add_node(heir)
    found.add_node_collection(heir, ids(5))
    found.schedule()
    assert heir.sent == [4]
    run_all(found, [heir, workers[1]])
    assert found.tests_finished


def test_a_replacement_that_collects_other_tests_is_an_error(reports):
    """What nobody can run is reported as failed, not forgotten."""
    workers = [Worker(0), Worker(1)]
    found = scheduling(reports, [0, 1, 0, 1, 0], workers)
    assert found.remove_node(workers[0]) == "test_0"
    heir = Worker(0)
    found.add_node(heir)
    found.add_node_collection(heir, ids(3))
    found.schedule()
    assert heir.sent == []
    assert heir.shutting_down
    assert "2 tests were not run" in reports.seen[0].longrepr
    assert reports.seen[0].failed
    run_all(found, [workers[1]])
    assert found.tests_finished


def test_different_collections_are_left_to_xdist(reports):
    """It names the differences, and nothing runs."""
    workers = [Worker(0), Worker(1)]
    scheduling(reports, [0, 1], workers, collections=[["test_a", "test_b"], ["test_a", "test_c"]])
    assert [worker.sent for worker in workers] == [[], []]
    assert "Different tests were collected" in str(reports.seen[0].longrepr)


def test_items_given_back_run_elsewhere(reports):
    """Those that a worker returns, and one that a plugin wants to run again."""
    workers = [Worker(0), Worker(1)]
    found = scheduling(reports, [0, 0, 1, *[None] * 40], workers)
    found.remove_pending_tests_from_node(workers[0], [1])
    found.mark_test_pending("test_0")
    ran = [index for _, index in run_all(found, [workers[1]])]
    assert 0 in ran
    assert 1 in ran
