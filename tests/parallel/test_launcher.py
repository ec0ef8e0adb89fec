"""Detecting a launcher from its environment variables."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import kkspdnn
from kkspdnn.parallel.launcher import Launch, detect_launch


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"PMI_SIZE": "1", "PMI_RANK": "0"}, None),
        ({"PMI_SIZE": "4", "PMI_RANK": "3"}, Launch("mpiexec", 4, 3, "PMI_SIZE")),
        (
            {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"},
            Launch("Open MPI's mpiexec", 2, 1, "OMPI_COMM_WORLD_SIZE"),
        ),
        # A batch script, outside any job step.
        ({"SLURM_NTASKS": "8", "SLURM_PROCID": "0"}, None),
        (
            {"SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "7"},
            Launch("srun", 8, 7, "SLURM_STEP_NUM_TASKS"),
        ),
        # An mpiexec that started its helpers with srun, two ranks on each of two nodes.
        (
            {"PMI_SIZE": "4", "PMI_RANK": "2", "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"},
            Launch("mpiexec", 4, 2, "PMI_SIZE"),
        ),
        ({"PMI_SIZE": "four", "PMI_RANK": "2"}, None),
    ],
)
def test_the_variables_of_launchers(environment: dict[str, str], expected: Launch | None) -> None:
    assert detect_launch(environment) == expected


def test_a_process_without_a_launcher_as_parent_is_not_quiet() -> None:
    """It may have inherited the variables of a launch that it does not belong to."""
    assert not Launch("mpiexec", 4, 3).quiet


def test_inherited_variables_without_mpi4py_are_reported(tmp_path: Path) -> None:
    (tmp_path / "mpi4py.py").write_text("raise ImportError('no mpi4py here')\n")
    home = Path(kkspdnn.__file__).parents[1]
    inherited = {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "1"}
    paths = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{home}"}
    for options, words in (
        (["--neurons", "64"], "unset OMPI_COMM_WORLD_SIZE to run each process by itself"),
        (["--neurons", "x"], "'x' is not a whole number"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "kkspdnn", *options],
            env={**os.environ, **inherited, **paths},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.count("\n") == 1
        assert words in done.stderr
