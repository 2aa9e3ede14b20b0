"""What the plugin keeps on pytest's objects, and where it runs."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import pytest

from pytest_promptune.settings import Settings

if TYPE_CHECKING:
    from pytest_promptune.plugin.hooks import PromptuneHooks
    from pytest_promptune.plugin.items import ItemState

#: Parametrizes every promptune test over variants and runs; its presence tells that a test is one.
CELL = "_promptune_cell"

#: In an xdist worker's output: what it had not sent by a report.
LAST_WORD = "promptune_last_word"

settings_key = pytest.StashKey[Settings]()
hooks_key: pytest.StashKey[PromptuneHooks] = pytest.StashKey()
item_key: pytest.StashKey[ItemState] = pytest.StashKey()


def callspec_of(item: pytest.Item) -> Any:
    """What a promptune item is parametrized with."""
    return item.callspec  # type: ignore[attr-defined]  # every such item is parametrized


def is_xdist_controller(config: pytest.Config) -> bool:
    """This process hands out the items and takes in their results."""
    return config.getoption("dist", "no") != "no" and not is_xdist_worker(config)


def is_xdist_worker(config: pytest.Config) -> bool:
    """This process runs items for a controller."""
    return hasattr(config, "workerinput")


def is_planning(config: pytest.Config) -> bool:
    """The session only shows what it would do; what else shows it without running wins."""
    option = config.option
    only_looks = option.collectonly or option.setuponly or option.setupplan
    return config.stash[settings_key].plan and not only_looks


def selection_of(config: pytest.Config) -> str:
    """What selects the same tests in another session, as one types it after a blank."""
    option = config.option
    parts = [*option.file_or_dir]
    for flag, value in (("-k", option.keyword), ("-m", option.markexpr)):
        parts += [flag, value] if value else []
    parts += [f"--deselect={prefix}" for prefix in option.deselect or ()]
    return "".join(f" {shlex.quote(part)}" for part in parts)
