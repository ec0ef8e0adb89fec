"""Launch parameters: the shapes of tiles and teams, and the number of layers a launch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kkspdnn.choices import GroupOutputs, SpaceName
from kkspdnn.pk.system.instruction_sets import cpu_features

MAX_LAYERS_A_LAUNCH = 16
"""Maximum number of layers of a launch, of layers in a group, and of layers between two checks.

A launch takes the host about 5 microseconds (`python -m bench.gpu launches`); a check takes another
launch and a wait. On a GPU with 60,000 rows of 1,024 neurons, a layer takes at least 260
microseconds if the L1 caches deliver 30 TB/s, 4 bytes for each edge: launches are 3 % of that. With
few active rows launches can dominate: a layer of 2,000 rows takes at least 9 microseconds, so the
host must not wait after each layer."""

_FEW_ROWS = 512
"""Up to this number of input rows a thread of a GPU has one lane, so that more threads run."""

WARP = 32
"""Threads of a warp."""


@dataclass(frozen=True)
class LaunchParameters:
    """The parameters of launches that change the speed of a run, and not its result.

    The names of the fields are keys of the records.

    tile_bytes: on a CPU, the bytes of a neuron's lanes in a tile; 0 on a GPU
    chunk_bytes: on a CPU, the bytes of the tiles that go through the first layers together; 0 on a
    GPU, where all rows go through each layer together
    vector_length: on a GPU, the adjacent threads that compute the lanes of an output neuron; 1 on a
    CPU
    lanes_per_thread: on a GPU, the lanes of each of these threads; 0 on a CPU
    team_size: the output neurons of a tile that a team computes concurrently
    layers_a_launch: maximum number of layers of a launch
    group_outputs: the layers whose output neurons with the same inputs are computed in groups:
    none; distinct, those with different weights; all, also those with one weight
    """

    tile_bytes: int
    chunk_bytes: int
    vector_length: int
    lanes_per_thread: int
    team_size: int
    layers_a_launch: int = MAX_LAYERS_A_LAUNCH
    group_outputs: GroupOutputs = "none"

    @classmethod
    def default(cls, space: SpaceName) -> LaunchParameters:
        """Return the parameters of an execution space without tuning."""
        if space == "cuda":
            # Eight threads load 128 bytes, a cache line, at a time. A multiprocessor runs one team
            # of 512 threads, for which all GPUs have enough registers. A tile of 32 rows and 1,024
            # neurons has 256 KB, so the tiles of all multiprocessors of an H100 stay in its L2
            # cache from layer to layer.
            return cls(
                0, 0, vector_length=8, lanes_per_thread=4, team_size=64, group_outputs="distinct"
            )
        # Four SIMD registers, and somewhat more than half of a usual L3 cache.
        return cls(256, 20 << 20, vector_length=1, lanes_per_thread=0, team_size=1)

    @classmethod
    def native(cls, space: SpaceName) -> LaunchParameters:
        """Return the parameters of an execution space for this machine's processor.

        With the 32 registers of AVX-512, groups of output neurons are faster than single ones.
        """
        default = cls.default(space)
        if default.gpu or "avx512f" not in cpu_features():
            return default
        return replace(default, group_outputs="distinct")

    @property
    def gpu(self) -> bool:
        """Whether the parameters are those of a GPU."""
        return self.tile_bytes == 0

    @property
    def team_threads(self) -> int:
        """The number of threads of a team."""
        return self.vector_length * self.team_size

    def lanes(self, dtype: np.dtype[Any]) -> int:
        """Return the number of lanes, that is input rows, of a tile."""
        if self.gpu:
            return self.vector_length * self.lanes_per_thread
        return self.tile_bytes // dtype.itemsize

    def for_rows(self, rows: int, dtype: np.dtype[Any]) -> LaunchParameters:
        """Return the parameters for a number of input rows.

        On a CPU a tile is one SIMD register wide if all rows fit into it. On a GPU, if there are
        few rows, each thread has one lane, and a tile one for each thread of a warp.
        """
        if self.gpu:
            if rows > _FEW_ROWS:
                return self
            size = max(1, self.team_threads // WARP)
            return replace(self, vector_length=WARP, lanes_per_thread=1, team_size=size)
        narrow = self.tile_bytes // 4
        return replace(self, tile_bytes=narrow) if rows * dtype.itemsize <= narrow else self
