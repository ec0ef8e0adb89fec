"""The case of tuned launch parameters: they are used for exactly this machine and network."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kkspdnn.choices import Exits, Kernel
from kkspdnn.device.space import Space
from kkspdnn.model.network import Network
from kkspdnn.pk.build.toolchain import processor_model


@dataclass(frozen=True)
class TuningCase:
    """Everything that decides whether tuned parameters apply, except the version of kkspdnn.

    machine: the model of the processor, or the name of the GPU
    cores: the cores of the machine; 0 on a GPU
    threads: the number of threads that run concurrently
    space, dtype, kernel, exits: the options of the run
    inputs, widest, outputs: the neurons of an input row, of the widest layer and of an output row
    layers, edges: of the network that is computed, after neuron merging
    pk: the implementation of PyKokkos, builtin or pykokkos
    """

    machine: str
    cores: int
    threads: int
    space: str
    dtype: str
    kernel: str
    exits: str
    inputs: int
    widest: int
    outputs: int
    layers: int
    edges: int
    pk: str

    @classmethod
    def of(
        cls, space: Space, network: Network, dtype: np.dtype[Any], kernel: Kernel, exits: Exits
    ) -> TuningCase:
        """Return the case of a run."""
        return cls(
            machine=space.device_name if space.gpu else processor_model(),
            cores=0 if space.gpu else os.cpu_count() or 1,
            threads=space.threads,
            space=space.name,
            dtype=str(dtype),
            kernel=kernel,
            exits=exits,
            inputs=network.inputs,
            widest=network.widest,
            outputs=network.outputs,
            layers=len(network.layers),
            edges=network.edges,
            pk=space.implementation,
        )

    @property
    def digest(self) -> str:
        """A hash of the case, 32 hexadecimal digits."""
        content = json.dumps(asdict(self), sort_keys=True).encode()
        return hashlib.sha256(content).hexdigest()[:32]
