"""Which variants there are, and which of them a session measures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pytest_promptune.core.errors import VariantError
from pytest_promptune.core.model import CURRENT, Variant
from pytest_promptune.settings import Settings
from pytest_promptune.variants.reading import check_name, is_one_change, read_variants, select


def known_variants(
    settings: Settings, folder: Path, more: Callable[[], Iterable[Variant]]
) -> dict[str, Variant]:
    """All variants there are; a broken one must not stop a session that measures none of them.

    Args:
        settings: what the user asked for.
        folder: of the variants.
        more: variants that plugins give.

    Raises:
        VariantError: when one can't be read, or two have one name.
    """
    known = {CURRENT: Variant(name=CURRENT, description="the app as it stands")}
    if not settings.compare and not settings.variant:
        return known
    known.update(read_variants(folder))
    for variant in more():
        if not isinstance(variant, Variant):
            raise VariantError(
                f"pytest_promptune_variants gives {variant!r}; give Variant objects, as "
                'Variant(name="cold", context={"temperature": 0}).'
            )
        check_name(variant.name, where="pytest_promptune_variants")
        if variant.name in known:
            raise VariantError(
                f"pytest_promptune_variants gives {variant.name!r}, which exists already: rename one."
            )
        known[variant.name] = variant
    return known


def measured_variants(settings: Settings, known: Mapping[str, Variant], folder: Path) -> tuple[Variant, ...]:
    """What is measured, the variant in place of `current` first.

    Raises:
        VariantError: when one that was asked for doesn't exist, or there is none to compare.
    """
    others = {name: variant for name, variant in known.items() if name != CURRENT}
    asked = [name for name in settings.variant if name != CURRENT]
    chosen = select(others, asked, folder=folder) if asked else []
    if not settings.compare:
        return tuple(chosen) or (known[CURRENT],)
    if not others:
        raise VariantError(
            f"--promptune-compare: there is no variant in {settings.variants}. Write one, for example "
            f"{settings.variants}/shorter/ with the changed templates in it or with a variant.toml that "
            "has a [context] table."
        )
    return (known[CURRENT], *(chosen if asked else others.values()))


def is_several_changes(variant: Variant) -> bool:
    """Whether it is known to be more than one change."""
    return variant.name != CURRENT and bool(variant.changes) and not is_one_change(variant)


def too_many_changes(variant: Variant, *, refuse: bool) -> str | None:
    """What to say of a variant that is more than one change.

    Raises:
        VariantError: if such a variant is to be refused.
    """
    if not is_several_changes(variant):
        return None
    text = (
        f"variant {variant.name!r} is more than one change (one prompt, or parameters alone): "
        "a difference won't tell which of them made it."
    )
    if refuse:
        raise VariantError(f"{text} promptune_one_change refuses that: split it into several variants.")
    return text
