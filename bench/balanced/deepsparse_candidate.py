"""DeepSparse, an engine for sparse networks, in a Python environment of its own.

It has no wheels for Python from 3.12 on and needs NumPy 1. The environment variable
KKSPDNN_DEEPSPARSE_PYTHON names the Python of its environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from bench.balanced.candidate import Candidate
from kkspdnn.choices import METHODS

VARIABLE = "KKSPDNN_DEEPSPARSE_PYTHON"
_PACKAGE = "deepsparse==1.8.0"
_PRINT_VERSION = "from importlib.metadata import version; print(version('deepsparse'))"


def deepsparse_candidates() -> dict[str, Candidate]:
    """Return the candidate by its name."""
    env = {"NM_DISABLE_ANALYTICS": "1"}
    module = "bench.balanced.deepsparse_worker"
    return {"DeepSparse": Candidate(METHODS, None, missing_deepsparse, env, module, _interpreter())}


def missing_deepsparse() -> str | None:
    """Return None if DeepSparse is available, else one line that says how to get it."""
    return _find_version()[1]


def deepsparse_version() -> str:
    """Return the version of DeepSparse, or "unknown"."""
    return _find_version()[0]


def _interpreter() -> str | None:
    """Return the absolute path of the Python, because workers run in folders of their own."""
    found = shutil.which(os.environ.get(VARIABLE, ""))
    return None if found is None else os.path.abspath(found)


def _find_version() -> tuple[str, str | None]:
    """Return the version and None, or "unknown" and why it is missing."""
    name = os.environ.get(VARIABLE)
    if not name:
        why = f"set {VARIABLE} to the Python of an environment with {_PACKAGE} (docs/pruning.md)"
        return "unknown", why
    python = _interpreter()
    if python is None:
        return "unknown", f"{VARIABLE}={name}: no such program; name a Python"
    # -I: PYTHONPATH may name packages of this environment.
    command = [python, "-I", "-c", _PRINT_VERSION]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        why = f"{VARIABLE}={name}: no DeepSparse there; run {name} -m pip install {_PACKAGE}"
        return "unknown", why
    return done.stdout.strip(), None
