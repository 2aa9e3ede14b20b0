"""Whether a session could write to the log, found out without leaving anything behind."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_promptune.core.errors import StoreError
from pytest_promptune.store.log.location import Location


def check_writable(location: Location) -> None:
    """Try it where there is a store; where a session would make one, look at the folder alone.

    Raises:
        StoreError: saying what is in the way, and what to do.
    """
    if location.path is not None and not location.path.exists():
        _check_folder(location, location.path)
        return
    from pytest_promptune.store.log import opening

    try:
        opening.try_to_write(location)
    except (opening.DatabaseError, OSError, ImportError) as error:
        raise StoreError(opening.explained(error, location)) from None


def _check_folder(location: Location, path: Path) -> None:
    nearest = next(parent for parent in path.parents if parent.exists())
    obstacle = ""
    if not nearest.is_dir():
        obstacle = f"{nearest} is no folder"
    elif not os.access(nearest, os.W_OK | os.X_OK):
        obstacle = f"{nearest} is not writable"
    if obstacle:
        raise StoreError(
            f"{location}: the experiment log can't be made ({obstacle}). Check the permissions of the "
            f"folder, or give {location.option} another place."
        )
