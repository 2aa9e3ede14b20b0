"""Our own modules are imported as they are, not with rewritten assertions.

pytest rewrites the assertions of every module of a plugin's distribution, in a cache of its own. Where
bytecode isn't written (many CI images set PYTHONDONTWRITEBYTECODE) it parses and compiles all of them
in every session, 0.4 s here, although they hold no test helpers. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_PACKAGE = __name__.partition(".")[0] + "."
#: Helpers for tests: their assertions are worth rewriting.
_FOR_TESTS = _PACKAGE + "testing"


class PlainImports:
    """Finds this package's modules as Python itself does."""

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder.find_spec`."""
        if path is None or not name.startswith(_PACKAGE) or name.startswith(_FOR_TESTS):
            return None
        return PathFinder.find_spec(name, path, target)


def import_plainly() -> None:
    """Put the finder before pytest's; once per process."""
    if PlainImports not in sys.meta_path:
        sys.meta_path.insert(0, PlainImports)
