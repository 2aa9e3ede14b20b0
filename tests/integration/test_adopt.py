"""`pytest-promptune adopt`: a variant becomes the app's own, in real repositories."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_promptune.adopting import adoption, committing, files
from pytest_promptune.adopting.repository import Repository
from pytest_promptune.cli import main
from pytest_promptune.store.files import WriteError
from pytest_promptune.store.log import ExperimentLog, locate

APP = """
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from jinja2 import Environment, FileSystemLoader
from pathlib import Path

env = Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"))


class Model(BaseChatModel):
    @property
    def _llm_type(self):
        return "model"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        right = "yes or no" in messages[-1].text
        return ChatResult(generations=[ChatGeneration(message=AIMessage("yes" if right else "perhaps"))])


def ask(inputs):
    return {"a": Model().invoke(f"Is it so? {inputs['q']}").text}


def render(inputs):
    return {"a": Model().invoke(env.get_template("ask.j2").render(q=inputs["q"])).text}
"""

SUITE = """
import pytest
from pytest_promptune import Case
import my_app

@pytest.fixture(scope="session")
def app():
    return my_app.FUNCTION

@pytest.mark.promptune(app="app", runs=5, retries=0)
@pytest.mark.parametrize("case", [Case(id=f"c{i}", input={"q": f"q{i}"}) for i in range(8)], ids=str)
def test_it(case, sample):
    assert sample.output["a"] == "yes"
"""

LINE = next(i for i, line in enumerate(APP.splitlines(), 1) if "Is it so?" in line)
NODE = "(no node)"
NEW = f"""
description = "asks for one word"

[nodes."{NODE}"]
prompt_from = "my_app.py:{LINE}"
prompt = "Answer yes or no: {{q}}"
"""


def git(folder: Path, *arguments: str) -> str:
    """Run git; fails the test when git does."""
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Adopting:
    """A project with a variant of way B or C, and the command run in it."""

    def __init__(
        self, project: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.project, self.path, self._capsys = project, project.path, capsys
        for name, value in (("AUTHOR", "Ada"), ("COMMITTER", "Ada")):
            monkeypatch.setenv(f"GIT_{name}_NAME", value)
            monkeypatch.setenv(f"GIT_{name}_EMAIL", "ada@example.org")
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(self.path.parent))
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        monkeypatch.delitem(sys.modules, "my_app", raising=False)
        self._monkeypatch = monkeypatch

    def app(self, way: str = "C", ini: str = "") -> None:
        """The app with a better variant `new`."""
        self.project.write(my_app=APP, test_bot=SUITE.replace("FUNCTION", "render" if way == "B" else "ask"))
        self.project.write(
            {
                "pytest.ini": f"[pytest]\npythonpath = .\npromptune_jinja_env = my_app:env\n{ini}",
                "templates/ask.j2": "Is it so? {{ q }}\n",
                ".gitignore": "__pycache__/\nresults-*\npromptune-*\n.pytest_cache/\nrunpytest*\nstd*\n",
            }
        )
        if way == "B":
            self.project.write({"prompts/variants/new/ask.j2": "Answer yes or no: {{ q }}\n"})
        else:
            self.project.write({"prompts/variants/new/variant.toml": NEW})

    def init(self) -> None:
        git(self.path, "init", "-q", "-b", "main")
        git(self.path, "add", "-A")
        git(self.path, "commit", "-q", "-m", "The app")

    def compare(self, *arguments: str) -> Any:
        ran = self.project.run("--promptune-compare", *arguments)
        assert ran.json is not None, ran.text
        return ran

    def adopt(self, *arguments: str, code: int = 0, name: str = "new", collects: bool = False) -> str:
        """What the command says; unless it `collects`, the cases are what they were, which saves seconds."""
        self._capsys.readouterr()
        with self._monkeypatch.context() as patch:
            if not collects:
                patch.setattr(adoption, "cases_today", lambda _: self.cases)
            status = main(["adopt", name, f"--root={self.path}", *arguments])
        sys.modules.pop("my_app", None)
        said = self._capsys.readouterr()
        assert status == code, said.out + said.err
        return said.out + said.err

    def json(self, *arguments: str, code: int = 0, collects: bool = False) -> Any:
        return json.loads(self.adopt("--json", *arguments, code=code, collects=collects).splitlines()[-1])

    @property
    def cases(self) -> Any:
        """Those of the newest experiment."""
        with ExperimentLog(locate(None, root=self.path)) as log:
            return log.conditions_of("last")["cases"]

    def text(self, name: str) -> str:
        return (self.path / name).read_text(encoding="utf-8")

    def state(self) -> dict[str, bytes]:
        """All files that could be written, to see that none was."""
        names = ("my_app.py", "templates/ask.j2", "__promptune__/test_bot.main.json")
        files = [self.path / name for name in names] + sorted((self.path / "prompts").rglob("*"))
        return {str(file): file.read_bytes() for file in files if file.is_file()}

    def everything(self) -> set[Path]:
        """All files there are, but git's own and caches."""
        files = {path for path in self.path.rglob("*") if not {".git", "__pycache__"} & set(path.parts)}
        return {path for path in files if not path.name.endswith(("-wal", "-shm"))}

    @property
    def status(self) -> list[str]:
        return git(self.path, "status", "--porcelain").splitlines()


@pytest.fixture
def adopting(project, capsys, monkeypatch) -> Adopting:
    return Adopting(project, capsys, monkeypatch)


@pytest.fixture(scope="module")
def compared(tmp_path_factory) -> dict[str, Path]:
    """Projects that were compared, by what they are: measuring takes seconds."""
    return {}


@pytest.fixture
def ready(adopting, compared, tmp_path_factory) -> Adopting:
    """Way C, committed, with a baseline, compared."""
    if "C" not in compared:
        adopting.app()
        adopting.project.record()
        adopting.init()
        adopting.compare()
        compared["C"] = tmp_path_factory.mktemp("compared") / "project"
        shutil.copytree(adopting.path, compared["C"], symlinks=True)
    else:
        shutil.copytree(compared["C"], adopting.path, dirs_exist_ok=True, symlinks=True)
    return adopting


@pytest.mark.parametrize("way", ["B", "C"])
def test_the_whole_way(adopting, way: str):
    """Baseline, compare, adopt, commit; the next check compares with the variant's scores."""
    adopting.app(way)
    adopting.project.record()
    adopting.init()
    compared = adopting.compare()
    assert compared.json["decision"]["command"] == "pytest-promptune adopt new"
    found = adopting.json("--commit", "--tag=v2", collects=True)
    assert found["warnings"] == []
    assert found["adopted"]
    if way == "B":
        assert adopting.text("templates/ask.j2") == "Answer yes or no: {{ q }}\n"
        assert adopting.text("my_app.py") == APP
    else:
        new = APP.replace("""f"Is it so? {inputs['q']}\"""", """f"Answer yes or no: {inputs['q']}\"""")
        assert adopting.text("my_app.py") == new
    assert not (adopting.path / "prompts/variants/new").exists()
    assert adopting.status == []
    message = git(adopting.path, "log", "-1", "--format=%B")
    assert message.startswith("Adopt prompt variant new\n\n")
    assert "- test_it: 0.0 % → 100.0 %, +100.0" in message
    assert "improved" in message
    assert max(map(len, message.splitlines())) <= 72
    assert compared.json["experiment"]["id"] in message
    assert git(adopting.path, "rev-parse", "v2^{commit}").strip() == found["commit"]
    recorded = adopting.project.baseline_json()
    assert recorded["scores"]["test_it"]["c0"] == [1] * 5
    ran = adopting.project.run()
    assert ran.code == 0, ran.text
    row = ran.row("test_it", reference="baseline:main")
    assert (row["verdict"], row["difference"]) == ("unchanged", 0)
    assert ran.metric("test_it")["mean"] == 1
    with ExperimentLog(locate(None, root=adopting.path)) as log:
        adoptions = log.adoptions_of(log.experiment(found["experiment"]).series)
    assert [(a.variant, a.commit) for a in adoptions] == [("new", found["commit"])]


def test_without_commit_the_command_is_printed(ready, capsys):
    """What is printed makes the same commit when it is typed, and the report finds it."""
    said = ready.adopt()
    assert "The commit, with the message below:" in said
    command = next(line.strip() for line in said.splitlines() if "git commit" in line)
    assert set(ready.status) == {
        " M my_app.py",
        " M __promptune__/test_bot.main.json",
        " D prompts/variants/new/variant.toml",
    }
    done = subprocess.run(command, shell=True, cwd=ready.path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ready.status == []
    assert git(ready.path, "log", "-1", "--format=%s") == "Adopt prompt variant new\n"
    assert main(["report", "--json", f"--root={ready.path}"]) == 0
    adopted = json.loads(capsys.readouterr().out)["iterations"][0]["adopted"]
    assert (adopted["variant"], adopted["commit"]) == ("new", git(ready.path, "rev-parse", "HEAD").strip())


def test_a_commit_that_was_amended(ready, capsys):
    """The report names the one that HEAD has, and says where there is none with the adoption's message."""

    def reported() -> dict[str, object]:
        capsys.readouterr()
        assert main(["report", "--json", f"--root={ready.path}"]) == 0
        adopted = json.loads(capsys.readouterr().out)["iterations"][0]["adopted"]
        return {key: adopted[key] for key in ("commit", "is_elsewhere")}

    ready.adopt("--commit")
    first = git(ready.path, "rev-parse", "HEAD").strip()
    assert reported() == {"commit": first, "is_elsewhere": False}
    git(ready.path, "commit", "-q", "--amend", "--no-edit", "--date=2020-01-01T00:00:00Z")
    amended = git(ready.path, "rev-parse", "HEAD").strip()
    assert amended != first
    assert reported() == {"commit": amended, "is_elsewhere": False}
    git(ready.path, "commit", "-q", "--amend", "-m", "Better")
    assert reported() == {"commit": first, "is_elsewhere": True}


def test_dry_run_writes_nothing(ready):
    """It shows the diff and the message."""
    before = ready.state()
    said = ready.adopt("--dry-run")
    assert '+    return {"a": Model().invoke(f"Answer yes or no: {inputs[\'q\']}").text}' in said
    assert "Adopt prompt variant new" in said
    assert "would be adopted" in said
    assert ready.state() == before
    assert ready.status == []


def test_other_staged_changes_stay_staged(ready):
    """The commit has exactly what was written."""
    ready.project.write({"other.txt": "staged\n", "unstaged.txt": "not\n"})
    git(ready.path, "add", "other.txt")
    ready.adopt("--commit")
    assert set(ready.status) == {"A  other.txt", "?? unstaged.txt"}
    assert git(ready.path, "show", "--name-only", "--format=", "HEAD").split() == [
        "__promptune__/test_bot.main.json",
        "my_app.py",
        "prompts/variants/new/variant.toml",
    ]


def test_uncommitted_changes_are_not_written_over(ready):
    """Refused before anything is written; --force takes them along."""
    path = ready.path / "my_app.py"
    path.write_text(APP + "# a note\n")
    before = ready.state()
    said = ready.adopt("--commit", code=1)
    assert "my_app.py is changed since the last commit, and would be written over" in " ".join(said.split())
    assert ready.state() == before
    ready.adopt("--commit", "--force")
    assert ready.text("my_app.py").endswith("# a note\n")
    assert ready.status == []


@pytest.mark.parametrize("commit", [["--commit"], []], ids=["commit", "write"])
def test_uncommitted_scores_are_not_written_over(ready, commit: list[str]):
    """A baseline that was recorded again and not committed: git could not give its scores back."""
    recorded = ready.project.baseline_json()
    recorded["scores"]["test_it"]["c0"] = [1, 0, 0, 0, 0]
    ready.project.baseline.write_text(json.dumps(recorded))
    before = ready.state()
    for wishes in (commit, [*commit, "--dry-run"]):
        said = " ".join(ready.adopt(*wishes, code=1).split())
        assert (
            "- __promptune__/test_bot.main.json is changed since the last commit, and would be written over: "
            "commit it, or put it back with git restore. --force adopts it all the same." in said
        )
        assert ready.state() == before
    ready.adopt(*commit, "--force")
    assert ready.project.baseline_json()["scores"]["test_it"]["c0"] == [1] * 5


@pytest.mark.parametrize("kind", ["untracked", "ignored", "staged"])
def test_files_that_git_could_not_give_back(ready, kind: str):
    """A file that is in no commit is not written over either."""
    git(ready.path, "rm", "-q", "--cached", "my_app.py")
    git(ready.path, "commit", "-q", "-m", "Without the app")
    if kind == "staged":
        git(ready.path, "add", "my_app.py")
    if kind == "ignored":
        (ready.path / ".git/info/exclude").write_text("my_app.py\n")
    before = ready.state()
    said = " ".join(ready.adopt("--commit", code=1).split())
    why = {
        "untracked": "not known to git",
        "ignored": "ignored by git",
        "staged": "changed since the last commit",
    }
    assert f"my_app.py is {why[kind]}" in said
    assert ready.state() == before
    said = ready.adopt("--commit", "--force")
    tracked = git(ready.path, "ls-files", "my_app.py").strip()
    assert tracked == ("" if kind == "ignored" else "my_app.py")
    assert ("my_app.py is ignored by git, and in no commit" in said) == (kind == "ignored")


def test_outside_of_git(ready):
    """It works, and says that there is no commit; --commit is refused before anything is written."""
    shutil.rmtree(ready.path / ".git")
    before = ready.state()
    assert "git repository" in ready.adopt("--commit", code=2)
    assert ready.state() == before
    assert "There is no commit to make" in ready.adopt()
    assert "Answer yes or no" in ready.text("my_app.py")


def test_a_detached_head(ready):
    """The commit is made, and said to be on no branch."""
    git(ready.path, "checkout", "-q", "--detach")
    assert "HEAD is detached" in ready.adopt("--commit", "--tag=kept")
    assert git(ready.path, "rev-parse", "kept^{commit}") == git(ready.path, "rev-parse", "HEAD")


def test_a_repository_without_commits(ready):
    """Nothing is in a commit yet, so nothing could be given back; with --force it is the first commit."""
    shutil.rmtree(ready.path / ".git")
    git(ready.path, "init", "-q", "-b", "main")
    git(ready.path, "add", "-A")
    assert "changed since the last commit" in " ".join(ready.adopt("--commit", code=1).split())
    ready.adopt("--commit", "--force")
    assert git(ready.path, "show", "--name-only", "--format=", "HEAD").split() == [
        "__promptune__/test_bot.main.json",
        "my_app.py",
    ]


def test_a_hook_that_refuses(ready):
    """The files stay as written, the message is kept, and the printed command makes the commit later."""
    hook = ready.path / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\necho '\x1b[31mno commits on Fridays'\nexit 1\n")
    hook.chmod(0o755)
    git(ready.path, "rm", "-q", "--cached", "__promptune__/test_bot.main.json")
    git(ready.path, "commit", "-q", "--no-verify", "-m", "Without the baseline")
    said = ready.adopt("--commit", "--tag=v2", code=1)
    assert "no commits on Fridays" in said
    assert "\x1b[31m" not in said
    assert "Answer yes or no" in ready.text("my_app.py")
    assert "?? __promptune__/" in ready.status, "nothing stays staged"
    assert git(ready.path, "tag") == ""
    assert ready.text(".promptune/adopted-new.txt").startswith("Adopt prompt variant new\n")
    hook.unlink()
    command = next(line.strip() for line in said.splitlines() if "git commit" in line)
    subprocess.run(command, shell=True, cwd=ready.path, check=True)
    assert ready.status == []


def test_hooks_run(ready):
    """The user's own, with the user's environment."""
    hook = ready.path / ".git/hooks/commit-msg"
    hook.write_text('#!/bin/sh\necho "Reviewed-by: nobody" >> "$1"\n')
    hook.chmod(0o755)
    ready.adopt("--commit")
    assert "Reviewed-by: nobody" in git(ready.path, "log", "-1", "--format=%B")


def test_tags_are_checked_before_anything_is_written(ready):
    """One that exists, one that can't be, and one without a commit."""
    git(ready.path, "tag", "v1")
    before = ready.state()
    assert "there is a tag v1 already" in ready.adopt("--commit", "--tag=v1", code=2)
    assert "is no name for a tag" in ready.adopt("--commit", "--tag=a b", code=2)
    assert "give both" in ready.adopt("--tag=v2", code=2)
    assert ready.state() == before


def test_a_merge_in_progress(ready):
    """Git commits no single files then: told before anything is written."""
    head = git(ready.path, "rev-parse", "HEAD").strip()
    (ready.path / ".git/MERGE_HEAD").write_text(head + "\n")
    before = ready.state()
    assert "a merge is in progress" in ready.adopt("--commit", code=2)
    assert ready.state() == before


def test_a_linked_working_tree(ready, tmp_path_factory):
    """The commit is on its branch, and the main working tree is not touched."""
    other = tmp_path_factory.mktemp("linked") / "tree"
    git(ready.path, "worktree", "add", "-q", "-b", "tuning", str(other))
    shutil.copytree(ready.path / ".promptune", other / ".promptune")
    assert main(["adopt", "new", f"--root={other}", "--commit"]) == 0
    assert git(other, "status", "--porcelain") == ""
    assert git(ready.path, "log", "-1", "--format=%s", "tuning") == "Adopt prompt variant new\n"
    assert ready.status == []


def test_a_submodule(ready, tmp_path_factory):
    """Files of several repositories are written, and committed by hand; changes in each are seen."""
    app = tmp_path_factory.mktemp("module") / "app"
    app.mkdir()
    git(app, "init", "-q")
    shutil.copy(ready.path / "my_app.py", app)
    git(app, "add", "-A")
    git(app, "commit", "-q", "-m", "The app")
    git(ready.path, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(app), "vendored")
    git(ready.path, "commit", "-q", "-m", "The app is a module")
    toml = ready.path / "prompts/variants/new/variant.toml"
    toml.write_text(toml.read_text().replace("my_app.py", "vendored/my_app.py"))
    before = ready.state()
    assert "several repositories" in ready.adopt("--commit", code=2)
    assert ready.state() == before
    assert "not one git repository" in " ".join(ready.adopt().split())
    assert git(ready.path / "vendored", "status", "--porcelain").split() == ["M", "my_app.py"]


def test_a_variant_that_was_changed_since(ready):
    """The numbers are not its own; nothing is written."""
    toml = ready.path / "prompts/variants/new/variant.toml"
    toml.write_text(toml.read_text().replace("Answer yes", "Only say yes"))
    said = ready.adopt(code=2)
    assert "the variant new was changed since" in " ".join(said.split())
    assert "--promptune-variant=new" in said
    assert ready.text("my_app.py") == APP


def test_tests_and_prompts_of_today(ready):
    """Tests or another prompt of the app that changed since make the numbers another app's."""
    before = ready.state()
    (ready.path / "test_bot.py").write_text(ready.text("test_bot.py") + "\n# stricter\n")
    assert "test_bot.py changed since new was measured" in " ".join(ready.adopt(code=1).split())
    git(ready.path, "checkout", "-q", "test_bot.py")
    (ready.path / "templates/ask.j2").write_text("Is it really so? {{ q }}\n")
    assert "The app's ask.j2 changed since new was measured" in " ".join(ready.adopt(code=1).split())
    git(ready.path, "checkout", "-q", "templates/ask.j2")
    assert ready.state() == before


def test_cases_that_changed_are_told(ready):
    """They are compared again when they were measured; the others count."""
    ready.project.write(
        {"test_bot.py": ready.text("test_bot.py").replace('f"q{i}"', 'f"q{i}" if i else "Q"')}
    )
    said = " ".join(ready.adopt("--force", collects=True).split())
    assert "1 case is changed since (c0)" in said


def test_names_that_are_not_there(ready):
    """Variants and experiments: what there is instead."""
    assert "There are new in" in ready.adopt(name="newer", code=2)
    assert "there is no experiment 'zzz'" in ready.adopt("--experiment=zzz", code=2)
    with ExperimentLog(locate(None, root=ready.path)) as log:
        baseline = log.history()[-1].id
    assert f"{baseline} doesn't compare new with current" in " ".join(
        ready.adopt(f"--experiment={baseline}", code=2).split()
    )


def test_a_variant_that_was_never_compared(ready):
    """Which command measures it."""
    toml = ready.path / "prompts/variants/new/variant.toml"
    ready.project.write({"prompts/variants/other.toml": toml.read_text()})
    said = " ".join(ready.adopt(name="other", code=2).split())
    assert "other was not compared with current yet" in said
    assert "pytest --promptune-compare --promptune-variant=other" in said


def test_a_variant_that_is_no_better(adopting):
    """Refused with the verdicts; --force adopts it and says so."""
    adopting.app()
    adopting.project.write(
        {"prompts/variants/new/variant.toml": NEW.replace("Answer yes or no", "Answer as you like")}
    )
    assert adopting.compare().code == 0
    said = " ".join(adopting.adopt(code=1).split())
    assert "new is not shown to be better in any gated metric" in said
    assert adopting.text("my_app.py") == APP
    found = adopting.json("--force")
    assert any("not shown to be better" in warning for warning in found["warnings"])
    assert "Answer as you like" in adopting.text("my_app.py")


def test_a_small_comparison_after_a_good_one(ready):
    """The newest numbers can't tell, and the refusal names those that did."""
    with ExperimentLog(locate(None, root=ready.path)) as log:
        good = log.experiment("last").id
    ready.compare("--promptune-runs=1", "-k", "c0 or c1")
    ready.compare("--promptune-runs=1", "-k", "c0 or c1")
    said = " ".join(ready.adopt(code=1).split())
    assert (
        "new is not shown to be better in any gated metric (test_it inconclusive; app::error_rate "
        f"inconclusive). Experiment {good} showed it: --experiment {good} takes its numbers." in said
    )
    assert ready.json(f"--experiment={good}")["adopted"]


def test_a_part_of_a_suite_is_not_adopted(adopting):
    """What shards measured: the scores of one would stand for all."""
    adopting.app()
    adopting.init()
    first = adopting.compare("-k", "c0 or c1 or c2 or c3").json["experiment"]["id"]
    second = adopting.compare("-k", "not (c0 or c1 or c2 or c3)").json["experiment"]["id"]
    said = " ".join(adopting.adopt(code=1).split())
    assert f"Experiment {second} is one part of a suite: {first} measured other cases of the same" in said
    assert (
        "Compare new in all cases in one session: pytest --promptune-compare --promptune-variant=new" in said
    )
    assert adopting.text("my_app.py") == APP
    adopting.compare()
    assert adopting.json()["adopted"]


def test_cases_that_are_measured_in_turns_are_no_parts(adopting):
    """The baseline has one set of them: the scores of the other are nobody's to keep."""
    adopting.app()
    suite = adopting.text("test_bot.py").replace("import my_app\n", f"import my_app\n{HELD_OUT}")
    adopting.project.write(
        {"test_bot.py": suite.replace('id=f"c{i}"', 'id=f"h{i}" if held_out else f"c{i}"')}
    )
    adopting.project.record()
    adopting.init()
    ran = adopting.project.run("--promptune-compare", env={"HELD_OUT": "1"})
    assert ran.json is not None, ran.text
    adopting.compare()
    assert adopting.json()["adopted"]


def test_by_hand_and_then_applied(adopting):
    """What can't be written is listed with its place; --applied does the rest after it."""
    adopting.app()
    adopting.project.write({"prompts/variants/new/variant.toml": NEW + "params = { temperature = 0.0 }\n"})
    adopting.init()
    adopting.compare()
    before = adopting.state()
    found = adopting.json("--commit", code=1)
    (left,) = found["by_hand"]
    assert left["where"] == f"my_app.py:{LINE}"
    assert "temperature = 0.0" in left["what"]
    assert not found["adopted"]
    assert adopting.state() == before
    said = adopting.adopt("--commit", code=1)
    assert "pytest-promptune adopt new --applied --commit" in said
    (adopting.path / "my_app.py").write_text(APP.replace("Model()", "Model().bind(temperature=0.0)"))
    adopting.adopt("--applied", "--commit")
    assert "Answer yes or no: " in adopting.text("my_app.py")
    assert "bind(temperature=0.0)" in adopting.text("my_app.py")
    assert adopting.status == []
    assert not (adopting.path / "prompts/variants/new").exists()


def test_notes_in_the_variant_are_not_deleted(ready):
    """A file beside it that no commit has would be lost with it."""
    ready.project.write({"prompts/variants/new/notes.md": "why\n"})
    said = " ".join(ready.adopt(code=1).split())
    assert "prompts/variants/new/notes.md would be deleted with the variant" in said
    assert (ready.path / "prompts/variants/new/notes.md").exists()


def test_templates_that_are_no_files_of_the_project(adopting):
    """A loader that reads from elsewhere: what to change, and --applied sees whether it was."""
    adopting.app("B")
    (adopting.path / "my_app.py").write_text(
        APP.replace(
            'FileSystemLoader(Path(__file__).parent / "templates")',
            'DictLoader({"ask.j2": "Is it? {{ q }}"})',
        ).replace("Environment, FileSystemLoader", "DictLoader, Environment")
    )
    adopting.compare()
    said = adopting.adopt(code=1)
    assert "the template ask.j2 becomes:" in said
    assert "its loader doesn't read it from a file" in said
    assert "the template ask.j2 becomes:" in adopting.adopt("--applied", code=1)


class Broken(Exception):
    """Raised in the middle of an adoption."""


def fail(*_: object, **__: object) -> None:
    """In place of a step."""
    raise Broken


STEPS = {
    "stage": (files.os, "fsync"),
    "move": (files, "_hidden"),
    "check": (adoption, "check_templates"),
    "log": (ExperimentLog, "adopt"),
}


@pytest.mark.parametrize("step", [*STEPS, "first rename", "second rename"])
def test_a_failure_at_each_step_puts_everything_back(ready, monkeypatch, step: str):
    """All files, the variant and the log are as they were, and no temporary file is left."""
    before, everything = ready.state(), ready.everything()
    with monkeypatch.context() as patch:
        if step in STEPS:
            patch.setattr(*STEPS[step], fail)
            with pytest.raises(Broken):
                ready.adopt()
        else:
            patch.setattr(Path, "replace", failing_at(1 if step == "first rename" else 2))
            assert "Everything was put back" in " ".join(ready.adopt(code=2).split())
    assert ready.state() == before
    assert ready.everything() == everything
    with ExperimentLog(locate(None, root=ready.path)) as log:
        assert log.adoptions_of(log.experiment("last").series or "") == []
    ready.adopt("--commit")  # nothing is in the way of a second try
    assert ready.status == []


def failing_at(number: int) -> Any:
    """`Path.replace` on a disk that is full at one of its calls."""
    original, calls = Path.replace, []

    def replace(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == number:
            raise OSError(28, "No space left on device", str(target))
        return original(self, target)

    return replace


def test_a_message_that_cannot_be_kept(ready, monkeypatch):
    """Everything is written by then: the command goes without it, and the message is printed."""

    def refuse(*_: object) -> None:
        raise WriteError("no space")

    monkeypatch.setattr(committing, "write_text", refuse)
    said = ready.adopt()
    assert "git commit --only -- my_app.py" in said
    assert "Adopt prompt variant new" in said


def test_the_message_says_nothing_that_should_not_be_said(ready):
    """Secrets in a note are out, and a description that moves the cursor is harmless."""
    toml = ready.path / "prompts/variants/new/variant.toml"
    secret = "sk-" + "a" * 24
    toml.write_text(toml.read_text().replace("asks for one word", f"\\u001b[2Jkey {secret}"))
    found = ready.json("--dry-run")
    assert secret not in json.dumps(found)
    assert "\x1b" not in found["message"]
    assert "key [redacted]" in found["message"]


CONTEXT_APP = '''
from dataclasses import dataclass
from typing import TypedDict
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime


class State(TypedDict, total=False):
    q: str
    a: str


@dataclass(frozen=True)
class Tunables:
    """What a variant can change."""

    temperature: float = 0.7  # as it was
    system: str = (
        "You are a bot. "
        "Answer as you like."
    )


def answer(state: State, runtime: Runtime[Tunables]):
    tunables = runtime.context or Tunables()
    return {"a": "yes" if "yes or no" in tunables.system else "perhaps"}


def graph():
    builder = StateGraph(State, context_schema=Tunables).add_node("answer", answer)
    return builder.add_edge(START, "answer").compile()
'''


def test_fields_of_the_context(adopting):
    """Way A in a variant of one file: the default in the schema becomes the new value."""
    adopting.project.write(my_app=CONTEXT_APP, test_bot=SUITE.replace("my_app.FUNCTION", "my_app.graph()"))
    variant = '[context]\nsystem = """You are a bot.\nAnswer with yes or no."""\n'
    adopting.project.write({"pytest.ini": "[pytest]\npythonpath = .\n", "prompts/variants/new.toml": variant})
    adopting.compare()
    found = adopting.json()
    assert found["removed"] == "prompts/variants/new.toml"
    assert not (adopting.path / "prompts/variants/new.toml").exists()
    old = '"You are a bot. "\n        "Answer as you like."'
    new = '"You are a bot.\\n"\n        "Answer with yes or no."'
    assert adopting.text("my_app.py") == CONTEXT_APP.replace(old, new)
    ran = adopting.project.run()
    assert ran.code == 0, ran.text
    assert ran.row("test_it", reference="baseline:main")["verdict"] == "unchanged"


CLASSES = """
import pytest
from pytest_promptune import Case
import my_app

@pytest.fixture(scope="session")
def app():
    return my_app.graph()

@pytest.mark.promptune(app="app", runs=5, retries=0)
@pytest.mark.parametrize("case", [Case(id=f"c{i}", input={"q": f"q{i}"}) for i in range(8)], ids=str)
def test_it(case, sample):
    sample.classify(predicted=sample.output["a"], expected="yes")
"""


@pytest.mark.parametrize("several", [True, False])
def test_the_message_has_all_that_the_session_compared(adopting, several: bool):
    """What is of all samples at once, too; and that several changes leave open which one it was."""
    adopting.project.write(my_app=CONTEXT_APP, test_bot=CLASSES)
    variant = '[context]\nsystem = "Answer with yes or no."\n' + "temperature = 0.1\n" * several
    adopting.project.write({"pytest.ini": "[pytest]\npythonpath = .\n", "prompts/variants/new.toml": variant})
    adopting.compare()
    message = " ".join(adopting.json("--dry-run")["message"].split())
    assert "- test_it::macro_f1: 0 → 1.00, " in message
    assert message.index("- test_it:") < message.index("- test_it::macro_f1:")
    said = "More than one thing was changed at a time: what made the difference can't be told."
    assert (said in message) == several


def test_names_that_look_like_patterns(tmp_path, adopting):
    """Git is asked about exactly these files, whatever their names mean to it."""
    git(tmp_path, "init", "-q", "-b", "main")
    odd, beside = tmp_path / "a[b]* ü.j2", tmp_path / "ab.j2"
    odd.write_text("1")
    beside.write_text("1")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "Both")
    repository = Repository.of(odd)
    assert repository is not None
    beside.write_text("2")
    assert repository.changed([odd]) == {}
    assert list(repository.changed([beside])) == [beside]
    odd.write_text("3")
    assert repository.commit([odd], "One\n")[1] == ""
    assert git(tmp_path, "status", "--porcelain", "--", "ab.j2").split() == ["M", "ab.j2"]
    assert repository.changed([odd]) == {}


def test_a_link_leads_to_the_file(ready):
    """What it leads to is replaced, and the link stays."""
    (ready.path / "src").mkdir()
    git(ready.path, "mv", "my_app.py", "src/my_app.py")
    (ready.path / "my_app.py").symlink_to("src/my_app.py")
    git(ready.path, "add", "-A")
    git(ready.path, "commit", "-q", "-m", "A link")
    ready.adopt("--commit")
    assert (ready.path / "my_app.py").is_symlink()
    assert "Answer yes or no" in ready.text("src/my_app.py")
    assert ready.status == []


def test_the_baseline_that_was_compared_with(adopting):
    """Whoever works against another baseline doesn't overwrite main's."""
    adopting.app()
    adopting.project.record()
    main_one = adopting.project.baseline.read_bytes()
    adopting.project.record("--promptune-against=dev")
    adopting.compare("--promptune-against=dev")
    assert adopting.json()["baselines"] == ["__promptune__/test_bot.dev.json"]
    assert adopting.project.baseline.read_bytes() == main_one
    recorded = json.loads(adopting.text("__promptune__/test_bot.dev.json"))
    assert recorded["scores"]["test_it"]["c0"] == [1] * 5


HELD_OUT = """
import os
held_out = "HELD_OUT" in os.environ
"""


@pytest.fixture
def held_out(adopting) -> Adopting:
    """Two baselines of one module, of other cases each, and a comparison beside each; held out last."""
    adopting.app()
    suite = adopting.text("test_bot.py").replace("import my_app\n", f"import my_app\n{HELD_OUT}")
    adopting.project.write(
        {"test_bot.py": suite.replace('id=f"c{i}"', 'id=f"h{i}" if held_out else f"c{i}"')}
    )
    adopting.project.record()
    adopting.project.record("--promptune-against=heldout", env={"HELD_OUT": "1"})
    adopting.init()
    adopting.compare()
    ran = adopting.project.run("--promptune-compare", "--promptune-against=heldout", env={"HELD_OUT": "1"})
    assert ran.json is not None, ran.text
    return adopting


def test_every_baseline_that_the_variant_was_compared_beside(held_out):
    """Tuning cases and held-out ones: both baselines have the variant's scores, in one commit."""
    found = held_out.json("--commit", collects=True)
    assert found["warnings"] == []
    assert found["baselines"] == ["__promptune__/test_bot.heldout.json", "__promptune__/test_bot.main.json"]
    with ExperimentLog(locate(None, root=held_out.path)) as log:
        last, before = (each for each in log.history() if each.mode == "compare")
        adoptions = [log.adoptions_of(each.series or "") for each in (last, before)]
    assert found["experiment"] == last.id
    assert found["notes"] == [
        f"The baseline __promptune__/test_bot.main.json: scores of experiment {before.id}."
    ]
    for name, case in (("main", "c0"), ("heldout", "h0")):
        recorded = json.loads(held_out.text(f"__promptune__/test_bot.{name}.json"))
        assert recorded["scores"]["test_it"][case] == [1] * 5
    assert held_out.status == []
    message = git(held_out.path, "log", "-1", "--format=%B")
    assert f"\nBaseline main:\nExperiment {before.id}: 8 cases" in message
    assert [[(each.experiment, each.commit) for each in some] for some in adoptions] == [
        [(last.id, found["commit"])],
        [(before.id, found["commit"])],
    ], "each series knows of the adoption"
    ran = held_out.project.run()
    assert ran.row("test_it", reference="baseline:main")["verdict"] == "unchanged"


def test_baselines_that_are_not_recorded_are_told(held_out):
    """One that the variant was never compared beside, and one beside which it was another variant."""
    held_out.project.record("--promptune-against=dev")
    toml = held_out.path / "prompts/variants/new/variant.toml"
    toml.write_text(toml.read_text().replace("Answer yes or no", "Please say yes or no"))
    held_out.compare()
    git(held_out.path, "add", "-A")
    git(held_out.path, "commit", "-q", "-m", "Another wording")
    found = held_out.json()
    assert found["baselines"] == ["__promptune__/test_bot.main.json"]
    told = [warning for warning in found["warnings"] if "keeps the scores of the old prompts" in warning]
    assert [warning.rpartition(": ")[2] for warning in told] == [
        f"pytest --promptune-baseline --promptune-against={name} test_bot.py" for name in ("dev", "heldout")
    ]


def test_the_command_after_an_adoption_names_the_baseline(adopting):
    """A plain check would compare with another one, which has the old scores."""
    adopting.app()
    adopting.project.record()
    adopting.compare("--promptune-against=dev")
    said = adopting.adopt()
    assert "Next: pytest --promptune-against=dev compares with the new baseline." in said
    assert "The baseline __promptune__/test_bot.main.json keeps the scores" in said


def test_what_is_worse_beside_another_baseline_stands_against_it(held_out, monkeypatch):
    """The newest comparison shows it better; the one beside main, which is recorded too, showed it worse."""
    with ExperimentLog(locate(None, root=held_out.path)) as log:
        first = next(each.id for each in log.history(None, mode="compare")[::-1])
    original = ExperimentLog.results_of

    def results_of(log: ExperimentLog, name: str) -> dict[str, Any]:
        document = original(log, name)
        for row in document["comparisons"]:
            if name == first and row["metric"] == "test_it":
                row["verdict"] = "regressed"
        return document

    monkeypatch.setattr(ExperimentLog, "results_of", results_of)
    said = " ".join(held_out.adopt(code=1).split())
    assert f"Beside the baseline main, in experiment {first}: new is worse in test_it." in said


def test_only_measured_tests_get_new_scores(adopting):
    """A comparison of some cases leaves the others' scores in the baseline alone."""
    adopting.app()
    adopting.project.record()
    adopting.compare("-k", "c0 or c1 or c2 or c3 or c4")
    adopting.adopt()
    scores = adopting.project.baseline_json()["scores"]["test_it"]
    assert {case: values[0] for case, values in scores.items()} == {
        f"c{i}": 1 if i < 5 else 0 for i in range(8)
    }
