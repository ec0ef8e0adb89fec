"""Whether an MPI launcher started this process, told from the environment that it sets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

_VARIABLES = (
    ("Open MPI's mpiexec", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("mpiexec", "PMI_SIZE", "PMI_RANK"),
    ("mpiexec", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"),
    ("srun", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
)
"""How many processes there are, and which one this is. An mpiexec may itself start its helpers with
srun, so Slurm's own count comes last."""


@dataclass(frozen=True)
class Launch:
    """A launch of more than one process: by what, how many, and which one this is."""

    by: str
    size: int
    rank: int


def launch(environment: Mapping[str, str] = os.environ) -> Launch | None:
    """The launch that this process is part of; None where it was started alone."""
    for by, size, rank in _VARIABLES:
        count, number = environment.get(size, ""), environment.get(rank, "")
        if count.isdecimal() and number.isdecimal():
            return Launch(by, int(count), int(number)) if int(count) > 1 else None
    return None
