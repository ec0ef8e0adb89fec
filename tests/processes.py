"""Scripts in a process of their own, with the OpenMP variables that a test gives and no others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import kkspdnn

HOME = Path(kkspdnn.__file__).parents[1]
_OPENMP = ("OMP_", "GOMP_", "KMP_")


def script(text: str, *arguments: str, timeout: float = 150, **variables: str) -> tuple[str, str]:
    """What a script prints on stdout and stderr; it must end with 0 in time."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_OPENMP)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", text, *arguments],
        env={**kept, "PYTHONPATH": str(HOME), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr
