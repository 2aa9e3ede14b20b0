"""``calibrate`` and ``plan-runs``: what stored runs say of the gate and of the size of a suite."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_promptune.commands.model import Answer, Command, as_wide_as_the_terminal, settings_of_project

if TYPE_CHECKING:
    from pytest_promptune.settings import Settings
    from pytest_promptune.sizing.sources import Asked


def _calibrate_arguments(parser: argparse.ArgumentParser) -> None:
    from pytest_promptune.sizing.arguments import calibrate_arguments

    calibrate_arguments(parser)


def _calibrate(arguments: argparse.Namespace) -> Answer:
    from pytest_promptune.sizing.calibrating import Questions, calibrate, other_rules, to_json
    from pytest_promptune.sizing.sources import find
    from pytest_promptune.sizing.telling import calibration_lines

    settings = settings_of_project(arguments)
    questions = Questions(
        splits=arguments.splits,
        seed=arguments.seed,
        alpha=arguments.alpha or settings.alpha,
        scope=arguments.scope or settings.scope,
        margins=arguments.margin,
        tolerances=arguments.tolerance,
        usual_margins=settings.margin,
        usual_tolerances=settings.tolerance,
        other_rules=other_rules(settings),
    )
    found = calibrate(find(_asked(arguments, settings)), questions)
    return Answer(
        text=as_wide_as_the_terminal(calibration_lines, found), data=to_json(found), status=found.status
    )


def _plan_runs_arguments(parser: argparse.ArgumentParser) -> None:
    from pytest_promptune.sizing.arguments import plan_runs_arguments

    plan_runs_arguments(parser)


def _plan_runs(arguments: argparse.Namespace) -> Answer:
    from pytest_promptune.sizing.planning import Goals, plan_runs, to_json
    from pytest_promptune.sizing.sources import find
    from pytest_promptune.sizing.telling import plan_lines

    settings = settings_of_project(arguments)
    goals = Goals(
        differences=arguments.difference,
        power=arguments.power,
        alpha=arguments.alpha or settings.alpha,
        variants=arguments.variants,
    )
    plan = plan_runs(find(_asked(arguments, settings)), goals)
    return Answer(text=as_wide_as_the_terminal(plan_lines, plan), data=to_json(plan))


def _asked(arguments: argparse.Namespace, settings: Settings) -> Asked:
    from pytest_promptune.sizing.sources import Asked

    return Asked(
        root=Path(arguments.root).resolve(),
        paths=arguments.paths,
        against=arguments.against or settings.against,
        experiment=arguments.experiment,
        variant=arguments.variant,
        store=settings.store if arguments.store is None and arguments.experiment else arguments.store,
        metrics=arguments.metric,
        gate_metrics=settings.gate_metrics,
    )


CALIBRATE = Command(
    words=("calibrate",),
    help="compare stored runs with themselves: how often the gate fails by chance, what it would find",
    run=_calibrate,
    arguments=_calibrate_arguments,
    error_status=2,
)

PLAN_RUNS = Command(
    words=("plan-runs",),
    help="tell from stored runs how many runs or cases it takes to find a change",
    run=_plan_runs,
    arguments=_plan_runs_arguments,
    error_status=2,
)
