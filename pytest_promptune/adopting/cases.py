"""The cases that there are today: pytest collects them, in a process of its own, and runs nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

PLUGIN = "pytest_promptune.plugin.case_listing"
TARGET = "PROMPTUNE_CASE_LISTING"


def cases_today(root: Path) -> Mapping[str, str] | None:
    """Hashes of the cases by ``module::id``, ``None`` where pytest can't collect the tests."""
    plugins = [PLUGIN]
    if os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD"):
        plugins.insert(0, "pytest_promptune.plugin")
    with tempfile.TemporaryDirectory(prefix="promptune-cases-") as folder:
        target = Path(folder, "cases.json")
        arguments = [*(word for name in plugins for word in ("-p", name)), "--collect-only", "-q"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *arguments, "-o", f"cache_dir={folder}/cache"],
            cwd=root,
            env=os.environ | {TARGET: str(target), "NO_COLOR": "1", "LANGSMITH_TRACING": "false"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode not in (0, 5) or not target.exists():
            return None
        found: Mapping[str, str] = json.loads(target.read_text(encoding="utf-8"))
        return found
