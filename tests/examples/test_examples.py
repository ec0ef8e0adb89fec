"""The scripts of examples/ run, each as a user starts it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import kkspdnn

ROOT = Path(kkspdnn.__file__).parents[1]
_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def run(*command: object) -> str:
    """The output of a command, which must succeed."""
    done = subprocess.run(
        list(map(str, command)), env=_ENVIRONMENT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_challenge() -> None:
    out = run(sys.executable, ROOT / "examples" / "challenge.py")
    assert "categories: 1,812" in out
    assert "serial reference: agrees" in out


@pytest.mark.slow
def test_challenge_with_the_official_files(challenge_folder: Path) -> None:
    command = sys.executable, ROOT / "examples" / "challenge.py"
    assert "official categories: the same" in run(*command, "--data", challenge_folder)


@pytest.mark.slow
def test_pruned_pytorch() -> None:
    out = run(sys.executable, ROOT / "examples" / "pruned_pytorch.py")
    assert "largest difference" in out
    assert ("PyTorch is not installed" in out) == (find_spec("torch") is None)


@pytest.mark.slow
def test_sklearn_pipeline() -> None:
    pytest.importorskip("sklearn", reason="no scikit-learn: pip install scikit-learn")
    out = run(sys.executable, ROOT / "examples" / "sklearn_pipeline.py")
    assert "64 -> 10 neurons" in out
    assert "largest difference from dense NumPy" in out


@pytest.mark.slow
def test_own_workunit() -> None:
    assert "SciPy agrees" in run(sys.executable, ROOT / "examples" / "own_workunit.py")


@pytest.mark.slow
def test_mpi() -> None:
    mpiexec = Path(sys.executable).with_name("mpiexec")
    found = str(mpiexec) if mpiexec.exists() else shutil.which("mpiexec")
    if find_spec("mpi4py") is None or found is None:
        pytest.skip("no mpi4py or mpiexec: pip install mpi4py mpich")
    script = ROOT / "examples" / "mpi.py"
    out = run(found, "-n", 2, sys.executable, "-m", "mpi4py", script)
    assert "1,812 categories from 2 ranks" in out
