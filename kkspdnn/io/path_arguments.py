"""Paths in the arguments of the readers and writers."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from kkspdnn.errors import InputError, short_repr


def to_path(path: str | PathLike[str]) -> Path:
    """Return an argument as a Path. InputError for another object, such as None or an open file."""
    try:
        return Path(path)
    except TypeError as error:
        raise InputError(
            f"path {short_repr(path)}: give the name of a file or folder, a str or pathlib.Path"
        ) from error
