"""Answers ``pytest-promptune nodes``: the source, and beside it the newest experiment."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from pytest_promptune.core.errors import StoreError
from pytest_promptune.ini_files import settings_of
from pytest_promptune.inspecting.finding import Inspection, inspect_project
from pytest_promptune.inspecting.project import read_project
from pytest_promptune.inspecting.traces import read_trace, with_trace


def ask(arguments: argparse.Namespace) -> Inspection:
    """What the arguments ask for.

    Raises:
        PromptuneError: when the graph can't be had, or an experiment that was asked for.
    """
    root = Path(arguments.root).resolve()
    found = inspect_project(read_project(root, arguments.graph))
    settings = settings_of(root)
    store = settings.store if arguments.store is None else arguments.store
    try:
        stored = read_trace(root, store=store, experiment=arguments.experiment)
    except StoreError as error:
        if arguments.experiment is not None:
            raise
        return replace(found, notes=(*found.notes, f"Without the experiment log: {error}"))
    return found if stored is None else with_trace(found, stored, root=root, alpha=settings.alpha)
