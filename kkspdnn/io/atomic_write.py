"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from kkspdnn.errors import InputError


@contextmanager
def replace_file(path: Path) -> Iterator[BinaryIO]:
    """
    A new binary file that takes the place of `path` once the block has ended without an error.

    Half a text file reads like a whole one, so a killed or full-disk write must leave nothing
    there. InputError where the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        _open_up(temporary, 0o666)
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def create_folder(path: Path) -> Iterator[Path]:
    """
    An empty folder that becomes `path` once the block has ended without an error.

    InputError where there is something at `path` already, or it cannot be written.
    """
    if path.is_symlink() or (path.exists() and not (path.is_dir() and not any(path.iterdir()))):
        raise InputError(f"{path}: is there already; give the name of a new folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
    try:
        yield temporary
        _open_up(temporary, 0o777)
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _open_up(path: Path, mode: int) -> None:
    """tempfile makes files and folders private; give this one what an ordinary new one would have,
    of `mode`."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(mode & ~mask)
