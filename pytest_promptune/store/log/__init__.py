"""The experiment log: every sample, score and comparison of every session, in SQLite or PostgreSQL.

`LogWriter` writes beside the session, in a thread of its own; `ExperimentLog` reads. Importing this
package is cheap: SQLAlchemy loads in the writer's thread, or when a log is opened for reading.
"""

from pytest_promptune.store.log.checking import check_writable
from pytest_promptune.store.log.lists import Measured, SampleLine, TestOutcome, Wanted
from pytest_promptune.store.log.location import STORE_OPTION, Location, locate, locate_existing
from pytest_promptune.store.log.reader import ExperimentLog
from pytest_promptune.store.log.rows import sample_from_json, sample_to_json
from pytest_promptune.store.log.values import (
    APP,
    MODELS,
    Adoption,
    ExperimentSummary,
    LoggedCase,
    LoggedSample,
    Manifest,
    SampleKey,
    are_other_models,
    conditions_hash,
    differences,
    series_hash,
    storable,
)
from pytest_promptune.store.log.writer import LogWriter

__all__ = [
    "APP",
    "MODELS",
    "STORE_OPTION",
    "Adoption",
    "ExperimentLog",
    "ExperimentSummary",
    "Location",
    "LogWriter",
    "LoggedCase",
    "LoggedSample",
    "Manifest",
    "Measured",
    "SampleKey",
    "SampleLine",
    "TestOutcome",
    "Wanted",
    "are_other_models",
    "check_writable",
    "conditions_hash",
    "differences",
    "locate",
    "locate_existing",
    "sample_from_json",
    "sample_to_json",
    "series_hash",
    "storable",
]
