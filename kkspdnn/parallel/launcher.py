"""Detection of the MPI launcher that started this process, from environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_VARIABLES = (
    ("Open MPI's mpiexec", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("mpiexec", "PMI_SIZE", "PMI_RANK"),
    ("mpiexec", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"),
    ("srun", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
)
"""Each launcher with the variables for the number of processes and for the rank. An mpiexec may
start its helper processes with srun, so Slurm's variables come last."""

_LAUNCHER_PROCESSES = frozenset(
    ("hydra_pmi_proxy", "mpiexec", "mpiexec.hydra", "mpirun", "mpispawn", "orted", "pmi_proxy")
    + ("prted", "prterun", "slurmstepd")
)
"""The programs that start ranks, as /proc names them."""


@dataclass(frozen=True)
class Launch:
    """A launch of several processes.

    launcher: the name of the launcher
    size: the number of processes; rank: the number of this process
    variable: the environment variable with the number of processes
    """

    launcher: str
    size: int
    rank: int
    variable: str = ""

    @property
    def quiet(self) -> bool:
        """Whether this rank leaves messages that concern all ranks to rank 0.

        False if no launcher is the parent process: a shell or script on a rank passes the variables
        on to processes that are not ranks.
        """
        return self.rank > 0 and _parent_name() in _LAUNCHER_PROCESSES


def detect_launch(environment: Mapping[str, str] = os.environ) -> Launch | None:
    """Return the launch that this process belongs to; None if it runs alone."""
    for launcher, size, rank in _VARIABLES:
        count, number = environment.get(size, ""), environment.get(rank, "")
        if count.isdecimal() and number.isdecimal():
            return Launch(launcher, int(count), int(number), size) if int(count) > 1 else None
    return None


def _parent_name() -> str:
    try:
        return Path(f"/proc/{os.getppid()}/comm").read_text().strip()
    except OSError:
        return ""
