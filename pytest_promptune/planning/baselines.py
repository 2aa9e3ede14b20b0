"""Whether the baselines are there that the session needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytest_promptune.core.baseline import Baseline
from pytest_promptune.core.display import count, some
from pytest_promptune.core.errors import BaselineError, ScoreError
from pytest_promptune.core.plan import PlannedItem
from pytest_promptune.core.planning import Check, Status
from pytest_promptune.settings import Settings
from pytest_promptune.store.baselines import baseline_path, other_baselines, read_baseline


def is_gated(item: PlannedItem) -> bool:
    """Whether a verdict on the item's assertion metric may fail the build."""
    return item.marks.gate is None or item.metric in item.marks.gate


class Baselines:
    """The baselines of the session's modules, and what is to be said of them."""

    def __init__(self, settings: Settings, *, root: Path, items: Sequence[PlannedItem]) -> None:
        """Read them.

        Args:
            settings: what the user asked for.
            root: modules are relative to it.
            items: that would run.
        """
        self._settings = settings
        self._root = root
        self._items = items
        #: By test module, ``None`` where there is none that can be read.
        self.found: dict[str, Baseline | None] = {}
        self._problems: dict[str, str] = {}
        for module in dict.fromkeys(item.module for item in items):
            try:
                self.found[module] = read_baseline(baseline_path(root, module, settings.against))
            except BaselineError as error:
                self.found[module] = None
                self._problems[module] = str(error)

    def checks(self) -> list[Check]:
        """One line for each module."""
        return [self._check(module, baseline) for module, baseline in self.found.items()]

    def _check(self, module: str, baseline: Baseline | None) -> Check:
        what = f"baseline of {module}"
        if module in self._problems:
            return Check(status="failed", what=what, text=self._problems[module])
        if baseline is None:
            return self._missing(module, what)
        if self._settings.mode == "baseline":
            return Check(status="ok", what=what, text="there is one, which will be recorded anew")
        lacking = self._lacking(module, baseline)
        if lacking:
            record = self._record()
            text = f"{'; '.join(lacking)}. Not compared; record it again with {record}."
            return Check(status=self._weight(), what=what, text=text)
        text = f"recorded {baseline.recorded.at[:10]}, has these cases and tests"
        return Check(status="ok", what=what, text=text)

    def _missing(self, module: str, what: str) -> Check:
        if self._settings.mode == "baseline":
            return Check(status="ok", what=what, text="none yet, will be recorded")
        others = other_baselines(self._root, module)
        hint = f" (there are baselines named {', '.join(others)})" if others else ""
        path = baseline_path(self._root, module, self._settings.against)
        if self._settings.mode == "compare" and self._weight() != "failed":
            text = f"none{hint}, the variants are compared with current alone"
            return Check(status="ok", what=what, text=text)
        text = f"{path} isn't there{hint}: nothing to compare with. Record it with {self._record()}."
        return Check(status=self._weight(), what=what, text=text)

    def _lacking(self, module: str, baseline: Baseline) -> list[str]:
        mine = [item for item in self._items if item.module == module]
        cases = {item.case.id: item.case for item in mine if item.case}
        new = [name for name in cases if name not in baseline.cases]
        changed = []
        for name in cases.keys() & baseline.cases.keys():
            try:
                if cases[name].fingerprint != baseline.cases[name]:
                    changed.append(name)
            except ScoreError:  # told of the cases themselves
                continue
        metrics = dict.fromkeys(item.metric for item in mine if is_gated(item))
        untold = [name for name in metrics if name not in baseline.metrics]
        found = [
            (new, "lacks the {} {}", "case"),
            (sorted(changed), "has another content of the {} {}", "case"),
            (untold, "lacks the {} {}", "metric"),
        ]
        return [
            text.format(noun if len(names) == 1 else f"{count(len(names), noun)}", some(names))
            for names, text, noun in found
            if names
        ]

    def _weight(self) -> Status:
        required = self._settings.require_baseline and self._settings.gate != "off"
        return "failed" if required else "warning"

    def _record(self) -> str:
        against = self._settings.against
        return "pytest --promptune-baseline" + (
            "" if against == "main" else f" --promptune-against={against}"
        )
