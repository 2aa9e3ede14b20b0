"""``examples/ci``: the workflow files are real, and their command lines are run here in their order."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples" / "ci"
GITHUB = sorted(EXAMPLES.glob("github/*.yml"))
GITLAB = EXAMPLES / "gitlab" / ".gitlab-ci.yml"
FILES = [*GITHUB, GITLAB]


@dataclass(frozen=True)
class Step:
    """One command of a job, as a shell would get it."""

    job: str
    script: str

    @property
    def is_ours(self) -> bool:
        return re.search(r"^\s*pytest(-promptune)?\s", self.script, re.MULTILINE) is not None


def load(path: Path) -> dict[Any, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def github_steps(path: Path) -> list[Step]:
    """All `run` steps, jobs in the order of their needs, each once for each entry of its matrix."""
    jobs = load(path)["jobs"]
    order = sorted(jobs, key=lambda name: "needs" in jobs[name])
    steps = []
    for name in order:
        matrix = jobs[name].get("strategy", {}).get("matrix", {}).get("include", [{}])
        for entry, step in itertools.product(matrix, jobs[name]["steps"]):
            if "run" in step:
                filled = {f"matrix.{key}": str(value) for key, value in entry.items()}
                script = re.sub(r"\$\{\{ *([\w.]+) *\}\}", lambda found, of=filled: of[found[1]], step["run"])
                steps.append(Step(name, script))
    return steps


def gitlab_steps() -> list[Step]:
    """All scripts, stage by stage, parallel ones with the variables of each."""
    file = load(GITLAB)
    jobs = {name: job for name, job in file.items() if isinstance(job, dict) and "script" in job}
    steps = []
    for name in sorted(jobs, key=lambda name: file["stages"].index(jobs[name]["stage"])):
        matrix = jobs[name].get("parallel", {}).get("matrix", [{}])
        entries = [
            dict(zip(each, values, strict=True))
            for each in matrix
            for values in itertools.product(*each.values())
        ]
        for number, entry in enumerate(entries, start=1):
            variables = "".join(f"{key}='{value}'\n" for key, value in entry.items())
            steps += [
                Step(name, f"{variables}CI_NODE_INDEX={number}\n{script}") for script in jobs[name]["script"]
            ]
    return steps


def steps_of(path: Path) -> list[Step]:
    return gitlab_steps() if path == GITLAB else github_steps(path)


def known_options(*command: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-m", *command, "--help"], capture_output=True, text=True, check=True
    )
    return set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", done.stdout))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_is_a_workflow(path):
    """YAML with jobs that have steps, triggers, and least permissions."""
    file = load(path)
    if path == GITLAB:
        assert {"gate", "measure", "merge", "baseline"} <= set(file)
        assert all("rules" in file[name] for name in ("gate", "measure", "merge", "baseline"))
        return
    triggers = file[True]  # `on` is a boolean of YAML 1.1
    assert set(triggers) <= {"pull_request", "push", "workflow_dispatch"}
    assert "pull_request_target" not in triggers
    writes = [name for name, level in file["permissions"].items() if level == "write"]
    assert bool(writes) == (path.name == "baseline.yml")
    for job in file["jobs"].values():
        assert all(("run" in step) != ("uses" in step) for step in job["steps"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_option_exists(path):
    """In `pytest --help` and `pytest-promptune merge --help`."""
    known = {
        "pytest": known_options("pytest"),
        "pytest-promptune": known_options("pytest_promptune.cli", "merge"),
    }
    known["pytest"] |= {"-p", "-k"}
    found = 0
    for step in steps_of(path):
        for line in re.findall(r"^\s*(pytest(?:-promptune)?) ([^\n]*)", step.script, re.MULTILINE):
            options = re.findall(r"(?:^|\s)(--?[a-z][\w-]*)", line[1])
            assert set(options) <= known[line[0]], set(options) - known[line[0]]
            found += len(options)
    assert found >= 3


#: The project that the files expect.
@pytest.fixture
def checkout(project):
    project.bot(name="tests/prompts/test_bot.py")
    test = project.path / "tests" / "prompts" / "test_bot.py"
    test.write_text(test.read_text().replace("runs=3", "runs=5"))
    commands = project.path / "bin"
    commands.mkdir()
    for name, module in (
        ("pytest", "pytest -p pytest_promptune.plugin"),
        ("pytest-promptune", "pytest_promptune.cli"),
    ):
        (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        (commands / name).chmod(0o755)
    return project.path


def run(step: Step, checkout: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """A step as the runner runs it, with its shell's options."""
    outside = ("GITHUB_", "PYTEST", "CI", "BOT_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(outside)}
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step.script],
        cwd=checkout,
        env={
            **inherited,
            "PATH": f"{checkout / 'bin'}:{os.environ['PATH']}",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            **env,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def record(checkout: Path, **env: str) -> None:
    (step,) = (step for step in github_steps(EXAMPLES / "github" / "baseline.yml") if step.is_ours)
    done = run(step, checkout, **env)
    assert done.returncode == 0, done.stdout
    assert list(checkout.glob("tests/prompts/__promptune__/*.json"))


def ours(path: Path) -> list[Step]:
    return [step for step in steps_of(path) if step.is_ours and "--promptune-baseline" not in step.script]


def test_a_pull_request_is_gated(checkout):
    """Fails without a baseline, passes with it, fails at a regression: with summary, annotations, files."""
    (gate,) = ours(EXAMPLES / "github" / "prompts.yml")
    github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(checkout / "summary.md")}
    assert run(gate, checkout, **github).returncode == 1, "there is no baseline yet"
    record(checkout)
    passed = run(gate, checkout, **github)
    assert passed.returncode == 0, passed.stdout
    assert "::error" not in passed.stdout
    failed = run(gate, checkout, **github, BOT_MISS="all")
    assert failed.returncode == 1
    assert (
        "::error file=tests/prompts/test_bot.py,line=8,title=Prompt regression%3A test_answer::"
        in failed.stdout
    )
    assert "regressed" in (checkout / "summary.md").read_text()
    for name in ("promptune-report.md", "promptune.json", "junit.xml"):
        assert (checkout / name).exists()


def test_without_the_key_the_job_says_so(checkout):
    """A pull request from a fork is told why nothing was measured, and is not failed for it."""
    (step,) = (each for each in github_steps(EXAMPLES / "github" / "prompts.yml") if "there=" in each.script)
    output = checkout / "output"
    done = run(step, checkout, GITHUB_OUTPUT=str(output), OPENAI_API_KEY="")
    assert done.returncode == 0
    assert done.stdout.startswith("::notice title=Prompts not measured::")
    assert output.read_text() == "there=false\n"
    assert run(step, checkout, GITHUB_OUTPUT=str(output), OPENAI_API_KEY="x").stdout == ""
    assert output.read_text() == "there=false\nthere=true\n"
    before = Step(
        "gate", next(each for each in load(GITLAB)[".prompts"]["before_script"] if "exit 77" in each)
    )
    assert run(before, checkout, OPENAI_API_KEY="").returncode == 77
    assert run(before, checkout, OPENAI_API_KEY="x").returncode == 0


@pytest.mark.parametrize("path", [EXAMPLES / "github" / "shards.yml", GITLAB], ids=["github", "gitlab"])
def test_parts_are_merged_and_gated(checkout, path):
    """Together they measure the suite once; the gate of the merge is the only one."""
    record(checkout)
    for miss, status in (("", 0), ("all", 1)):
        calls = checkout / "tests" / "prompts" / "calls.log"
        calls.unlink()
        parts = [step for step in ours(path) if step.job == "measure"]
        assert len(parts) == 3
        for step in parts:
            done = run(step, checkout, BOT_MISS=miss, GITHUB_ACTIONS="true")
            assert done.returncode == 0, done.stdout
            assert "::error" not in done.stdout
        assert len(calls.read_text().split()) == 6 * 5
        (merge,) = (step for step in ours(path) if "merge" in step.script)
        done = run(merge, checkout, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(checkout / "summary.md"))
        assert done.returncode == status, done.stdout + done.stderr
        assert ("::error file=tests/prompts/test_bot.py," in done.stdout) == bool(status)
        assert "not measured" not in done.stdout
        assert (checkout / "promptune-report.md").exists()


def test_the_gate_of_gitlab(checkout):
    """The same commands."""
    (gate,) = (step for step in gitlab_steps() if step.job == "gate" and step.is_ours)
    (recording,) = (step for step in gitlab_steps() if "--promptune-baseline" in step.script)
    assert run(recording, checkout).returncode == 0
    assert run(gate, checkout).returncode == 0
    assert run(gate, checkout, BOT_MISS="all").returncode == 1


@pytest.mark.parametrize("path", [EXAMPLES / "github" / "baseline.yml", GITLAB], ids=["github", "gitlab"])
def test_a_baseline_is_proposed_when_it_changed(checkout, path):
    """On a branch of its own, which is pushed; an unchanged one is not."""
    (proposing,) = (step for step in steps_of(path) if "git diff --cached --quiet" in step.script)
    remote = checkout / "remote.git"
    script = proposing.script.replace(
        "https://promptune:$BASELINE_TOKEN@$CI_SERVER_HOST/$CI_PROJECT_PATH.git", "origin"
    )
    script = re.sub(
        r"-o \S+=(\"[^\"]*\"|\S+)|-o merge_request\.create", "", script
    )  # no server takes push options
    (checkout / "bin" / "gh").write_text('#!/bin/sh\necho "$@" >> gh.log\n')
    (checkout / "bin" / "gh").chmod(0o755)
    names = {f"GIT_{who}_{what}": "a" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    env = {**names, "GITHUB_SHA": "a" * 40, "CI_COMMIT_SHORT_SHA": "aaaaaaa", "CI_SERVER_HOST": "example.org"}
    record(checkout)
    start = "git init -qb main && git init -q --bare remote.git && git remote add origin ./remote.git"
    started = run(Step("", f"{start} && git add tests && git commit -qm start"), checkout, **env)
    assert started.returncode == 0, started.stderr
    assert "is the one that is committed" in run(Step("", script), checkout, **env).stdout
    record(checkout, BOT_MISS="c01")
    done = run(Step("", script), checkout, **env)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = f"git --git-dir {remote} show --stat --format=%s promptune/baseline"
    pushed = run(Step("", shown), checkout).stdout
    assert pushed.startswith("Record the prompt baseline of aaaaaaa\n")
    assert "tests/prompts/__promptune__/test_bot.main.json" in pushed
    assert "1 file changed" in pushed
    if path != GITLAB:
        assert "pr create --head promptune/baseline --base main" in (checkout / "gh.log").read_text()
