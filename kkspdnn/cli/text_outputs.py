"""Text outputs of a run, which are files or, for `-`, standard output."""

from __future__ import annotations

import sys
from pathlib import Path

from kkspdnn.cli.parser import file_path
from kkspdnn.errors import InputError

STANDARD_OUTPUT = Path("-")
"""The path that stands for standard output."""


def output_path(text: str) -> Path:
    """Convert the path of a text output, for argparse; `-` is standard output."""
    path = file_path(text)
    # `./-` is a file, but Path("./-") equals Path("-").
    return Path.cwd() / path if path == STANDARD_OUTPUT and text != "-" else path


def check_output(path: Path) -> None:
    """Raise InputError if this file cannot be written, or standard output is closed.

    No file is changed.
    """
    if path != STANDARD_OUTPUT:
        from kkspdnn.records.run import check_writable

        check_writable(path)
    elif sys.stdout is None:
        raise InputError("standard output (-) is closed; give the name of a file")


def write_output(path: Path, text: str) -> None:
    """Write text to standard output, or to a file atomically.

    Raises InputError if the file cannot be written, and OSError for standard output.
    """
    if path != STANDARD_OUTPUT:
        from kkspdnn.records.run import write_text

        write_text(path, text)
        return
    sys.stdout.write(text)
    sys.stdout.flush()
