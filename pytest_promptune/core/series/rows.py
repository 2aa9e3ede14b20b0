"""Rows of results documents as values again, as far as the final report shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_promptune.core.model import Change
from pytest_promptune.core.values import dataclass
from pytest_promptune.core.view import CaseLists, ComparisonRow, Interval, MetricName, NodeLatency, NodeRow

_NAME = ("metric", "test", "module", "app", "kind", "direction")
_TUPLES = ("failing_cases",)
_LIMITS = ("ci", "ratio_ci")
#: What older documents don't have, where unknown isn't the default of the field.
_USUAL = {"n_cases": 0, "scope": "suite", "reason": "", "gate": "off", "gated": False, "constant": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """The mean of a metric under one variant."""

    name: MetricName
    variant: str
    mean: float | None
    ci: Interval | None


def comparison_from(data: Mapping[str, Any]) -> ComparisonRow:
    """A row of ``comparisons``; keys that it lacks are unknown.

    Raises:
        KeyError: when it doesn't say what is compared.
    """
    fields = ComparisonRow.__dataclass_fields__
    values = {name: data.get(name, _USUAL.get(name)) for name in fields if name in data or name in _USUAL}
    optional = {name: None for name, field in fields.items() if "None" in str(field.type)}
    values = optional | values
    values |= {name: _limits(data.get(name)) for name in _LIMITS}
    values |= {name: tuple(data.get(name) or ()) for name in _TUPLES}
    lists = data.get("cases") or {}
    values["cases"] = CaseLists(
        **{name: tuple(lists.get(name) or ()) for name in CaseLists.__dataclass_fields__}
    )
    values.pop("case_means", None)
    for name in ("reference", "candidate", "verdict"):
        values[name] = data[name]
    return ComparisonRow(**values | {"name": name_from(data)})


def name_from(data: Mapping[str, Any]) -> MetricName:
    """Which metric a row is of.

    Raises:
        KeyError: when it doesn't say.
    """
    values: dict[str, Any] = {key: data[key] for key in _NAME}
    return MetricName(**values, unit=data.get("unit"))


def mean_from(data: Mapping[str, Any]) -> Mean:
    """What a row of ``metrics`` says of the mean.

    Raises:
        KeyError: when it doesn't say of what.
    """
    return Mean(
        name=name_from(data), variant=data["variant"], mean=data.get("mean"), ci=_limits(data.get("ci"))
    )


def node_from(data: Mapping[str, Any]) -> NodeRow:
    """A row of ``nodes``.

    Raises:
        KeyError: when it doesn't say which.
    """
    latency = data.get("latency_s") or {}
    return NodeRow(
        node=data["node"],
        variant=data["variant"],
        app=data.get("app") or "",
        scope=data.get("scope") or "",
        samples=data.get("samples") or 0,
        calls=data.get("calls") or 0,
        retries=data.get("retries") or 0,
        latency_s=NodeLatency(**{name: latency.get(name) for name in NodeLatency.__dataclass_fields__}),
        input_tokens=data.get("input_tokens"),
        output_tokens=data.get("output_tokens"),
        cost_usd=data.get("cost_usd"),
        share_of_latency=data.get("share_of_latency"),
        share_of_cost=data.get("share_of_cost"),
        share_of_tokens=data.get("share_of_tokens"),
        errors=data.get("errors") or {},
    )


def change_from(data: Mapping[str, Any]) -> Change:
    """One change of a variant.

    Raises:
        KeyError: when it doesn't say what is changed into what.
    """
    return Change(
        kind=data["kind"],
        target=data["target"],
        before=data.get("before"),
        after=data["after"],
        what=data.get("what") or "prompt",
    )


def _limits(found: Any) -> Interval | None:
    return (found[0], found[1]) if isinstance(found, list | tuple) and len(found) == 2 else None
