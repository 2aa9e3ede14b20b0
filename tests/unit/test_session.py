"""The order of work: plan, samples, scores, end."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2
import pytest

from pytest_promptune.core.errors import BaselineError, CaseError, PromptuneError, SettingsError, VariantError
from pytest_promptune.core.model import CURRENT, Case, Variant
from pytest_promptune.core.plan import Marks, PlannedItem
from pytest_promptune.core.results import result_of
from pytest_promptune.core.scoring import Sample
from pytest_promptune.session import Session
from pytest_promptune.settings import DEFAULT_RUNS, Settings

ENV = jinja2.Environment(loader=jinja2.DictLoader({"intent.j2": "Classify: {{ q }}"}), autoescape=False)
SPEC = f"{__name__}:ENV"
CASES = tuple(Case(id=f"c{i}", input={"q": i}) for i in range(3))


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Callable[..., Session]]:
    made: list[Session] = []

    def make(more: Callable[[], Iterable[Variant]] = tuple, **settings: Any) -> Session:
        asked = Settings(**{"report": (), "json": None, **settings})
        made.append(Session(asked, root=tmp_path, more_variants=more))
        return made[-1]

    yield make
    for session in made:
        session.close()


def write(root: Path, name: str, text: str) -> None:
    path = root / "prompts" / "variants" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def names(session: Session) -> list[str]:
    return [variant.name for variant in session.variants]


def items(session: Session, *, test: str = "test_a", **marks: Any) -> list[PlannedItem]:
    """The items of one test, as collection makes them."""
    found = Marks(**{"app": "bot", **marks})
    return [
        PlannedItem(
            nodeid=f"test_m.py::{test}[{case}-{cell}]",
            module="test_m.py",
            test=test,
            metric=found.metric or test,
            marks=found,
            cell=cell,
            case=case,
        )
        for cell in session.cells(found)
        for case in CASES
    ]


def run(
    session: Session, planned: list[PlannedItem], app: Callable[[Any], Any], check: Callable[[Any], bool]
) -> None:
    """All items one after the other, as the plugin runs them."""
    for item in planned:
        record = session.samples.of(item, item.case, app).record
        seen = Sample(case=item.case, variant=session.variant(item.cell.variant), record=record)
        outcome = "passed" if record.error is None and check(record.output) else "missed"
        outcome = "errored" if record.error is not None else outcome
        session.record(
            result_of(item, case=item.case, record=record, sample=seen, outcome=outcome, message="")
        )
        session.samples.item_ended(item.nodeid)


# --- variants -------------------------------------------------------------------------------------


def test_current_alone(sessions, tmp_path):
    """Without being asked for, variants aren't even read: a broken one stops nobody."""
    write(tmp_path, "broken.toml", "nonsense")
    assert names(sessions()) == [CURRENT]
    assert names(sessions(baseline=True)) == [CURRENT]
    with pytest.raises(VariantError, match="broken"):
        sessions(compare=True)


def test_comparing_measures_all(sessions, tmp_path):
    """`current` first, then the variants; only the named ones where any are."""
    for name in ("b", "a"):
        write(tmp_path, f"{name}.toml", "[context]\nx = 1")
    assert names(sessions(compare=True)) == [CURRENT, "a", "b"]
    assert names(sessions(compare=True, variant=("b",))) == [CURRENT, "b"]
    assert names(sessions(compare=True, variant=("b", "b", CURRENT))) == [CURRENT, "b"]


def test_a_variant_in_place_of_current(sessions, tmp_path):
    """Named without comparing, it alone is measured."""
    write(tmp_path, "a.toml", "[context]\nx = 1")
    assert names(sessions(variant=("a",))) == ["a"]
    assert names(sessions(variant=(CURRENT,))) == [CURRENT]


def test_comparing_with_nothing(sessions):
    """Nothing to compare is refused, with where to write a variant."""
    with pytest.raises(VariantError, match="there is no variant in prompts/variants"):
        sessions(compare=True)


def test_unknown_variants(sessions, tmp_path):
    """A name that isn't there is refused, with those that are."""
    write(tmp_path, "short.toml", "[context]\nx = 1")
    with pytest.raises(VariantError, match="short"):
        sessions(variant=("shrot",))


def test_variants_of_plugins(sessions, tmp_path):
    """The hook's variants join those of the folder; asked once, and only when variants are wanted."""
    asked: list[int] = []

    def more() -> list[Variant]:
        asked.append(1)
        return [Variant(name="t0", context={"x": 0})]

    write(tmp_path, "a.toml", "[context]\nx = 1")
    assert names(sessions(more, compare=True)) == [CURRENT, "a", "t0"]
    assert asked == [1]
    sessions(more)
    assert asked == [1]


@pytest.mark.parametrize("name", ["a", CURRENT, "", "a/b", "base line", "baseline"])
def test_names_of_plugins_variants(sessions, tmp_path, name):
    """A hook can't take a name twice, nor one that means something else or can't be typed."""
    write(tmp_path, "a.toml", "[context]\nx = 1")
    with pytest.raises(PromptuneError) as caught:
        sessions(lambda: [Variant(name=name, context={"x": 0})], compare=True)
    assert "pytest_promptune_variants" in str(caught.value)


# --- cells ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "marked", "runs"),
    [
        ({}, None, DEFAULT_RUNS),
        ({}, 2, 2),
        ({"runs": 3}, None, 3),
        ({"runs": 3}, 2, 2),
        ({"runs": 3, "runs_override": True}, 2, 3),
    ],
    ids=["default", "marker", "ini", "marker over ini", "typed over marker"],
)
def test_runs(sessions, settings, marked, runs):
    """What is typed wins over the marker, the marker over the ini file."""
    assert len(sessions(**settings).cells(Marks(runs=marked))) == runs


# --- before the first call ------------------------------------------------------------------------


def begun(session: Session, planned: list[PlannedItem]) -> Session:
    session.begin(planned, planned)
    return session


def test_two_tests_of_one_metric(sessions):
    """Their scores would run together: refused."""
    session = sessions()
    planned = [*items(session, metric="tone"), *items(session, test="test_b", metric="tone")]
    with pytest.raises(SettingsError, match="test_a and test_b both score the metric 'tone'"):
        session.begin(planned, planned)


def test_two_cases_of_one_id(sessions):
    """An id that means two inputs in one module is refused."""
    session = sessions()
    planned = items(session)
    other = [
        replace(item, test="test_b", metric="test_b", case=Case(id=item.case.id, input="x"))
        for item in planned
    ]
    with pytest.raises(CaseError, match="'c0'"):
        session.begin([*planned, *other], [*planned, *other])


def test_typed_margins_are_checked(sessions):
    """A misspelt metric on the command line is refused, in the ini file it is told later."""
    session = sessions(margin={"test_aa": 0.1}, margin_override=True)
    with pytest.raises(SettingsError, match="Did you mean 'test_a'"):
        begun(session, items(session))
    for metric in ("test_a", "test_a::words", "bot::latency_s", "latency_s"):
        session = sessions(margin={metric: 0.1}, margin_override=True)
        begun(session, items(session))
    session = sessions(margin={"test_aa": 0.1})
    begun(session, items(session))


def test_a_damaged_baseline_is_found_before_any_call(sessions, tmp_path):
    """No money is spent on a session that can't be compared in the end."""
    path = tmp_path / "__promptune__" / "test_m.main.json"
    path.parent.mkdir()
    path.write_text("{")
    session = sessions()
    with pytest.raises(BaselineError, match=r"test_m\.main\.json"):
        begun(session, items(session))


def test_templates_need_an_environment(sessions, tmp_path):
    """A variant that replaces templates nobody can reach is refused, with the key to set."""
    write(tmp_path, "short/intent.j2", "Short: {{ q }}")
    session = sessions(variant=("short",))
    with pytest.raises(VariantError, match="promptune_jinja_env"):
        begun(session, items(session))


def test_one_change(sessions, tmp_path):
    """More than one change is told, or refused where the settings say so."""
    write(tmp_path, "two.toml", '[context]\nsystem_prompt = "Be very brief."\ntemperature = 0.5')
    session = sessions(variant=("two",), one_change=True)
    with pytest.raises(VariantError, match="more than one change"):
        begun(session, items(session))
    begun(sessions(variant=("two",)), items(sessions()))


def test_sampling_comes_after_the_plan(sessions):
    """A sample without a plan is a mistake of ours, and said so."""
    session = sessions()
    with pytest.raises(RuntimeError, match="begin"):
        session.samples.of(items(session)[0], CASES[0], lambda value: value)


# --- a whole session ------------------------------------------------------------------------------


def right(output: Any) -> bool:
    return output != "wrong"


def test_record_then_check(sessions, tmp_path):
    """A recorded baseline, an unchanged app, a broken one: no gate, passed, failed."""
    answers = {"app": "right"}
    gates = []
    for settings in ({"baseline": True}, {}, {}):
        session = sessions(**settings)
        planned = items(session)
        session.begin(planned, planned)
        run(session, planned, lambda value: answers["app"], right)
        gates.append({item.nodeid.partition("::gate")[2]: item.failed for item in session.conclude()})
        if len(gates) == 2:
            answers["app"] = "wrong"
    assert gates == [
        {},
        {"[test_a-current]": False, "[bot::error_rate-current]": False},
        {"[test_a-current]": True, "[bot::error_rate-current]": False},
    ]


def test_view_and_outputs(sessions, tmp_path, monkeypatch):
    """The view tells what was measured; JSON, report and the job's summary are written from it."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    session = sessions(json="out/results.json", report=("report.md", "sub/other.md"))
    planned = items(session, runs=2)
    session.begin(planned, planned)
    run(session, planned, lambda value: 1 / value["q"], right)
    session.conclude()
    view = session.finish(1)
    found = view.experiment
    assert (view.mode, view.exit_code, view.interrupted) == ("check", 1, False)
    assert (found.runs, found.cases, found.samples, found.errored, found.missing) == (2, 3, 6, 2, 0)
    assert found.variants == (CURRENT,)
    assert [error.error for error in view.errors] == ["ZeroDivisionError: division by zero"]
    data = json.loads((tmp_path / "out" / "results.json").read_text())
    assert (data["exit_code"], data["experiment"]["samples"]) == (1, 6)
    assert (tmp_path / "report.md").read_text() == (tmp_path / "sub" / "other.md").read_text() != ""
    assert (tmp_path / "summary.md").read_text()


def test_an_interrupted_session(sessions, tmp_path):
    """Without conclude() nothing is gated or recorded; the view says it ended early."""
    session = sessions(baseline=True)
    planned = items(session)
    session.begin(planned, planned)
    run(session, planned[:2], lambda value: "x", right)
    view = session.finish(2)
    assert view.interrupted
    assert (view.metrics, view.gate, view.decision) == ((), (), None)
    assert not (tmp_path / "__promptune__").exists()


def test_a_session_without_samples(sessions):
    """Nothing was asked for: nothing to conclude, show or write."""
    session = sessions(json="results.json")
    assert session.conclude() == ()
    assert session.finish(5) is None
    assert session.rerun == ()
    assert not (session.root / "results.json").exists()


def test_close_twice(sessions):
    """The plugin closes in two places: the second time does nothing."""
    session = sessions(jinja_env=SPEC)
    planned = items(session)
    session.begin(planned, planned)
    run(session, planned[:1], lambda value: "x", right)
    session.close()
    session.close()


def test_templates_of_a_variant_reach_the_app(sessions, tmp_path):
    """With an environment a variant's templates are rendered for its samples, and given back at the end."""
    write(tmp_path, "short/intent.j2", "Short: {{ q }}")
    loader = ENV.loader
    session = sessions(compare=True, jinja_env=SPEC)
    planned = items(session, runs=1)
    session.begin(planned, planned)
    seen: dict[str, set[str]] = {}

    def app(value: Any) -> str:
        return ENV.get_template("intent.j2").render(value)

    for item in planned:
        record = session.samples.of(item, item.case, app).record
        seen.setdefault(item.cell.variant, set()).add(record.output)
    session.close()
    assert seen == {
        CURRENT: {"Classify: 0", "Classify: 1", "Classify: 2"},
        "short": {"Short: 0", "Short: 1", "Short: 2"},
    }
    assert ENV.loader is loader
    assert app({"q": 9}) == "Classify: 9"


def test_conditions_of_a_session(sessions, tmp_path):
    """Hashes of cases and tests change with them, and with nothing else."""
    (tmp_path / "test_m.py").write_text("one")

    def conditions() -> dict[str, str]:
        session = sessions()
        planned = items(session, runs=1)
        session.begin(planned, planned)
        run(session, planned, lambda value: "x", right)
        return dict(session.finish(0).experiment.conditions)

    first = conditions()
    assert conditions() == first
    (tmp_path / "test_m.py").write_text("two")
    second = conditions()
    assert second["cases"] == first["cases"]
    assert second["tests"] != first["tests"]
