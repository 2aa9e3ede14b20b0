"""Answers ``pytest-promptune nodes``: the source, and beside it an experiment or a dry run."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from pytest_promptune.core.errors import SettingsError, StoreError
from pytest_promptune.core.redaction import Redactor
from pytest_promptune.ini_files import settings_of
from pytest_promptune.inspecting.dry_run import dry_run, with_keys
from pytest_promptune.inspecting.finding import Inspection, inspect_project
from pytest_promptune.inspecting.project import read_project
from pytest_promptune.inspecting.traces import read_trace, with_trace


def ask(arguments: argparse.Namespace) -> Inspection:
    """What the arguments ask for.

    Raises:
        PromptuneError: for arguments that contradict each other, and when the graph can't be had, or an
            experiment that was asked for, or the cases can't be run.
    """
    _check(arguments)
    root = Path(arguments.root).resolve()
    with with_keys() if arguments.dry_run else nullcontext():
        found = inspect_project(read_project(root, arguments.graph))
    settings = settings_of(root)
    if arguments.dry_run:
        stored = dry_run(root, runs=arguments.runs or 1, redactor=Redactor(settings.redact))
        return with_trace(found, stored, root=root, settings=settings)
    store = settings.store if arguments.store is None else arguments.store
    try:
        read = read_trace(root, store=store, experiment=arguments.experiment)
    except StoreError as error:
        if arguments.experiment is not None:
            raise
        return replace(found, notes=(*found.notes, f"Without the experiment log: {error}"))
    return found if read is None else with_trace(found, read, root=root, settings=settings)


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what can't be meant."""
    if not arguments.dry_run:
        if arguments.runs is not None:
            raise SettingsError("--runs is for --dry-run: stored runs are as many as they are.")
        return
    for name in ("experiment", "store"):
        if getattr(arguments, name) is not None:
            raise SettingsError(
                f"--dry-run and --{name} contradict each other: read stored samples, or run the cases."
            )
