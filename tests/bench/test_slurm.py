"""The job scripts, with fake `srun` and `nvidia-smi` commands that record their arguments."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "bench" / "slurm"


@pytest.mark.parametrize(
    ("script", "compiled", "started"),
    [
        ("cpu.sh", "compile --space openmp", "--mpi=pmix --cpus-per-task=32 python -m kkspdnn"),
        ("gpu.sh", "compile --space cuda --arch sm_90", "--mpi=pmix python -m kkspdnn"),
    ],
)
def test_a_job_compiles_once_and_starts_all_ranks(
    tmp_path: Path, script: str, compiled: str, started: str
) -> None:
    calls = tmp_path / "calls"
    (tmp_path / "srun").write_text(f'#!/bin/sh\necho "$@" >> {calls}\n')
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nprintf '9.0\\n9.0\\n'\n")
    for name in ("srun", "nvidia-smi"):
        (tmp_path / name).chmod(0o755)
    job = {"SLURM_JOB_ID": "7", "SLURM_CPUS_ON_NODE": "64", "KKSPDNN_RESULTS": "/results"}
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        [SCRIPTS / script, "--neurons", "4096"],
        env={"PATH": path, "HOME": "/home/me", **job},
        check=True,
        timeout=60,
    )
    first, second = calls.read_text().splitlines()
    assert first == f"--nodes=1 --ntasks=1 python -m kkspdnn {compiled}"
    assert second.startswith(started)
    assert second.endswith(
        "--json /results/kkspdnn-7.json --checkpoint /results/checkpoint --neurons 4096"
    )
