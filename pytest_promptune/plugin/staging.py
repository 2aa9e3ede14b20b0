"""``--promptune-stage``: what it leaves out is deselected, as ``-k`` would do it."""

from __future__ import annotations

import pytest

from pytest_promptune.core.plan import of_stage
from pytest_promptune.core.stages import Stage
from pytest_promptune.plugin.state import item_key


def deselect_beyond(stage: Stage, items: list[pytest.Item], config: pytest.Config) -> None:
    """Take out of `items`, which pytest has selected, what a stage doesn't measure, and tell pytest so."""
    mine = [item for item in items if item_key in item.stash]
    stays = of_stage([item.stash[item_key].planned for item in mine], stage)
    left_out = [item for item, is_staying in zip(mine, stays, strict=True) if not is_staying]
    if left_out:
        gone = set(map(id, left_out))
        items[:] = [item for item in items if id(item) not in gone]
        config.hook.pytest_deselected(items=left_out)
