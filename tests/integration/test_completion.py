"""``pytest-promptune completion``: the scripts it prints complete commands in real shells."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from pytest_promptune.cli import main
from pytest_promptune.commands import COMMANDS

#: What a shell offers for a typed line, one word a line; zsh completes on a terminal only.
ASK = {
    "bash": """
        source ./script
        COMP_WORDS=({words}) COMP_CWORD={last} COMP_LINE="{line}" COMP_POINT={length} COMPREPLY=()
        $(complete -p pytest-promptune | sed -E 's/.* -F ([^ ]+) .*/\\1/') pytest-promptune
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """,
    "fish": 'source ./script; complete --do-complete "{line}"',
}


@pytest.fixture
def offered(tmp_path, capsys):
    def ask(shell, *words):
        assert main(["completion", shell]) == 0
        (tmp_path / "script").write_text(capsys.readouterr().out)
        line = " ".join(("pytest-promptune", *words))
        code = ASK[shell].format(
            words=" ".join(f"'{word}'" for word in ("pytest-promptune", *words)),
            last=len(words),
            line=line,
            length=len(line),
        )
        options = ["--norc", "--noprofile"] if shell == "bash" else ["--no-config"]
        done = subprocess.run(
            [shutil.which(shell), *options, "-c", code],
            cwd=tmp_path,
            env={**os.environ, "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stderr == ""
        return {each.split("\t")[0] for each in done.stdout.split("\n") if each}

    return ask


def needs(shell):
    return pytest.param(
        shell, marks=pytest.mark.skipif(shutil.which(shell) is None, reason=f"no {shell} here")
    )


@pytest.mark.parametrize("shell", ["bash", needs("fish")])
def test_a_shell_completes_commands(offered, shell):
    """All of them, those that begin with what is typed, and the commands of a group."""
    first = {command.words[0] for command in COMMANDS}
    assert offered(shell, "") >= first
    assert offered(shell, "me") == {"merge"}
    assert offered(shell, "model", "") >= {"fetch", "path"}


@pytest.mark.parametrize("shell", ["bash", needs("fish")])
def test_a_shell_completes_options(offered, shell):
    """Of the command that is typed."""
    assert offered(shell, "merge", "--ga") >= {"--gate", "--gate-rule"}
    assert "--force" not in offered(shell, "merge", "--")
    assert offered(shell, "merge", "--gate-rule", "non") == {"non-inferiority"}


def test_bash_completes_files(offered, tmp_path):
    """Where a command takes files."""
    (tmp_path / "part-1.json").touch()
    assert "part-1.json" in offered("bash", "merge", "part")


@pytest.mark.parametrize("shell", ["bash", needs("zsh"), needs("fish")])
def test_the_script_is_one_of_the_shell(shell, tmp_path, capsys):
    """The shell itself reads it without a word."""
    assert main(["completion", shell]) == 0
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out)
    done = subprocess.run(
        [shutil.which(shell), "-n", str(script)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_json_has_the_script(capsys):
    """As all commands have it."""
    assert main(["completion", "zsh", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["shell"] == "zsh"
    assert answer["script"].startswith("#compdef pytest-promptune")


def test_an_unknown_shell_is_a_usage_error(capsys):
    """With those that are known."""
    assert main(["completion", "dos"]) == 2
    assert "'bash', 'zsh', 'fish'" in capsys.readouterr().err.replace(
        "bash, zsh, fish", "'bash', 'zsh', 'fish'"
    )


def test_other_commands_do_not_load_it():
    """What prints scripts costs nothing where none is printed."""
    code = (
        "import sys; from pytest_promptune.cli import main; main(['-h']); assert 'shtab' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
