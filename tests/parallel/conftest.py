"""Fixtures that start ranks with mpiexec; tests are skipped without it or mpi4py."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

import kkspdnn
from kkspdnn.parallel.launcher import _VARIABLES
from kkspdnn.pk.build.cache import default_cache

HOME = Path(kkspdnn.__file__).parents[1]

Start = Callable[..., "subprocess.Popen[str]"]
Messages = Callable[[str, str], list[str]]


@pytest.fixture(scope="session")
def start() -> Start:
    """Start ranks of Python with these arguments; there may be more ranks than cores."""
    if find_spec("mpi4py") is None:
        pytest.skip("no mpi4py: pip install mpi4py")
    beside = Path(sys.executable).parent
    mpiexec = shutil.which("mpiexec", path=f"{beside}{os.pathsep}{os.environ.get('PATH', '')}")
    if mpiexec is None:
        pytest.skip("no mpiexec: pip install mpich")
    kept = {name: text for name, text in os.environ.items() if name != "OMP_NUM_THREADS"}
    for _, size, rank in _VARIABLES:
        kept.pop(size, None)
        kept.pop(rank, None)
    environment = {
        **kept,
        "PYTHONPATH": str(HOME),
        "KKSPDNN_CACHE": str(default_cache().root),
        # Open MPI refuses root and oversubscription by default.
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }

    def begin(ranks: int, *arguments: object, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [mpiexec, "-n", str(ranks), sys.executable, *map(str, arguments)],
            env={**environment, **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return begin


@pytest.fixture(scope="session")
def run(start: Start) -> Callable[..., tuple[int, str, str]]:
    """Like `start`, but wait up to two minutes; returns exit code, output and errors."""

    def to_the_end(ranks: int, *arguments: object, **more: str) -> tuple[int, str, str]:
        process = start(ranks, *arguments, **more)
        try:
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
        return process.returncode, out, err

    return to_the_end


@pytest.fixture(scope="session")
def messages() -> Messages:
    """Return the messages of kkspdnn after a failure; launchers print lines as well."""

    def lines(out: str, err: str) -> list[str]:
        assert "categories  " not in out
        return [line for line in err.splitlines() if line.startswith("kkspdnn:")]

    return lines
