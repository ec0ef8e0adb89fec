"""Runs cells in IPython: a JSON list of them on each line of stdin, their results on stdout.

The result of a cell is the repr of its last expression, or the type and message of its error.
"""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stdout
from typing import Any

from IPython.core.interactiveshell import InteractiveShell


def run(shell: InteractiveShell, cell: str) -> str:
    """Run a cell; what it prints is dropped."""
    with redirect_stdout(io.StringIO()):
        result: Any = shell.run_cell(cell, store_history=True)
    error = result.error_before_exec or result.error_in_exec
    return f"{type(error).__name__}: {error}" if error is not None else repr(result.result)


def main() -> None:
    """Answer each line, in a new namespace."""
    shell: InteractiveShell = InteractiveShell.instance()
    for line in sys.stdin:
        shell.reset()
        print(json.dumps([run(shell, cell) for cell in json.loads(line)]), flush=True)


if __name__ == "__main__":
    main()
