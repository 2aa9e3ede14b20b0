"""The tables. Whoever changes them adds a step to `migrations`.

What lists and comparisons are made of is apart from what is large: outputs and rendered prompts are
in `outputs`, manifests and results of whole experiments in `manifests`, so that the history never
touches them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Dialect,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)


class Words(TypeDecorator[str]):
    """Text that both databases take: neither NUL nor lone surrogates, which models give now and then."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002  # theirs
        """Write what can't be stored as its escape."""
        if value is None or (value.isascii() and "\0" not in value):
            return value
        return value.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


metadata = MetaData()
_json = JSON(none_as_null=True)


def _experiment() -> Column[Any]:
    return Column(
        "experiment",
        ForeignKey("promptune_experiments.experiment", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    )


#: One row for each version the store has had; the largest is the present one.
versions = Table(
    "promptune_versions",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
)

experiments = Table(
    "promptune_experiments",
    metadata,
    Column("experiment", Integer, primary_key=True),
    Column("id", Words, nullable=False, unique=True),
    Column("status", Text, nullable=False),
    Column("mode", Words, nullable=False),
    Column("started", Words, nullable=False),
    Column("finished", Words),
    Column("seconds", Double),
    Column("exit_code", Integer),
    Column("note", Words),
    Column("commit", Words),
    Column("branch", Words),
    Column("dirty", Boolean),
    Column("promptune", Words, nullable=False),
    Column("python", Words, nullable=False),
    Column("replay_of", Words),
    Column("conditions_hash", Words, nullable=False),
    # hash of apps and cases: experiments that have it in common make up a tuning series
    Column("series", Words),
    Column("cases", Integer),
    Column("runs", Integer),
    Column("variants", _json),
    Column("samples", Integer, nullable=False, default=0),
    Column("errored", Integer, nullable=False, default=0),
    Column("missing", Integer, nullable=False, default=0),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("cost_usd", Double),
    Column("improved", Integer, nullable=False, default=0),
    Column("regressed", Integer, nullable=False, default=0),
    Column("unchanged", Integer, nullable=False, default=0),
    Column("inconclusive", Integer, nullable=False, default=0),
    Column("gate_failed", Integer, nullable=False, default=0),
    # who writes, and when it last did: see `processes`
    Column("host", Words),
    Column("process", Words),
    Column("heartbeat", Double, nullable=False),
    CheckConstraint("status IN ('running', 'finished', 'interrupted')", name="promptune_status"),
    Index("promptune_experiments_by_series", "series", "experiment"),
)

#: What is large and asked for one experiment at a time.
manifests = Table(
    "promptune_manifests",
    metadata,
    _experiment(),
    Column("conditions", _json, nullable=False),
    Column("options", _json, nullable=False),
    # versions by name, of what stands between the app and its models
    Column("libraries", _json),
    # the results document, without its metrics and comparisons
    Column("results", _json),
)

texts = Table(
    "promptune_texts",
    metadata,
    Column("hash", Words, primary_key=True),
    Column("text", Words, nullable=False),
)

prompts = Table(
    "promptune_prompts",
    metadata,
    _experiment(),
    Column("variant", Words, primary_key=True),
    Column("name", Words, primary_key=True),
    Column("hash", ForeignKey("promptune_texts.hash"), nullable=False, index=True),
)

#: Input and expected of cases, once for all experiments.
contents = Table(
    "promptune_contents",
    metadata,
    Column("hash", Words, primary_key=True),
    Column("input", _json),
    Column("expected", _json),
)

#: The cases that an experiment was to measure, with what they are called.
cases = Table(
    "promptune_cases",
    metadata,
    _experiment(),
    Column("module", Words, primary_key=True),
    Column("case_id", Words, primary_key=True),
    Column("hash", ForeignKey("promptune_contents.hash"), nullable=False, index=True),
    Column("tags", _json, nullable=False),
)

samples = Table(
    "promptune_samples",
    metadata,
    _experiment(),
    # number within the experiment, given by its writer
    Column("sample", Integer, primary_key=True, autoincrement=False),
    Column("app", Words, nullable=False),
    Column("scope", Words, nullable=False),
    Column("case_id", Words, nullable=False),
    Column("case_hash", Words, nullable=False),
    Column("variant", Words, nullable=False),
    Column("run", Integer, nullable=False),
    Column("error_type", Words),
    Column("error_message", Words),
    Column("infrastructure", Boolean, nullable=False),
    Column("latency_s", Double),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("cost_usd", Double),
    Column("attempts", Integer, nullable=False),
    # seconds since 1970
    Column("started", Double),
    Column("finished", Double),
    # per node: calls, latency, usage, models, errors; the prompts are in `outputs`
    Column("nodes", _json, nullable=False),
    # per scorer: its scores with their comments, or its error, and its usage
    Column("scorings", _json, nullable=False),
    UniqueConstraint("experiment", "app", "scope", "case_id", "case_hash", "variant", "run"),
)

outputs = Table(
    "promptune_outputs",
    metadata,
    Column("experiment", Integer, primary_key=True, autoincrement=False),
    Column("sample", Integer, primary_key=True, autoincrement=False),
    Column("output", _json),
    # by node: its rendered prompts and the beginnings of answers; null where it ran and called no model
    Column("prompts", _json, nullable=False),
    ForeignKeyConstraint(
        ["experiment", "sample"],
        ["promptune_samples.experiment", "promptune_samples.sample"],
        ondelete="CASCADE",
    ),
)

#: One row for each test of each sample; the outcome is the value of its assertion metric.
results = Table(
    "promptune_results",
    metadata,
    _experiment(),
    Column("item", Integer, primary_key=True, autoincrement=False),
    Column("module", Words, nullable=False),
    Column("test", Words, nullable=False),
    Column("metric", Words, nullable=False),
    Column("app", Words, nullable=False),
    Column("case_id", Words, nullable=False),
    Column("case_hash", Words, nullable=False),
    Column("variant", Words, nullable=False),
    Column("run", Integer, nullable=False),
    Column("outcome", Words, nullable=False),
    Column("message", Words, nullable=False),
    # what else `Result.to_json` says
    Column("more", _json, nullable=False),
)

#: What tests scored with ``sample.score(name, value)``.
scores = Table(
    "promptune_scores",
    metadata,
    Column("experiment", Integer, primary_key=True, autoincrement=False),
    Column("item", Integer, primary_key=True, autoincrement=False),
    Column("name", Words, primary_key=True),
    Column("value", Double),
    Column("kind", Words, nullable=False),
    Column("direction", Words, nullable=False),
    Column("unit", Words),
    ForeignKeyConstraint(
        ["experiment", "item"],
        ["promptune_results.experiment", "promptune_results.item"],
        ondelete="CASCADE",
    ),
)

metrics = Table(
    "promptune_metrics",
    metadata,
    _experiment(),
    Column("row", Integer, primary_key=True, autoincrement=False),
    Column("module", Words),
    Column("metric", Words, nullable=False),
    Column("variant", Words, nullable=False),
    Column("n_cases", Integer),
    Column("n_samples", Integer),
    Column("mean", Double),
    Column("ci_low", Double),
    Column("ci_high", Double),
    # the whole row of the results document
    Column("data", _json, nullable=False),
    Index("promptune_metrics_by_name", "metric", "variant", "experiment"),
)

comparisons = Table(
    "promptune_comparisons",
    metadata,
    _experiment(),
    Column("row", Integer, primary_key=True, autoincrement=False),
    Column("module", Words),
    Column("metric", Words, nullable=False),
    Column("reference", Words, nullable=False),
    Column("candidate", Words, nullable=False),
    Column("difference", Double),
    Column("ci_low", Double),
    Column("ci_high", Double),
    Column("p_adjusted", Double),
    Column("verdict", Words, nullable=False),
    Column("gate", Words),
    Column("data", _json, nullable=False),
)

#: Variants that became the app's own prompts.
adoptions = Table(
    "promptune_adoptions",
    metadata,
    _experiment(),
    Column("variant", Words, primary_key=True),
    # ISO 8601 in UTC
    Column("at", Words, nullable=False),
    # of the repository when it was written, ``None`` where it wasn't committed
    Column("commit", Words),
)
