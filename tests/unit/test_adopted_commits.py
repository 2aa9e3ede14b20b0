"""Commits of adoptions are found by what stands in their messages, in real repositories."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pytest_promptune import adopted_commits
from pytest_promptune.adopted_commits import find_commits, lost_commits, origin, subject
from pytest_promptune.core.series.model import Adopted

FIRST, SECOND = "20261122T100000-aaaaaa", "20261122T120000-bbbbbb"
AT = "2026-11-22T13:00:00Z"


def adopted(variant: str, experiment: str = FIRST, at: str = AT) -> Adopted:
    return Adopted(experiment=experiment, variant=variant, at=at)


def message(variant: str, experiment: str = FIRST) -> str:
    return f"{subject(variant)}\n\n- numbers\n\n{origin(experiment)} 8 cases, 5 runs, scope suite.\n"


class Work:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str, **environment: str) -> str:
        identity = ("-c", "user.name=A", "-c", "user.email=a@b.c")
        command = ["git", *identity, *arguments]
        env = os.environ | environment
        done = subprocess.run(command, cwd=self.path, env=env, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self, text: str, date: str = "2026-11-23T00:00:00Z") -> str:
        self.git("commit", "-q", "--allow-empty", "-m", text, GIT_COMMITTER_DATE=date)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def work(tmp_path) -> Work:
    return Work(tmp_path)


def test_the_commit_with_the_message_is_found(work):
    """Whatever came before and after; from a folder within, too."""
    work.commit("The app")
    made = work.commit(message("kind"))
    work.commit("Later")
    (work.path / "sub").mkdir()
    for root in (work.path, work.path / "sub"):
        assert find_commits(root, [adopted("kind")]) == {(FIRST, "kind"): made}


def test_of_several_the_newest_counts(work):
    """As after a revert, which is none itself."""
    work.commit(message("kind"))
    work.commit(f'Revert "{subject("kind")}"\n\nThis reverts the commit.')
    newest = work.commit(message("kind"))
    assert find_commits(work.path, [adopted("kind")]) == {(FIRST, "kind"): newest}


def test_variant_and_experiment_both_count(work):
    """Neither a longer name nor another experiment is meant; every adoption has its own."""
    work.commit(message("kinder"))
    work.commit(message("kind", SECOND))
    assert find_commits(work.path, [adopted("kind")]) == {}
    mine = work.commit(message("kind"))
    both = [adopted("kind"), adopted("kind", SECOND)]
    found = find_commits(work.path, both)
    assert found[FIRST, "kind"] == mine
    assert found[SECOND, "kind"] != mine


def test_a_squashed_commit_is_one(work):
    """Its message is a list of messages."""
    listed = "\n".join(f"    {line}" for line in message("kind").splitlines())
    made = work.commit(f"Better prompts (7)\n\n* Something\n\n* {listed.strip()}")
    assert find_commits(work.path, [adopted("kind")]) == {(FIRST, "kind"): made}


def test_long_names_and_signs_of_patterns(work):
    """The subject is cut as the message cuts it; nothing is a pattern."""
    for name in ("n" * 100, "a.*[b", "--all", "日本"):
        made = work.commit(message(name))
        assert find_commits(work.path, [adopted(name)]) == {(FIRST, name): made}


def test_what_is_older_than_the_adoption_is_not_its_commit(work):
    """By more than clocks differ."""
    work.commit(message("kind"), date="2026-11-20T00:00:00Z")
    assert find_commits(work.path, [adopted("kind")]) == {}


def test_nothing_is_found_without_a_repository(tmp_path, monkeypatch):
    """Nor without commits, without git, or in a time that is not understood."""
    assert find_commits(tmp_path, [adopted("kind")]) == {}
    work = Work(tmp_path)
    assert find_commits(tmp_path, [adopted("kind")]) == {}
    work.commit(message("kind"))
    assert find_commits(tmp_path, [adopted("kind", at="yesterday")]) == {}
    monkeypatch.setenv("PATH", "")
    assert find_commits(tmp_path, [adopted("kind")]) == {}


def test_git_may_take_its_time_but_not_for_ever(work, monkeypatch):
    """A report goes without the commit then."""
    work.commit(message("kind"))
    monkeypatch.setattr(adopted_commits, "_PATIENCE", 0.0)
    assert find_commits(work.path, [adopted("kind")]) == {}


def test_git_is_not_started_for_nothing(work, monkeypatch):
    """Where every adoption has its commit."""
    monkeypatch.setattr(adopted_commits.subprocess, "run", None)
    assert find_commits(work.path, []) == {}


def test_commits_that_head_has_not(work):
    """Amended away, or unknown; shortened hashes are as good."""
    work.commit("The app")
    gone = work.commit(message("kind"))
    work.git("commit", "-q", "--amend", "--allow-empty", "-m", "Adopted, in other words")
    kept = work.git("rev-parse", "HEAD")
    unknown = "1a2b3c4d5e"
    assert lost_commits(work.path, [gone, gone[:10], kept, kept[:10], unknown]) == {gone, gone[:10], unknown}
    work.git("tag", "option", gone)
    assert lost_commits(work.path, ["--octopus", "option"]) == {"--octopus", "option"}


def test_no_commit_is_lost_where_git_can_not_say(work, tmp_path_factory):
    """No repository, no commit, or a shallow clone."""
    outside = tmp_path_factory.mktemp("outside")
    assert lost_commits(outside, ["1a2b3c4d5e"]) == set()
    assert lost_commits(work.path, ["1a2b3c4d5e"]) == set()
    first = work.commit("The app")
    work.commit("Later")
    clone = outside / "clone"
    work.git("clone", "-q", "--depth=1", work.path.as_uri(), str(clone))
    assert lost_commits(clone, [first]) == set()
