"""``model fetch`` and ``model path``: the embedded language model."""

from __future__ import annotations

import argparse
import sys

from pytest_promptune.commands.model import Answer, Command


def _model_fetch_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="fetch it again even if it is there")


def _model_fetch(arguments: argparse.Namespace) -> Answer:
    from pytest_promptune.local.weights import fetch_weights, find_weights

    weights = find_weights()
    if arguments.force or weights is None or weights.source == "cache":
        weights = fetch_weights(force=arguments.force, report=lambda line: sys.stderr.write(line + "\n"))
    return _weights(str(weights.path), weights.source, weights.model)


def _model_path(_: argparse.Namespace) -> Answer:
    from pytest_promptune.local.weights import require_weights

    weights = require_weights()
    return _weights(str(weights.path), weights.source, weights.model)


def _weights(path: str, source: str, model: str) -> Answer:
    return Answer(text=path, data={"path": path, "source": source, "model": model})


FETCH = Command(
    words=("model", "fetch"),
    help="download the embedded model (93 MB, once) and print where it is",
    run=_model_fetch,
    arguments=_model_fetch_arguments,
)

PATH = Command(
    words=("model", "path"),
    help="print where the embedded model is",
    run=_model_path,
)
