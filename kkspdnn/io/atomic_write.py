"""Atomic creation of files and folders: they are complete or absent."""

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
    Open a temporary binary file that replaces `path` when the block ends without an error.

    An incomplete text file looks like a complete one, so a write that fails must leave no file.
    InputError if the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        _apply_umask(temporary, 0o666)
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def create_folder(path: Path) -> Iterator[Path]:
    """
    Create a temporary folder that is renamed to `path` when the block ends without an error.

    InputError if `path` exists and is not an empty folder, or if it cannot be written.
    """
    if path.is_symlink() or (path.exists() and not (path.is_dir() and not any(path.iterdir()))):
        raise InputError(f"{path}: already exists; give the name of a new folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
    try:
        yield temporary
        _apply_umask(temporary, 0o777)
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _apply_umask(path: Path, mode: int) -> None:
    """Set the permissions of a new file or folder of `mode`. Those of tempfile are private."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(mode & ~mask)
