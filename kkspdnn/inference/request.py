"""A call of `infer`, with its arguments checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kkspdnn.choices import Exits, Kernel, Parallel, Verify
from kkspdnn.device.memory import Budget
from kkspdnn.errors import InputError
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network
from kkspdnn.parallel.ranks import Ranks
from kkspdnn.records.host_load import LoadMeter

Progress = Callable[[str, float], None]
"""Called with what is being done and how much of it is done, 0 to 1."""


@dataclass(frozen=True, eq=False)
class Request:
    """One call of `infer`, with its arguments checked.

    machine: of this rank, as in Record; meter: measures how busy it is beside this run
    """

    ranks: Ranks
    network: Network
    inputs: Inputs
    dtype: np.dtype[Any]
    space: str
    threads: int | None
    device: int | None
    kernel: Kernel
    exits: Exits
    fold: bool
    verification: Verify
    values: bool
    budget: Budget
    parallel: Parallel
    checkpoint: Path | None
    tell: Progress
    meter: LoadMeter
    machine: str

    @property
    def every_value(self) -> bool:
        """Whether the values of all active rows are needed."""
        return self.values or self.verification == "full"

    @property
    def any_value(self) -> bool:
        """Whether the values of some rows are needed."""
        return self.values or self.verification != "none"

    def check_alike(self) -> None:
        """Raise InputError, on all ranks, where they do not all run the same."""
        mine = {
            "network": (len(self.network.layers), self.network.edges, self.network.ymax),
            "input rows": (self.inputs.rows, self.inputs.neurons),
            "dtype": str(self.dtype),
            "space": self.space,
            "kernel": self.kernel,
            "exits": self.exits,
            "fold": self.fold,
            "verification": self.verification,
            "values": self.values,
            "parallel": self.parallel,
            "checkpoint": self.checkpoint,
        }
        everywhere = self.ranks.all_gather(mine)
        different = [
            name for name in mine if any(e[name] != everywhere[0][name] for e in everywhere)
        ]
        if different:
            raise InputError(
                f"the ranks have not the same {', '.join(different)}; give all of them the same"
            )
