"""The app's prompts, as far as they are templates: what `current` says, and what a variant makes of it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_promptune.core.codec import sha256
from pytest_promptune.core.errors import VariantError
from pytest_promptune.core.model import Variant
from pytest_promptune.core.overrides import read_overrides
from pytest_promptune.settings import Settings
from pytest_promptune.variants.literals import with_templates
from pytest_promptune.variants.reading import with_changes

if TYPE_CHECKING:
    from pytest_promptune.variants.templates import Templates


class AppPrompts:
    """The templates of the app; there are none where nobody said which environment loads them."""

    def __init__(self, settings: Settings, *, root: Path) -> None:
        """Nothing is loaded yet.

        Args:
            settings: say where the templates and the variants are.
            root: paths are relative to it.
        """
        self._spec = settings.jinja_env
        self._root = root
        self._folder = root / settings.variants
        self._templates: Templates | None = None

    def prepare(self) -> None:
        """Load the app's templates and let variants replace them, until `close`.

        Raises:
            VariantError: when the environment can't be loaded.
        """
        if self._spec is None:
            return
        from pytest_promptune.variants.templates import Templates, load_environment

        self._templates = Templates(load_environment(self._spec, rootdir=self._root), variants=self._folder)

    def resolved(self, variant: Variant) -> Variant:
        """The variant with the old prompts of its nodes, read where ``prompt_from`` says.

        Raises:
            VariantError: when one can't be read.
        """
        return with_templates(variant, root=self._root)

    def check(self, variant: Variant) -> None:
        """See whether the templates of a variant would reach the app, and what it changes of nodes is sound.

        Raises:
            VariantError: when one of them would not.
        """
        read_overrides(variant)
        if not variant.templates:
            return
        if self._templates is None:
            raise VariantError(_no_environment(variant))
        self._templates.check(variant)

    def kept_by_modules(self) -> str | None:
        """What to say of templates that modules keep since they were imported, if any do."""
        if self._templates is None:
            return None
        from pytest_promptune.variants.templates import captured_templates

        captured = captured_templates(self._templates.env, list(sys.modules.values()))
        return _loaded_too_early(captured) if captured else None

    def texts(self) -> dict[str, str]:
        """The text of each template, as `current` has it."""
        return self._templates.texts(outside=self._folder) if self._templates else {}

    def text_of(self, template: str) -> str | None:
        """The text of one template, as `current` has it now."""
        return self._templates.current(template) if self._templates else None

    def file_of(self, template: str) -> Path | None:
        """The file of one template, ``None`` where its loader names none."""
        return self._templates.file_of(template) if self._templates else None

    def hashes(self, variant: Variant) -> Mapping[str, str]:
        """Hash of each template's text under a variant."""
        replaced = variant.templates
        return {name: sha256(replaced.get(name, text)) for name, text in self.texts().items()}

    def described(self, variant: Variant, contexts: Mapping[str, object]) -> Variant:
        """The variant with what it changes, as far as that is known by now.

        Args:
            variant: as it was read.
            contexts: context fields of the apps, as `current` has them.
        """
        current = self._templates.current if self._templates else lambda _: None
        return with_changes(variant, current_templates=current, current_context=contexts)

    def close(self) -> None:
        """Give the templates back."""
        if self._templates is not None:
            self._templates.uninstall()


def _no_environment(variant: Variant) -> str:
    """What is wrong with a variant of templates where nobody said which environment loads them."""
    return (
        f"variant {variant.name!r} replaces {', '.join(map(repr, variant.templates))}, but "
        "promptune_jinja_env doesn't say where the app's templates are. Set it in the ini file to the "
        'jinja2.Environment the app uses, as promptune_jinja_env = "app.prompts:env".'
    )


def _loaded_too_early(templates: Sequence[str]) -> str:
    return (
        f"{', '.join(templates)} was loaded at import and doesn't see variants: call env.get_template where "
        "the prompt is rendered."
    )
