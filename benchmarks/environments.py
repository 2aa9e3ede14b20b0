"""An environment of its own for each contender: `python benchmarks/environments.py FOLDER [NAME …]`.

Python's are virtual environments of the running interpreter, promptfoo's is a folder of npm. What is there
already is left alone; delete a folder to install anew. The first one has this package, not editable, so that
its bytecode is cached and edits of the tree don't disturb a measurement.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
#: What is installed into the environment of this name.
REQUIREMENTS = {
    "promptune": [f"{ROOT}[xdist]"],
    "pydantic-evals": ["pydantic-evals"],
    "langsmith": ["langsmith"],
    "braintrust": ["braintrust"],
    "deepeval": ["deepeval"],
    "inspect-ai": ["inspect-ai"],
}
NODE = "promptfoo"
NAMES = (*REQUIREMENTS, NODE)


def python_of(folder: Path, name: str) -> Path:
    """The interpreter of an environment."""
    return folder / name / "bin" / "python"


def promptfoo_of(folder: Path) -> Path:
    """The command of promptfoo."""
    return folder / NODE / "node_modules" / ".bin" / "promptfoo"


def is_there(folder: Path, name: str) -> bool:
    """Whether an environment was made."""
    return (promptfoo_of(folder) if name == NODE else python_of(folder, name)).exists()


def version_of(folder: Path, name: str) -> str:
    """The version of what an environment was made for."""
    if name == NODE:
        return str(json.loads((folder / NODE / "node_modules/promptfoo/package.json").read_text())["version"])
    package = "pytest-promptune" if name == "promptune" else name
    code = f"from importlib.metadata import version; print(version({package!r}))"
    command = [python_of(folder, name), "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def make(folder: Path, name: str) -> None:
    """Make an environment; pip and npm say what went wrong."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    if name == NODE:
        if shutil.which("npm") is None:
            raise SystemExit("promptfoo needs Node.js: install nodejs and npm, or name the others.")
        place = folder / NODE
        place.mkdir(parents=True)
        (place / "package.json").write_text('{"private": true}\n')
        command = ["npm", "install", "--no-audit", "--no-fund", "promptfoo"]
        subprocess.run(command, cwd=place, check=True, env=environment)
        return
    venv.create(folder / name, with_pip=True)
    command = [str(python_of(folder, name)), "-m", "pip", "install", "--quiet", *REQUIREMENTS[name]]
    subprocess.run(command, check=True, env=environment)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the environments are")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all by default")
    arguments = parser.parse_args()
    for name in arguments.names or NAMES:
        if name not in NAMES:
            parser.error(f"{name!r} is none of {', '.join(NAMES)}")
        if not is_there(arguments.folder, name):
            make(arguments.folder.absolute(), name)
        print(f"{name} {version_of(arguments.folder.absolute(), name)}")


if __name__ == "__main__":
    main()
