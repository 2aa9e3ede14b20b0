"""A pytest plugin (``-p``) for ``pytest-promptune adopt``: writes down which cases there are."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pytest_promptune.plugin.state import item_key

#: Names the file that is written.
TARGET = "PROMPTUNE_CASE_LISTING"


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Hashes of the cases by ``module::id``, as far as they are known before fixtures run."""
    planned = [item.stash[item_key].planned for item in session.items if item_key in item.stash]
    cases = {f"{each.module}::{each.case.id}": each.case.fingerprint for each in planned if each.case}
    Path(os.environ[TARGET]).write_text(json.dumps(cases), encoding="utf-8")
