"""Case books out of the experiment log."""

from __future__ import annotations

from dataclasses import replace

import views
from log_samples import manifest, result, sample, write

from pytest_promptune.case_books import read_case_book
from pytest_promptune.store.log import ExperimentLog, locate


def test_what_the_log_wrote_otherwise_is_found(tmp_path):
    """A case or a variant with NUL or half a character in its name has its output beside its results."""
    odd, strange = "c\0\ud800", "v\udfff"
    location = locate(None, root=tmp_path)
    known = sample()
    key = replace(known.key, case_id=odd, case_hash="sha256:1", variant=strange, scope="test_a.py")
    writer = write(location, replace(known, key=key))
    view = views.view(experiment=views.experiment(id=manifest().id, variants=(strange,)))
    given = [result(odd, case_hash="sha256:1", variant=strange)]
    with ExperimentLog(location) as log:
        (case,) = read_case_book(log, view, results=given).cases
    writer.close()
    assert case.samples[0].variant == strange
    assert "größe" in (case.samples[0].output or "")
