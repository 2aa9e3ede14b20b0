"""``nox -s test``, ``check``, ``docs``: what `.ci/run` does, piece by piece and per Python.

``nox -s nightly``: the simulations behind the statistics, in full.
"""

import nox

nox.options.sessions = ["check", "test"]
PYTHONS = ["3.11", "3.12", "3.13"]


@nox.session(python=PYTHONS)
def test(session: nox.Session) -> None:
    """All tests; the embedded model is used where its weights are."""
    session.install("-e", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def check(session: nox.Session) -> None:
    """Style, types, and which way the imports point."""
    session.install("-e", ".[dev]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("lint-imports", env={"PYTHONPATH": "."})


@nox.session
def nightly(session: nox.Session) -> None:
    """The simulations that hold the statistics to their promises, in full (minutes)."""
    session.install("-e", ".[test]")
    session.run("pytest", "-m", "nightly", "tests/nightly", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Run what README and docs show."""
    session.install("-e", ".[test]")
    session.run("pytest", "tests/docs")
