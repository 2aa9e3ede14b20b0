"""The commits of adoptions: what stands in their message, and where git has one that was made by hand."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pytest_promptune.core.display import clean, cut
from pytest_promptune.core.series.model import Adopted

#: Columns of a commit message.
WIDTH = 72
#: Seconds that git may take; a report is none the worse without a commit.
_PATIENCE = 5.0
#: By which clocks of the machines that adopt and commit may differ.
_SKEW = timedelta(days=1)
_END = "\x00"


def subject(variant: str) -> str:
    """The first line of the message."""
    return cut(f"Adopt prompt variant {clean(variant)}", WIDTH)


def origin(experiment: str) -> str:
    """With this begins the line that says where the numbers are from."""
    return f"Experiment {clean(experiment)}:"


def find_commits(root: Path, adoptions: Iterable[Adopted]) -> dict[tuple[str, str], str]:
    """Commits of adoptions, by experiment and variant; what git doesn't find, or can't say, is left out.

    A commit is one whose message has both lines, as that which ``adopt`` prints: of several the newest that
    HEAD has. In a squashed commit they may be items of a list. Nothing is written.

    Args:
        root: in the repository.
        adoptions: whose commits are wanted.
    """
    wanted = list(adoptions)
    if not wanted:
        return {}
    told = _asked(root, [origin(each.experiment) for each in wanted], since=min(each.at for each in wanted))
    found: dict[tuple[str, str], str] = {}
    for entry in told.split(_END):  # newest first
        commit, _, message = entry.strip("\n").partition("\n")
        lines = {line.strip(" \t*-") for line in message.splitlines()}
        for each in wanted:
            if subject(each.variant) in lines and _begins(lines, origin(each.experiment)):
                found.setdefault((each.experiment, each.variant), commit)
    return found


def _begins(lines: Iterable[str], text: str) -> bool:
    return any(line.startswith(text) for line in lines)


def lost_commits(root: Path, commits: Iterable[str]) -> set[str]:
    """Those that HEAD hasn't, as after amending or rebasing; none where git can't say, as in a shallow clone.

    Args:
        root: in the repository.
        commits: hashes, as long as they are.
    """
    wanted = set(commits)
    if not wanted:
        return set()
    known = _git(root, "rev-parse", "--is-shallow-repository", "HEAD")
    if known is None or known.returncode != 0 or known.stdout.split()[0] != "false":
        return set()
    return {commit for commit in wanted if _is_lost(root, commit)}


def _is_lost(root: Path, commit: str) -> bool:
    done = _git(root, "merge-base", "--is-ancestor", "--end-of-options", f"{commit}^{{commit}}", "HEAD")
    return done is not None and done.returncode in (1, 128)  # no ancestor, or none that there is


def _asked(root: Path, texts: Sequence[str], *, since: str) -> str:
    """Hash and message of the commits in which one of the texts stands, each with an end; or nothing."""
    command = ["log", "--no-show-signature", "--no-color", "--encoding=UTF-8"]
    command += ["--fixed-strings", *(f"--grep={text}" for text in texts), "--format=%H%n%B%x00"]
    try:
        day = datetime.fromisoformat(since.replace("Z", "+00:00")).astimezone(UTC) - _SKEW
    except ValueError:
        return ""
    done = _git(root, *command, f"--since={day.isoformat()}", "HEAD", "--")
    return done.stdout if done is not None and done.returncode == 0 else ""


def _git(root: Path, *words: str) -> subprocess.CompletedProcess[str] | None:
    """What git answers; ``None`` without git, or where it takes too long."""
    try:
        return subprocess.run(
            ["git", "--no-pager", *words],
            cwd=root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            encoding="utf-8",
            errors="replace",
            timeout=_PATIENCE,
            env=os.environ | {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
