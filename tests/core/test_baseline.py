"""Baseline files as text: what stands in them, what a new recording keeps, and every kind of damage."""

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_promptune.core.baseline import (
    Baseline,
    BaselineMetric,
    Recorded,
    dumps,
    loads,
    merged,
    obstacle_to_times,
    same,
)
from pytest_promptune.core.errors import BaselineError

FAST = settings(max_examples=60, deadline=None, database=None)
WHERE = "tests/__promptune__/test_m.main.json"

RECORDED = Recorded(
    at="2026-11-22T10:00:00Z",
    commit="abc1234",
    dirty=False,
    runs=3,
    promptune="0.1.0",
    models=("m1", "m2"),
    prompts={"intent.j2": "sha256:1"},
)
BINARY = BaselineMetric(direction="higher", unit=None, kind="binary")
SECONDS = BaselineMetric(direction="lower", unit="s", kind="latency")
BASELINE = Baseline(
    recorded=RECORDED,
    cases={"c2": "sha256:2", "c1": "sha256:1"},
    metrics={"test_b": BINARY, "bot::latency_s": SECONDS},
    scores={
        "test_b": {"c2": [1.0, 0.0, None], "c1": [1.0, 1.0, 1.0]},
        "bot::latency_s": {"c1": [0.5, 1.25, 123457.0], "c2": [None, 0.1, 0.2]},
    },
)


def six_digits(value: float) -> float:
    return float(f"{value:.6g}")


VALUES = st.none() | st.floats(allow_nan=False, allow_infinity=False).map(six_digits)
IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
METRICS = st.builds(
    BaselineMetric,
    direction=st.sampled_from(["higher", "lower"]),
    unit=st.none() | IDS,
    kind=st.sampled_from(["binary", "score", "latency", "cost"]),
)


@st.composite
def baselines(draw: Any) -> Baseline:
    cases = draw(st.dictionaries(IDS, IDS, min_size=1, max_size=4))
    metrics = draw(st.dictionaries(IDS, METRICS, max_size=4))
    rows = st.dictionaries(st.sampled_from(sorted(cases)), st.lists(VALUES, max_size=4), max_size=4)
    scores = {metric: draw(rows) for metric in metrics if draw(st.booleans())}
    recorded = Recorded(
        at=draw(IDS),
        commit=draw(st.none() | IDS),
        dirty=draw(st.none() | st.booleans()),
        runs=draw(st.integers(1, 99)),
        promptune=draw(IDS),
        concurrency=draw(st.none() | st.integers(1, 99)),
        models=tuple(sorted(draw(st.lists(IDS, max_size=3)))),
        prompts=draw(st.dictionaries(IDS, IDS, max_size=3)),
    )
    return Baseline(recorded=recorded, cases=cases, metrics=metrics, scores=scores)


# --- the text -------------------------------------------------------------------------------------


@FAST
@given(baselines())
def test_round_trip(baseline):
    """What is written is read back, whatever the ids, and written again it is the same text."""
    text = dumps(baseline)
    assert loads(text, where=WHERE) == baseline
    assert dumps(loads(text, where=WHERE)) == text


def test_the_text():
    """Sorted keys, one line per metric and case, short numbers, a newline at the end."""
    assert dumps(BASELINE) == (
        """\
{
  "cases": {
    "c1": "sha256:1",
    "c2": "sha256:2"
  },
  "format": 1,
  "metrics": {
    "bot::latency_s": {"direction": "lower", "kind": "latency", "unit": "s"},
    "test_b": {"direction": "higher", "kind": "binary", "unit": null}
  },
  "recorded": {
    "at": "2026-11-22T10:00:00Z",
    "commit": "abc1234",
    "dirty": false,
    "models": ["m1", "m2"],
    "prompts": {"intent.j2": "sha256:1"},
    "promptune": "0.1.0",
    "runs": 3
  },
  "scores": {
    "bot::latency_s": {
      "c1": [0.5, 1.25, 123457],
      "c2": [null, 0.1, 0.2]
    },
    "test_b": {
      "c1": [1, 1, 1],
      "c2": [1, 0, null]
    }
  }
}
"""
    )


def test_order_does_not_matter():
    """The same contents in another order are the same text: a diff shows what changed and nothing else."""
    turned = Baseline(
        recorded=replace(RECORDED, models=("m2", "m1")),
        cases=dict(reversed(BASELINE.cases.items())),
        metrics=dict(reversed(BASELINE.metrics.items())),
        scores={m: dict(reversed(rows.items())) for m, rows in reversed(BASELINE.scores.items())},
    )
    assert dumps(turned) == dumps(BASELINE)


def test_a_changed_case_changes_one_line():
    """One case that got worse is one line in the review."""
    scores = {**BASELINE.scores, "test_b": {**BASELINE.scores["test_b"], "c1": [0.0, 1.0, 1.0]}}
    before, after = dumps(BASELINE).splitlines(), dumps(replace(BASELINE, scores=scores)).splitlines()
    assert [new for old, new in zip(before, after, strict=True) if old != new] == ['      "c1": [0, 1, 1],']


def test_nothing_is_escaped_that_people_read():
    """Ids of other scripts stand in the file as they are."""
    baseline = replace(BASELINE, cases={'größe 日本 "x"': "h"}, scores={}, metrics={})
    assert '"größe 日本 \\"x\\"": "h"' in dumps(baseline)


def test_empty_baseline():
    """A baseline without metrics has a text, too."""
    empty = Baseline(recorded=RECORDED, cases={}, metrics={}, scores={})
    assert loads(dumps(empty), where=WHERE) == empty


def test_nan_is_never_written():
    """NaN is not JSON; a file with it could not be read again."""
    with pytest.raises(ValueError, match="JSON"):
        dumps(replace(BASELINE, scores={"test_b": {"c1": [float("nan")]}}))


def test_whole_numbers_beyond_the_exact_ones():
    """Large values keep their six digits instead of turning into a long integer."""
    baseline = replace(BASELINE, scores={"test_b": {"c1": [1.5e300, -3.0, 123457000.0]}})
    assert '"c1": [1.5e+300, -3, 123457000]' in dumps(baseline)


# --- merging --------------------------------------------------------------------------------------


def new(**changes: Any) -> Baseline:
    values: dict[str, Any] = {
        "recorded": replace(RECORDED, at="later", runs=5),
        "cases": {"c1": "sha256:1"},
        "metrics": {"test_b": BINARY},
        "scores": {"test_b": {"c1": [0.0]}},
        **changes,
    }
    return Baseline(**values)


def test_the_first_recording_is_taken_as_it_is():
    """Nothing to merge with."""
    assert merged(None, BASELINE) is BASELINE


def test_what_ran_replaces_and_the_rest_stays():
    """-k leaves other tests and other cases alone."""
    found = merged(BASELINE, new())
    assert found.scores == {
        "test_b": {"c1": [0.0], "c2": [1.0, 0.0, None]},
        "bot::latency_s": BASELINE.scores["bot::latency_s"],
    }
    assert found.cases == BASELINE.cases
    assert found.metrics == BASELINE.metrics
    assert found.recorded.at == "later"


def test_new_cases_and_metrics_are_added():
    """A new test and a new case join the old ones."""
    found = merged(
        BASELINE, new(cases={"c3": "sha256:3"}, metrics={"test_c": BINARY}, scores={"test_c": {"c3": [1.0]}})
    )
    assert set(found.cases) == {"c1", "c2", "c3"}
    assert found.scores["test_c"] == {"c3": [1.0]}
    assert found.scores["test_b"] == BASELINE.scores["test_b"]


def test_scores_of_a_changed_case_are_dropped():
    """What was measured of the old input must not stand under the new hash."""
    found = merged(BASELINE, new(cases={"c1": "sha256:new"}))
    assert found.scores == {
        "test_b": {"c1": [0.0], "c2": [1.0, 0.0, None]},
        "bot::latency_s": {"c2": [None, 0.1, 0.2]},
    }
    assert found.cases["c1"] == "sha256:new"


@pytest.mark.parametrize(
    "metric",
    [replace(BINARY, direction="lower"), replace(BINARY, kind="score"), replace(BINARY, unit="words")],
    ids=repr,
)
def test_another_measure_under_an_old_name_keeps_nothing(metric):
    """Values of another kind, direction or unit don't mix with the new ones."""
    found = merged(BASELINE, new(metrics={"test_b": metric}))
    assert found.metrics["test_b"] == metric
    assert found.scores["test_b"] == {"c1": [0.0]}


def test_a_metric_without_scores_leaves_no_empty_row():
    """A metric all of whose cases changed has no scores any more."""
    only = replace(BASELINE, cases={"c1": "h"}, scores={"bot::latency_s": {"c1": [1.0]}})
    found = merged(only, new())
    assert "bot::latency_s" not in found.scores


def test_times_of_two_loads_have_none():
    """Where times measured at another concurrency stay, no concurrency is true of all of them."""
    at_16 = replace(BASELINE, recorded=replace(RECORDED, concurrency=16))
    one_case = {"test_b": {"c1": [1.0]}, "bot::latency_s": {"c1": [1.0]}}
    part = replace(BASELINE, recorded=replace(RECORDED, concurrency=4), scores=one_case)
    assert merged(at_16, part).recorded.concurrency is None
    assert merged(at_16, replace(part, scores=BASELINE.scores)).recorded.concurrency == 4
    same_load = replace(part, recorded=at_16.recorded)
    assert merged(at_16, same_load).recorded.concurrency == 16


@FAST
@given(baselines(), baselines())
def test_merging_leaves_its_arguments_alone_and_gives_a_readable_file(old, other):
    """A merge can be written and read, contains all that is new, and is done once."""
    before = copy.deepcopy((old, other))
    found = merged(old, other)
    assert (old, other) == before
    assert loads(dumps(found), where=WHERE) == found
    for metric, rows in other.scores.items():
        for case, values in rows.items():
            assert found.scores[metric][case] == values
    assert same(found, merged(found, other))


# --- the load times were measured under -----------------------------------------------------------


def test_a_file_may_not_say_its_concurrency():
    """Files of before have no such key, and are written without it as they were."""
    text = dumps(BASELINE)
    assert "concurrency" not in text
    assert loads(text, where=WHERE).recorded.concurrency is None
    assert '"concurrency": 16' in dumps(replace(BASELINE, recorded=replace(RECORDED, concurrency=16)))


@pytest.mark.parametrize(
    ("then", "obstacle"),
    [
        (4, ""),
        (16, "Recorded with 16 samples in flight, measured now with 4: not comparable. Measure with "),
        (None, "Recorded with an unknown number of samples in flight, measured now with 4: not comparable."),
    ],
)
def test_times_are_comparable_at_one_concurrency(then, obstacle):
    """Otherwise a sentence says what differs and what to do."""
    found = obstacle_to_times(replace(RECORDED, concurrency=then), 4)
    assert found.startswith(obstacle)
    assert bool(found) == bool(obstacle)


# --- the same -------------------------------------------------------------------------------------


def test_nothing_is_the_same_as_no_file():
    """Without a file there is something to write."""
    assert not same(None, BASELINE)


def test_time_and_commit_alone_are_no_change():
    """When, at which commit and with which release it was measured are no reason to touch the file."""
    later = replace(RECORDED, at="later", commit="fff", dirty=True, promptune="9.9")
    assert same(BASELINE, replace(BASELINE, recorded=later))


def test_measured_times_alone_are_no_change():
    """Latencies differ in every session."""
    scores = {**BASELINE.scores, "bot::latency_s": {"c1": [9.0], "c2": [9.0]}}
    assert same(BASELINE, replace(BASELINE, scores=scores))


def test_another_load_alone_is_no_change():
    """The concurrency matters to measured times only; a file that doesn't know it yet learns it."""
    at_16, at_4 = (replace(BASELINE, recorded=replace(RECORDED, concurrency=n)) for n in (16, 4))
    assert same(at_16, at_4)
    assert same(at_16, BASELINE)
    assert not same(BASELINE, at_16)


@pytest.mark.parametrize(
    "changes",
    [
        {"recorded": replace(RECORDED, runs=4)},
        {"recorded": replace(RECORDED, models=("m1",))},
        {"recorded": replace(RECORDED, prompts={"intent.j2": "sha256:2"})},
        {"cases": {"c1": "sha256:1", "c2": "sha256:x"}},
        {"metrics": {**BASELINE.metrics, "test_b": replace(BINARY, unit="x")}},
        {"scores": {**BASELINE.scores, "test_b": {**BASELINE.scores["test_b"], "c1": [1.0, 1.0, 0.0]}}},
        {"scores": {**BASELINE.scores, "bot::latency_s": {"c1": [0.5, 1.25, 123457.0]}}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_anything_else_is_a_change(changes):
    """Scores, cases, metrics, runs, models and prompts are what a reviewer should see."""
    assert not same(BASELINE, replace(BASELINE, **changes))


def test_same_after_reading():
    """What was written compares as the same after it was read."""
    assert same(loads(dumps(BASELINE), where=WHERE), BASELINE)


# --- damage ---------------------------------------------------------------------------------------


def damaged(text: str) -> str:
    with pytest.raises(BaselineError) as caught:
        loads(text, where=WHERE)
    message = str(caught.value)
    assert message.startswith(WHERE)
    assert "--promptune-baseline" in message
    return message


@pytest.mark.parametrize("text", ["", " ", "{", "nonsense", '{"format": 1,}', "{}{}", "\ufeff{}"], ids=repr)
def test_no_json(text):
    """What is no JSON is told with its line and the cure."""
    assert "version control" in damaged(text)


def test_line_of_the_damage():
    """The message says in which line reading failed."""
    text = dumps(BASELINE).replace('"c1": [0.5, 1.25, 123457],', '"c1": [0.5, 1.25, 123457')
    line = text[: text.index('"c2": [null')].count("\n") + 1
    assert damaged(text).startswith(f"{WHERE}:{line}: not a baseline file")


def test_unfinished_merge():
    """Conflict marks are recognised."""
    text = dumps(BASELINE).replace('"test_b": {', '<<<<<<< HEAD\n    "test_b": {', 1)
    assert "unfinished merge" in damaged(text)


@pytest.mark.parametrize("found", [None, 0, "1", True, [1], 1.5], ids=repr)
def test_other_formats(found):
    """Another format version is named, with the one that is read."""
    data = json.loads(dumps(BASELINE))
    data["format"] = found
    assert f"format {found!r}, this pytest-promptune reads 1" in damaged(json.dumps(data))


@pytest.mark.parametrize("text", ["[]", "3", "null", '"x"', "{}"])
def test_other_json(text):
    """JSON that is no baseline has no format."""
    assert "format None" in damaged(text)


def test_a_newer_format_asks_for_an_update():
    """A file of a later release isn't recorded over: it asks for the release."""
    with pytest.raises(BaselineError) as caught:
        loads('{"format": 2}', where=WHERE)
    assert str(caught.value).startswith(WHERE)
    assert "Update pytest-promptune" in str(caught.value)
    assert "Record the baseline again" not in str(caught.value)


def places() -> list[tuple[str, ...]]:
    """Every place in the file's data that can be wrong."""
    return [
        ("cases",), ("metrics",), ("recorded",), ("scores",), ("cases", "c1"), ("metrics", "test_b"),
        ("metrics", "test_b", "direction"), ("metrics", "test_b", "kind"), ("scores", "test_b"),
        ("scores", "test_b", "c1"), ("recorded", "at"), ("recorded", "runs"), ("recorded", "promptune"),
        ("recorded", "models"), ("recorded", "prompts"),
    ]  # fmt: skip


@pytest.mark.parametrize("bad", ["missing", None, 3.5, True, "text", [["x"]], {"x": [None, "y"]}], ids=repr)
@pytest.mark.parametrize("place", places(), ids="/".join)
def test_wrong_values(place, bad):
    """Whatever stands where something else belongs, or is missing, is told with the path and the cure."""
    data = json.loads(dumps(BASELINE))
    *outer, last = place
    table = data
    for key in outer:
        table = table[key]
    if bad == "missing":
        del table[last]
        if place in (("scores", "test_b"), ("scores", "test_b", "c1")):
            loads(json.dumps(data), where=WHERE)  # a metric or case without scores is no damage
            return
    elif isinstance(bad, type(table[last])) and place[0] in ("recorded", "cases") and len(place) == 2:
        return  # any text, list or table will do there
    else:
        table[last] = bad
    assert "damaged: " in damaged(json.dumps(data))


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "true", '"1"', "[1]"])
def test_values_that_are_no_scores(value):
    """Scores are numbers and nulls; NaN and infinity are neither."""
    text = dumps(BASELINE).replace("[1, 0, null]", f"[1, {value}, null]")
    assert "test_b" in damaged(text)


@pytest.mark.parametrize("number", ["1" + "0" * 400, "-1" + "0" * 400, "1" + "0" * 5000], ids=len)
def test_numbers_that_no_float_holds(number):
    """An absurd integer is damage, not a crash."""
    damaged(dumps(BASELINE).replace("[1, 0, null]", f"[1, {number}, null]"))


def test_deeply_nested_json():
    """A file that is nested absurdly is damage, not a crash."""
    damaged("[" * 100_000)


def test_scores_of_what_is_not_described():
    """Scores of an unknown metric or case are told by name."""
    data = json.loads(dumps(BASELINE))
    del data["metrics"]["test_b"]
    assert "'test_b'" in damaged(json.dumps(data))
    data = json.loads(dumps(BASELINE))
    data["scores"]["test_b"]["c9"] = [1]
    assert "'c9'" in damaged(json.dumps(data))


def test_unknown_keys_are_left_to_later_releases():
    """A key that this release doesn't know is no damage."""
    data = json.loads(dumps(BASELINE))
    data["note"] = data["recorded"]["note"] = data["metrics"]["test_b"]["note"] = "x"
    assert loads(json.dumps(data), where=WHERE) == loads(dumps(BASELINE), where=WHERE)


def test_a_key_that_stands_twice_is_damage():
    """A careless merge leaves a case twice in one metric; which of them counts must not be guessed."""
    text = dumps(BASELINE).replace('"c1": [1, 1, 1],', '"c1": [0, 0, 0],\n      "c1": [1, 1, 1],')
    damaged(text)
