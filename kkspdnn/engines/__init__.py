"""The engines: fused layers on tiles of input rows, or SpGEMM followed by bias and ReLU."""

from __future__ import annotations

from typing import Any

import numpy as np

from kkspdnn.choices import Epilogue, Exits, Kernel
from kkspdnn.device.space import Space
from kkspdnn.engines.base import Engine, EngineRun, ProgressCallback, no_progress
from kkspdnn.engines.partial_result import PartialResult, RowSelector, Schedule

__all__ = [
    "Engine",
    "EngineRun",
    "PartialResult",
    "ProgressCallback",
    "RowSelector",
    "Schedule",
    "make_engine",
    "no_progress",
]


def make_engine(
    kernel: Kernel,
    space: Space,
    dtype: np.dtype[Any],
    ymax: float | None,
    exits: Exits = "all",
    epilogue: Epilogue = "fused",
) -> Engine:
    """Return the engine of a kernel. Imports its workunits, and with them PyKokkos.

    ymax: upper limit of the ReLU; None: no limit
    exits: rows that exit early
    epilogue: of SpGEMM
    """
    if kernel == "fused":
        from kkspdnn.engines.fused.engine import FusedEngine

        return FusedEngine(space, dtype, ymax, exits)
    from kkspdnn.engines.spgemm.engine import SpgemmEngine

    return SpgemmEngine(space, dtype, ymax, exits, epilogue)
