"""Telling a launcher by its variables."""

from __future__ import annotations

import pytest

from kkspdnn.ranks.launch import Launch, launch


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, None),
        ({"PMI_SIZE": "1", "PMI_RANK": "0"}, None),
        ({"PMI_SIZE": "4", "PMI_RANK": "3"}, Launch("mpiexec", 4, 3)),
        (
            {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"},
            Launch("Open MPI's mpiexec", 2, 1),
        ),
        # A batch script runs on the first of its nodes, outside any step.
        ({"SLURM_NTASKS": "8", "SLURM_PROCID": "0"}, None),
        ({"SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "7"}, Launch("srun", 8, 7)),
        # An mpiexec that srun helped to start its ranks, two on each of two nodes.
        (
            {"PMI_SIZE": "4", "PMI_RANK": "2", "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"},
            Launch("mpiexec", 4, 2),
        ),
        ({"PMI_SIZE": "four", "PMI_RANK": "2"}, None),
    ],
)
def test_what_a_launcher_sets(environment: dict[str, str], found: Launch | None) -> None:
    assert launch(environment) == found
