"""The arguments of ``calibrate`` and ``plan-runs``; importing it is cheap."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from pytest_promptune.core.margins import read_amount
from pytest_promptune.settings import OPTIONS

SPLITS = 200
DIFFERENCE = 0.10
POWER = 0.8

_EPILOG = (
    "Runs are stored by recording a baseline: pytest --promptune-baseline --promptune-runs=10. An experiment "
    "of the log has them as well. What isn't given is taken from the ini file of pytest: promptune_alpha, "
    "_scope, _margin, _tolerance, _gate_metrics, _against, _store."
)


def calibrate_arguments(parser: argparse.ArgumentParser) -> None:
    """Of ``pytest-promptune calibrate``."""
    _sources(parser)
    parser.add_argument(
        "--splits", type=_whole(1), default=SPLITS, metavar="N", help=f"random halves (default: {SPLITS})"
    )
    parser.add_argument(
        "--seed", type=_whole(0), default=0, metavar="N", help="of the random numbers (default: 0)"
    )
    parser.add_argument("--scope", type=_parsed("scope"), metavar="SCOPE", help=OPTIONS["scope"].help)
    for name in ("margin", "tolerance"):
        parser.add_argument(
            f"--{name}", action="append", default=[], metavar="METRIC=VALUE", help=OPTIONS[name].help
        )


def plan_runs_arguments(parser: argparse.ArgumentParser) -> None:
    """Of ``pytest-promptune plan-runs``."""
    _sources(parser)
    parser.add_argument(
        "--difference",
        action="append",
        type=_difference,
        default=[],
        metavar="[METRIC=]VALUE",
        help="the change to be found: 0.10 is 10 points of 0/1 metrics and scores within [0,1], and 10%% of "
        "the mean of all others; METRIC=VALUE is in the metric's own unit (a fraction for latency) or in %% "
        "(repeatable; default: "
        f"{DIFFERENCE:.2f})",
    )
    parser.add_argument(
        "--power",
        type=_power,
        default=POWER,
        metavar="SHARE",
        help=f"how often such a change is to be found (default: {POWER})",
    )
    parser.add_argument(
        "--variants",
        type=_whole(1),
        default=1,
        metavar="N",
        help="how many candidates one session compares; they share the error level (default: 1)",
    )


def _sources(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="baseline files, test modules or folders (default: all baselines below the root)",
    )
    parser.add_argument(
        "--against", type=_parsed("against"), metavar="NAME", help="which baseline (default: main)"
    )
    parser.add_argument(
        "--experiment", metavar="ID", help="take the runs of an experiment instead (`last` for the newest)"
    )
    parser.add_argument(
        "--variant", metavar="NAME", help="which variant of the experiment (default: the first)"
    )
    parser.add_argument("--store", metavar="URL", help=OPTIONS["store"].help)
    parser.add_argument("--root", metavar="DIR", help="of the project (default: that of pytest, run here)")
    parser.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="NAME",
        help="only this metric (repeatable; default: those that are gated)",
    )
    parser.add_argument("--alpha", type=_parsed("alpha"), metavar="LEVEL", help=OPTIONS["alpha"].help)


def _parsed(name: str) -> Callable[[str], Any]:
    """The parser of the pytest option of that name."""

    def parse(text: str) -> Any:
        try:
            return OPTIONS[name].parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} is not valid; expected {error}.") from None

    return parse


def _whole(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not valid; expected a whole number of at least {least}."
            )
        return number

    return parse


def _power(text: str) -> float:
    expected = argparse.ArgumentTypeError(
        f"{text!r} is not valid; expected a number between 0.5 and 1, as 0.8."
    )
    try:
        share = float(text)
    except ValueError:
        raise expected from None
    if not 0.5 <= share < 1:
        raise expected
    return share


def _difference(text: str) -> tuple[str, float]:
    """Metric (empty for all) and change."""
    metric, equals, number = text.rpartition("=")
    expected = argparse.ArgumentTypeError(
        f"{text!r} is not valid; expected a change above 0, as 0.10, 5% or test_intent=0.05."
    )
    try:
        value = read_amount(number)
    except ValueError:
        raise expected from None
    if value <= 0 or (equals and not metric.strip()):
        raise expected
    return metric.strip(), value
