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


# --- looks ----------------------------------------------------------------------------------------


class Looks:
    """Stands for the controller: counts the looks, and goes on or says that nothing more is needed."""

    def __init__(self, numbers, *, clear_at=None):
        self.numbers = numbers
        self.taken = 0
        self._clear_at = clear_at

    def look(self):
        self.taken += 1
        return max(self.numbers) if self.taken == self._clear_at else self.taken


def looking(config, slots, workers, looks):
    found = SampleScheduling(
        config,
        default=LoadScheduling(config),
        slots=lambda: slots,
        slot_of=lambda worker: worker.slot,
        looks=lambda: looks.numbers,
        look=looks.look,
    )
    for worker in workers:
        found.add_node(worker)
    for worker in workers:
        found.add_node_collection(worker, ids(len(slots)))
    found.schedule()
    return found


def run_ready(found, workers, *, done=()):
    """Each worker runs what it has, but the last of it: that it runs when it knows the next or the end."""
    ran, is_busy = list(done), True
    while is_busy:
        is_busy = False
        for worker in workers:
            left = [index for index in worker.sent if index not in ran]
            if len(left) > 1 or (left and worker.shutting_down):
                ran.append(left[0])
                found.mark_test_complete(worker, left[0])
                is_busy = True
    return ran


NUMBERS = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
SLOTS = [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]


def test_a_worker_gets_what_runs_before_the_look_and_one_more(reports):
    """It runs an item once it knows the next: what it has at the end waits."""
    workers = [Worker(0), Worker(1)]
    looks = Looks(NUMBERS)
    found = looking(reports, SLOTS, workers, looks)
    assert [worker.sent for worker in workers] == [[0, 2, 4], [1, 3, 5]]
    assert not any(worker.shutting_down for worker in workers)
    found.mark_test_complete(workers[0], 0)
    found.mark_test_complete(workers[0], 2)
    found.mark_test_complete(workers[1], 1)
    assert looks.taken == 0
    assert not found.tests_finished
    assert workers[0].sent == [0, 2, 4]
    found.mark_test_complete(workers[1], 3)
    assert looks.taken == 1
    assert [worker.sent[3:] for worker in workers] == [[6, 8], [7, 9]]


def test_each_look_is_taken_once_and_everything_runs(reports):
    """In the order of the looks, then the workers end."""
    workers = [Worker(0), Worker(1)]
    looks = Looks(NUMBERS)
    found = looking(reports, SLOTS, workers, looks)
    ran = run_ready(found, workers)
    assert sorted(ran) == list(range(10))
    assert [NUMBERS[index] for index in ran] == sorted(NUMBERS)
    assert looks.taken == 2
    assert found.tests_finished
    assert all(worker.shutting_down for worker in workers)


def test_what_is_not_needed_is_handed_out_to_be_reported(reports):
    """At once and without further looks."""
    workers = [Worker(0), Worker(1)]
    looks = Looks(NUMBERS, clear_at=1)
    found = looking(reports, SLOTS, workers, looks)
    assert sorted(run_ready(found, workers)) == list(range(10))
    assert looks.taken == 1
    assert found.tests_finished


def test_nobody_ends_while_another_waits_for_a_look(reports):
    """One worker has nothing after the look, the other only one item: it isn't over before the look."""
    workers = [Worker(0), Worker(1)]
    looks = Looks([0, 0, 1])
    found = looking(reports, [0, 1, 0], workers, looks)
    assert [worker.sent for worker in workers] == [[0, 2], [1]]
    assert [worker.shutting_down for worker in workers] == [False, True]
    found.mark_test_complete(workers[0], 0)
    assert looks.taken == 0
    assert not found.tests_finished
    found.mark_test_complete(workers[1], 1)
    assert looks.taken == 1
    assert workers[0].shutting_down
    assert found.tests_finished


def test_items_bound_to_nothing_run_before_the_first_look(reports):
    """They are dealt round at the start: a worker that waits takes nothing else."""
    workers = [Worker(0), Worker(1)]
    looks = Looks([0, 0, 0, 0, 1, 1])
    found = looking(reports, [0, 1, None, None, 0, 1], workers, looks)
    assert [worker.sent for worker in workers] == [[0, 2, 4], [1, 3, 5]]
    assert sorted(run_ready(found, workers)) == list(range(6))


def test_a_replacement_waits_for_the_same_look(reports):
    """It gets the rest of its share up to the look; a worker that died waiting had not run anything."""
    workers = [Worker(0), Worker(1)]
    looks = Looks(NUMBERS)
    found = looking(reports, SLOTS, workers, looks)
    assert found.remove_node(workers[0]) == "test_0"
    heir = Worker(0)
    found.add_node(heir)
    found.add_node_collection(heir, ids(10))
    found.schedule()
    assert heir.sent == [2, 4]
    assert workers[1].sent == [1, 3, 5]
    found.mark_test_complete(heir, 2)
    assert found.remove_node(heir) is None
    second = Worker(0)
    found.add_node(second)
    found.add_node_collection(second, ids(10))
    found.schedule()
    assert second.sent == [4]
    assert sorted(run_ready(found, [second, workers[1]], done=[0, 2])) == list(range(10))
    assert looks.taken == 2


def test_a_look_that_waits_only_for_who_crashed_is_taken_with_the_replacement(reports):
    """The item at which it crashed is over."""
    workers = [Worker(0), Worker(1)]
    looks = Looks([0, 0, 1, 1])
    found = looking(reports, [0, 1, 0, 1], workers, looks)
    found.mark_test_complete(workers[1], 1)
    assert found.remove_node(workers[0]) == "test_0"
    heir = Worker(0)
    found.add_node(heir)
    found.add_node_collection(heir, ids(4))
    found.schedule()
    assert looks.taken == 1
    assert sorted(run_ready(found, [heir, workers[1]], done=[0, 1])) == [0, 1, 2, 3]
