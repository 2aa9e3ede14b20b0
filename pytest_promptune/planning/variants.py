"""Whether the variants apply, what each changes, and whether that is one change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_promptune.choosing import too_many_changes
from pytest_promptune.core.display import clean, cut
from pytest_promptune.core.errors import VariantError
from pytest_promptune.core.model import CURRENT, Change, Variant
from pytest_promptune.core.planning import Check, VariantPlan
from pytest_promptune.prompts import AppPrompts
from pytest_promptune.settings import Settings

_LONGEST_VALUE = 60


class PlannedVariants:
    """The variants of a session with what is wrong with them."""

    def __init__(self, settings: Settings, *, root: Path, variants: Sequence[Variant]) -> None:
        """Prepare the app's templates, as a session does, until `close`.

        Args:
            settings: what the user asked for.
            root: folders are relative to it.
            variants: that would be measured.
        """
        self._settings = settings
        self.all = {variant.name: variant for variant in variants}
        self._problems: dict[str, dict[str, None]] = {}
        self._doubts: dict[str, dict[str, None]] = {}
        self._checks: list[Check] = []
        self._contexts: dict[str, Any] = {}
        self._prompts = AppPrompts(settings, root=root)
        self._prepare()

    def _prepare(self) -> None:
        try:
            self._prompts.prepare()
        except VariantError as error:
            self._checks.append(Check(status="failed", what="templates", text=str(error)))
            return
        for variant in list(self.all.values()):
            try:
                self.all[variant.name] = resolved = self._prompts.resolved(variant)
                self._prompts.check(resolved)
            except VariantError as error:
                self.problem(variant.name, str(error))
        replaces = any(variant.templates for variant in self.all.values())
        if replaces and (text := self._prompts.kept_by_modules()):
            self._checks.append(Check(status="warning", what="templates", text=text))

    def problem(self, name: str, text: str) -> None:
        """A variant doesn't apply; the same text of several apps is told once."""
        self._problems.setdefault(name, {})[text] = None

    def doubt(self, name: str, text: str, *, is_certain: bool) -> None:
        """What a variant changes would not arrive, certainly or as far as is known."""
        if is_certain:
            self.problem(name, text)
        else:
            self._doubts.setdefault(name, {})[text] = None

    def learn(self, contexts: Mapping[str, Any]) -> None:
        """Take in the context fields of an app, as `current` has them."""
        self._contexts.update(contexts)

    def texts(self) -> Mapping[str, str]:
        """Texts of the app's templates as `current` has them."""
        return self._prompts.texts()

    def close(self) -> None:
        """Give the templates back."""
        self._prompts.close()

    def _described(self) -> list[Variant]:
        others = [variant for variant in self.all.values() if variant.name != CURRENT]
        return [self._prompts.described(variant, self._contexts) for variant in others]

    def plans(self) -> list[VariantPlan]:
        """What each changes."""
        return [
            VariantPlan(
                name=variant.name,
                description=variant.description,
                changes=tuple(_told(change) for change in variant.changes),
            )
            for variant in self._described()
        ]

    def checks(self) -> list[Check]:
        """One line for each variant, and what is wrong with the templates they replace."""
        return [*self._checks, *(check for variant in self._described() for check in self._check(variant))]

    def _check(self, variant: Variant) -> list[Check]:
        what = f"variant {variant.name}"
        if problems := self._problems.get(variant.name):
            return [Check(status="failed", what=what, text=text) for text in problems]
        try:
            many = too_many_changes(variant, refuse=self._settings.one_change)
        except VariantError as error:
            return [Check(status="failed", what=what, text=str(error))]
        doubts = list(self._doubts.get(variant.name, ()))
        if many:
            doubts.append(many[0].upper() + many[1:] + " Split it into several variants.")
        elif not variant.changes:
            doubts.append("sets nothing that current doesn't have: it will measure current a second time.")
        if doubts:
            return [Check(status="warning", what=what, text=text) for text in doubts]
        return [Check(status="ok", what=what, text="applies, one change")]


def _told(change: Change) -> str:
    """``template classify.j2``, ``temperature 0 → 0.7``."""
    if change.kind == "template":
        new = "" if change.before is not None else " (current has no text to compare with)"
        return f"template {change.target}{new}"
    after = cut(clean(change.after), _LONGEST_VALUE)
    before = "" if change.before is None else f"{cut(clean(change.before), _LONGEST_VALUE)} → "
    kind = "node " if change.kind == "node" else ""
    return f"{kind}{change.target}: {before}{after}"
