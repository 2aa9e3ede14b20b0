"""The baseline files of a project, for people: which there are, what is in them, what no longer fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pytest_promptune.core.baseline import Baseline
from pytest_promptune.core.display import UNKNOWN, clean, count, cut, listed, mean
from pytest_promptune.core.errors import BaselineError
from pytest_promptune.core.lines import BAD, BOLD, DIM, INDENT, WARN, Line, line, paragraph, table_lines
from pytest_promptune.core.matching import recorded_name
from pytest_promptune.core.values import dataclass
from pytest_promptune.store.baselines import find_baselines, read_baseline
from pytest_promptune.stored.history_lines import local

#: Hashes of a module's cases that newer experiments measured, since a moment; ``None`` where none did.
Measured = Callable[[str, str], Mapping[str, str] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One baseline file."""

    path: Path
    #: Relative to the root, with forward slashes.
    shown: str
    name: str
    #: The test module that it lies beside.
    module: str
    has_module: bool
    #: ``None`` of a damaged file, with what is wrong.
    baseline: Baseline | None
    problem: str = ""
    #: Cases that newer experiments measured with other contents, and those that they didn't measure at all;
    #: ``None`` where no newer experiment of the module is in the log.
    changed: tuple[str, ...] | None = None
    gone: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricMean:
    """One metric of a baseline."""

    metric: str
    kind: str
    direction: str
    unit: str | None
    n_cases: int
    n_samples: int
    #: Mean of the case means.
    mean: float | None
    #: Cases with both passes and misses.
    flaky: tuple[str, ...]


def recorded(root: Path, measured: Measured | None = None) -> list[Recorded]:
    """Every baseline below the root, damaged ones too, by path."""
    return [_read(path, root, measured) for path in sorted(find_baselines(root))]


def _read(path: Path, root: Path, measured: Measured | None) -> Recorded:
    stem, _, name = path.name.removesuffix(".json").rpartition(".")
    module = path.parent.parent / f"{stem}.py"
    values: dict[str, Any] = {
        "path": path,
        "shown": _relative(path, root),
        "name": name,
        "module": _relative(module, root),
        "has_module": bool(stem) and module.is_file(),
    }
    try:
        baseline = read_baseline(path)
    except BaselineError as error:
        return Recorded(**values, baseline=None, problem=str(error))
    known = measured(values["module"], baseline.recorded.at) if measured and baseline else None
    if baseline is None or known is None:
        return Recorded(**values, baseline=baseline)
    changed = tuple(case for case, hashed in baseline.cases.items() if known.get(case, hashed) != hashed)
    gone = tuple(case for case in baseline.cases if case not in known)
    return Recorded(**values, baseline=baseline, changed=changed, gone=gone)


def _relative(path: Path, root: Path) -> str:
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def named(text: str, root: Path, *, here: Path, measured: Measured | None = None) -> list[Recorded]:
    """The baselines that a name (``main``) or a path means: of all modules, or one.

    Raises:
        BaselineError: when it means none, saying which there are.
    """
    found = recorded(root, measured)
    paths = {(here / text).resolve(), (root / text).resolve()}
    by_path = [each for each in found if each.path.resolve() in paths]
    chosen = by_path or [each for each in found if each.name == text]
    if chosen:
        return chosen
    names = ", ".join(sorted({each.name for each in found}))
    there = (
        f"Names here: {names}; pytest-promptune baseline list shows the files."
        if names
        else ("There is none below the root; pytest --promptune-baseline records one.")
    )
    raise BaselineError(f"{text}: no baseline has this name or path. {there}")


def means(baseline: Baseline) -> list[MetricMean]:
    """Each metric with its mean and, of 0/1 metrics, its flaky cases; those without scores left out."""
    return [_mean(baseline, metric) for metric in baseline.metrics if baseline.scores.get(metric)]


def _mean(baseline: Baseline, metric: str) -> MetricMean:
    known, scores = baseline.metrics[metric], baseline.scores[metric]
    values = {case: [v for v in of_case if v is not None] for case, of_case in scores.items()}
    of_cases = [sum(of_case) / len(of_case) for of_case in values.values() if of_case]
    flaky = tuple(c for c, v in values.items() if len(set(v)) > 1) if known.kind == "binary" else ()
    return MetricMean(
        metric=metric,
        kind=known.kind,
        direction=known.direction,
        unit=known.unit,
        n_cases=len(of_cases),
        n_samples=sum(map(len, values.values())),
        mean=sum(of_cases) / len(of_cases) if of_cases else None,
        flaky=flaky,
    )


# -- lines -----------------------------------------------------------------------------------------------


def list_lines(found: Sequence[Recorded], *, width: int) -> list[Line]:
    """A block for each file: where it is, what it holds, what is wrong with it."""
    if not found:
        return [line("No baselines. pytest --promptune-baseline records one.")]
    lines: list[Line] = []
    for each in found:
        lines += [line(cut(clean(f"{each.name}: {each.shown}"), width), BOLD), *_about(each, width)]
    return lines


def _about(each: Recorded, width: int) -> list[Line]:
    lines: list[Line] = []
    if each.baseline is not None:
        lines += paragraph(_contents(each.baseline), width, DIM, INDENT)
    else:
        lines += paragraph(each.problem, width, BAD, INDENT)
    if not each.has_module:
        lines += paragraph(f"no test module {each.module}: nothing is compared with it", width, WARN, INDENT)
    for what, cases in (("with other contents since", each.changed), ("not measured since", each.gone)):
        if cases:
            head = f"{INDENT}{count(len(cases), 'case')} {what}: "
            lines.append(line(head + listed(cases, max(width - len(head), 20)), WARN))
    return lines


def _contents(baseline: Baseline) -> str:
    head = baseline.recorded
    commit = f" at {head.commit[:7]}{' with changes' if head.dirty else ''}" if head.commit else ""
    size = f"{count(len(baseline.cases), 'case')} × {count(head.runs, 'run')}"
    return f"recorded {local(head.at)}{commit}, {size}, {count(len(means(baseline)), 'metric')}"


def show_lines(found: Sequence[Recorded], *, width: int) -> list[Line]:
    """The metrics of each, with their means and flaky cases."""
    lines: list[Line] = []
    for each in found:
        lines += [*([Line()] if lines else []), line(cut(clean(f"{each.name}: {each.shown}"), width), BOLD)]
        lines += _about(each, width)
        if each.baseline is not None:
            lines += _metrics(each, each.baseline, width)
    return lines


def _metrics(each: Recorded, baseline: Baseline, width: int) -> list[Line]:
    rows, flaky = [], []
    for row in means(baseline):
        name = recorded_name(row.metric, baseline.metrics[row.metric], each.module)
        unsteady = str(len(row.flaky)) if row.kind == "binary" else UNKNOWN
        rows.append([clean(row.metric), mean(name, row.mean), str(row.n_cases), str(row.n_samples), unsteady])
        if row.flaky:
            head = f"{INDENT}flaky ({cut(clean(row.metric), 40)}): "
            flaky.append(line(head + listed(row.flaky, max(width - len(head), 20))))
    recorded_with = [f"models: {', '.join(baseline.recorded.models)}"] if baseline.recorded.models else []
    told = [text for each in recorded_with for text in paragraph(each, width, DIM, INDENT)]
    return [*told, *table_lines(["metric", "mean", "cases", "samples", "flaky"], rows, width), *flaky]


# -- data ------------------------------------------------------------------------------------------------


def to_json(found: Sequence[Recorded], *, metrics: bool) -> list[dict[str, Any]]:
    """What is known of each, with its metrics where they are wanted."""
    return [_row(each, metrics) for each in found]


def _row(each: Recorded, metrics: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "path": each.shown,
        "name": each.name,
        "module": each.module,
        "has_module": each.has_module,
        "problem": each.problem or None,
        "changed": each.changed,
        "gone": each.gone,
    }
    if each.baseline is not None:
        head = asdict(each.baseline.recorded)
        row |= {"recorded": head, "cases": len(each.baseline.cases)}
        of_each = [asdict(metric) for metric in means(each.baseline)]
        row["metrics"] = of_each if metrics else [metric["metric"] for metric in of_each]
    return row
