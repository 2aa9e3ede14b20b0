"""Sessions that each measured a part of one suite, as shards do: alike in everything but their cases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any

from pytest_promptune.core.series.building import agree
from pytest_promptune.core.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What tells whether a session measured a part of what another one measured the rest of."""

    experiment: str
    #: ``baseline`` or ``compare``.
    mode: str
    commit: str | None = None
    dirty: bool | None = None
    #: Name of the baseline: held-out cases have one of their own, and are no part.
    against: str | None = None
    #: Hashes of its cases by ``module::id``, fingerprints of its variants, hashes of the app's prompts, and
    #: by path of its test modules and the app's own; runs by module.
    cases: Mapping[str, str] = field(default_factory=dict)
    variants: Mapping[str, str] = field(default_factory=dict)
    prompts: Mapping[str, str] = field(default_factory=dict)
    tests: Mapping[str, str] = field(default_factory=dict)
    app: Mapping[str, str] = field(default_factory=dict)
    runs: Mapping[str, int] = field(default_factory=dict)


def part_of(conditions: Mapping[str, Any], options: Mapping[str, Any], **about: Any) -> Part:
    """A session by its conditions and options as they were stored; `about` are the other fields."""
    names = ("cases", "variants", "prompts", "tests", "app", "runs")
    known: dict[str, Any] = {name: conditions.get(name) or {} for name in names}
    return Part(against=options.get("against"), **known, **about)


def other_parts(of: Part, others: Iterable[Part]) -> tuple[str, ...]:
    """Ids of the sessions that measured other cases of the same test modules under the same conditions.

    They have no case in common with it, and the same baseline, commit, variants, prompts, tests and runs.
    """
    return tuple(each.experiment for each in others if _is_other_part(of, each))


def _is_other_part(one: Part, other: Part) -> bool:
    modules, beside = ({case.partition("::")[0] for case in each.cases} for each in (one, other))
    return (
        bool(modules & beside)
        and one.cases.keys().isdisjoint(other.cases)
        and _about(one) == _about(other)
        and one.variants == other.variants
        and one.prompts == other.prompts
        and agree(one.tests, other.tests)
        and agree(one.app, other.app)
        and all(one.runs.get(module) == other.runs.get(module) for module in modules & beside)
    )


def _about(part: Part) -> tuple[object, ...]:
    return part.mode, part.against, part.commit, part.dirty
