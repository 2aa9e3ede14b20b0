"""What README and docs show is run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np  # noqa: F401  # pytester forgets what a page imported, and this can't be imported twice
import pytest

from pytest_promptune import settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"# ([\w/]+\.py)\n")


def blocks(page: Path) -> list[str]:
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def names(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=names)
def test_python_blocks_run(page: Path, pytester: pytest.Pytester):
    """Every Python block runs; one that begins with a file's name is a test file and passes."""
    namespace: dict[str, object] = {"__name__": "docs"}
    files = []
    for block in blocks(page):
        if name := FILE_NAME.match(block):
            path = pytester.path / name.group(1)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block, encoding="utf-8")
            files.append(path)
        else:
            exec(compile(block, str(page), "exec"), namespace)
    for mode in ["--promptune-baseline", "-q"] if files else []:
        result = pytester.runpytest_subprocess(mode, "-p", "no:langsmith_plugin", *files)
        assert result.ret == 0, result.stdout.str()


def test_readme_lists_all_options():
    """The README's table has every option and every ini key."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    flags = {spec.flag for spec in settings.SPECS if spec.on_command_line}
    keys = {spec.ini for spec in settings.SPECS if spec.in_ini}
    assert [flag for flag in sorted(flags) if f"`{flag}" not in text] == []
    assert [key for key in sorted(keys) if f"`{key}`" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_links_lead_somewhere(page: Path):
    """Relative links of README and docs name files that exist."""
    text = page.read_text(encoding="utf-8")
    targets = [t for t in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text) if "://" not in t]
    assert [t for t in targets if not (page.parent / t).exists()] == []
