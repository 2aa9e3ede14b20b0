"""Which items are behind a failed decision, for ``--lf``."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_promptune.core.experiment import Experiment
from pytest_promptune.core.results import Result
from pytest_promptune.core.view import ComparisonRow


def behind(experiment: Experiment, rows: Iterable[ComparisonRow]) -> list[str]:
    """The items behind failed gates: what missed, or whose case got worse, in the failed metric."""
    chosen: dict[str, None] = {}
    for row in rows:
        if row.gate != "failed":
            continue
        worse = {*row.cases.regressed, *row.cases.suspect}
        app_metric = row.name.test == f"{row.name.module}::{row.name.app}"
        for result in experiment.results:
            if result.variant != row.candidate or result.module != row.name.module:
                continue
            same_test = result.app == row.name.app if app_metric else row.name.test == _test_id(result)
            decides = row.aggregate or result.metric == row.name.metric
            missed = decides and result.outcome in ("missed", "errored")
            errored = app_metric and result.outcome == "errored"
            if same_test and (missed or errored or result.case_id in worse):
                chosen[result.nodeid] = None
    return list(chosen)


def _test_id(result: Result) -> str:
    return f"{result.module}::{result.test}"
