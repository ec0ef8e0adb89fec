"""A call of `infer` with checked arguments."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kkspdnn.choices import Epilogue, Exits, KernelOption, Parallel, SpaceName, Verify
from kkspdnn.device.memory import Budget
from kkspdnn.errors import InputError
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network
from kkspdnn.parallel.ranks import Ranks
from kkspdnn.progress import StepCallback
from kkspdnn.records.host_load import LoadMeter


@dataclass(frozen=True, eq=False)
class Request:
    """A call of `infer`: its arguments, checked and converted.

    ranks: the ranks of the communicator, or this process alone
    network: in the dtype of the run
    tune: whether to use tuned launch parameters if there are any
    repeat: how many times the rows are computed, at least 1
    load_meter: measures the load of this node since the call
    machine: the description of this node's processor
    """

    ranks: Ranks
    network: Network
    inputs: Inputs
    dtype: np.dtype[Any]
    space: SpaceName
    threads: int | None
    device: int | None
    kernel: KernelOption
    epilogue: Epilogue
    exits: Exits
    fold: bool
    tune: bool
    verify: Verify
    values: bool
    repeat: int
    budget: Budget
    parallel: Parallel
    checkpoint: Path | None
    on_progress: StepCallback
    load_meter: LoadMeter
    machine: str

    @property
    def needs_all_values(self) -> bool:
        """Whether the values of all active rows are returned or verified."""
        return self.values or self.verify == "full"

    @property
    def needs_values(self) -> bool:
        """Whether the values of any rows are returned or verified."""
        return self.values or self.verify != "none"

    def check_same_on_all_ranks(self) -> None:
        """Raise InputError on all ranks if their arguments differ. Collective."""
        own = {
            "network": (len(self.network.layers), self.network.edges, self.network.ymax),
            "input rows": (self.inputs.rows, self.inputs.neurons),
            "dtype": str(self.dtype),
            "space": self.space,
            "kernel": self.kernel,
            "epilogue": self.epilogue,
            "exits": self.exits,
            "fold": self.fold,
            "tune": self.tune,
            "verify": self.verify,
            "values": self.values,
            "repeat": self.repeat,
            "parallel": self.parallel,
            "checkpoint": self.checkpoint,
        }
        all_ranks = self.ranks.all_gather(own)
        different = [
            name for name in own if any(rank[name] != all_ranks[0][name] for rank in all_ranks)
        ]
        if different:
            raise InputError(
                f"the ranks have different arguments ({', '.join(different)}); pass the same to all"
            )
