"""All parts of an analysis, from the results of one session and the tags of its cases."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_promptune.core.analysis.model import AnalysisView, CoverageRow
from pytest_promptune.core.analysis.outliers import outlier_rows
from pytest_promptune.core.analysis.ranking import Ranking
from pytest_promptune.core.analysis.trouble import Tags, trouble_rows
from pytest_promptune.core.case_checks import BALANCED, balance_of
from pytest_promptune.core.experiment import Experiment


def analyse(experiment: Experiment, tags: Tags, ranking: Ranking) -> AnalysisView:
    """What is to be seen in an experiment beyond its verdicts.

    Args:
        experiment: of the session.
        tags: of the cases by module and id, as far as they are known.
        ranking: of the nodes.
    """
    return AnalysisView(
        trouble=trouble_rows(experiment, tags),
        outliers=outlier_rows(experiment),
        coverage=tuple(_coverage(experiment, tags)),
        priorities=ranking.rows,
        priority_rule=ranking.rule,
    )


def _coverage(experiment: Experiment, tags: Tags) -> Iterator[CoverageRow]:
    """Of all cases that exist, measured or not."""
    for module in experiment.modules:
        of_case = tags.get(module, {})
        for tag in BALANCED:
            values = [
                of_case.get(case, {}).get(tag)
                for case in dict.fromkeys([*of_case, *experiment.case_hashes(module)])
            ]
            balance = balance_of(tag, values)
            if balance is not None:
                yield CoverageRow(
                    module=module,
                    tag=tag,
                    counts=balance.counts,
                    untagged=balance.untagged,
                    advice=balance.advice,
                )
