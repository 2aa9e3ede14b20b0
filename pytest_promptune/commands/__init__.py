"""The subcommands of ``pytest-promptune``, one module for each.

A command imports what it needs itself, when it runs, so that none pays for another's dependencies.
"""

from pytest_promptune.commands import (
    adopt,
    baseline,
    compare,
    completion,
    embedded_model,
    goals,
    history,
    merge,
    nodes,
    report,
    show,
    sizing,
)
from pytest_promptune.commands.model import Command

#: What words that begin several commands are about.
GROUPS = {
    "baseline": "the recorded baselines",
    "model": "the embedded language model (extra [local])",
}

#: In the order in which ``--help`` lists them.
COMMANDS: tuple[Command, ...] = (
    goals.COMMAND,
    nodes.COMMAND,
    history.COMMAND,
    show.COMMAND,
    baseline.LIST,
    baseline.SHOW,
    baseline.RM,
    merge.COMMAND,
    compare.COMMAND,
    report.COMMAND,
    adopt.COMMAND,
    sizing.CALIBRATE,
    sizing.PLAN_RUNS,
    embedded_model.FETCH,
    embedded_model.PATH,
    completion.COMMAND,
)
