"""Whether an MPI launcher started this process, told from the environment that it sets."""

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
"""How many processes there are, and which one this is. An mpiexec may itself start its helpers with
srun, so Slurm's own count comes last."""

_STARTERS = frozenset(
    ("hydra_pmi_proxy", "mpiexec", "mpiexec.hydra", "mpirun", "mpispawn", "orted", "pmi_proxy")
    + ("prted", "prterun", "slurmstepd")
)
"""The programs that start ranks, as the kernel names processes."""


@dataclass(frozen=True)
class Launch:
    """A launch of more than one process: by what, how many, and which one this is.

    variable: the environment variable that says how many
    """

    by: str
    size: int
    rank: int
    variable: str = ""

    @property
    def quiet(self) -> bool:
        """Does rank 0 report what all ranks find alike?

        Not where this process may have inherited the variables of a launch that it is no part of,
        from a shell or a script on a rank.
        """
        return self.rank > 0 and _parent_name() in _STARTERS


def launch(environment: Mapping[str, str] = os.environ) -> Launch | None:
    """The launch that this process is part of; None where it was started alone."""
    for by, size, rank in _VARIABLES:
        count, number = environment.get(size, ""), environment.get(rank, "")
        if count.isdecimal() and number.isdecimal():
            return Launch(by, int(count), int(number), size) if int(count) > 1 else None
    return None


def _parent_name() -> str:
    try:
        return Path(f"/proc/{os.getppid()}/comm").read_text().strip()
    except OSError:
        return ""
