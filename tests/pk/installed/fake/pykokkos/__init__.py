"""A stand-in for PyKokkos, with the internals that kkspdnn uses. Its compiler copies the workunit's
source into the module that it would compile, so that Python can import neither."""

import os
from enum import Enum


class ExecutionSpace(Enum):
    OpenMP = "OpenMP"
    Serial = "Serial"
    Cuda = "Cuda"


threads = os.environ.get("OMP_NUM_THREADS")
"""What Kokkos would see when it starts."""

from pykokkos import kokkos_manager as kokkos_manager  # noqa: E402
