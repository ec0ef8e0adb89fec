"""Processes that run PyKokkos's code with the built-in compiler as `pykokkos`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

_ROOT = Path(__file__).parents[2]


def run_python(
    code: str, arguments: Sequence[str], seconds: float, *, threads: int | None, debug: bool
) -> subprocess.CompletedProcess[str] | None:
    """Run `python -c code arguments` in a folder of its own; None if it takes too long.

    threads: of OpenMP, if it needs a number of them; debug: of the built-in compiler
    """
    path = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
    variables = {
        "PYTHONPATH": os.pathsep.join(each for each in path if each),
        "PYTHONDONTWRITEBYTECODE": "1",
        "KKSPDNN_PK": "builtin",
        "KKSPDNN_DEBUG": str(int(debug)),
        **({"OMP_NUM_THREADS": str(threads)} if threads is not None else {}),
    }
    with TemporaryDirectory(prefix="kkspdnn-bench-") as work:
        try:
            return subprocess.run(
                [sys.executable, "-c", code, *arguments],
                cwd=work,
                env={**os.environ, **variables},
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None
