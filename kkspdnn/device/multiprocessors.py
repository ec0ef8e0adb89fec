"""The multiprocessors of a GPU, and the number of teams that run on them concurrently."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

from kkspdnn.device.launch_parameters import WARP
from kkspdnn.pk.codegen.emit import ARRAYS_BLOCK

_SCHEDULERS = 4
"""Warps are distributed over four schedulers, each with a quarter of the registers."""

_REGISTER_UNIT = 256
"""Registers are allocated to a warp in units of this (CUDA occupancy calculator, 7.0 to 9.0)."""

_MAX_TEAMS = 32
"""Maximum number of blocks of a multiprocessor; 16 on some consumer GPUs."""


@dataclass(frozen=True)
class Multiprocessors:
    """The multiprocessors of a GPU.

    count: their number; threads: resident threads of each; registers: 32-bit registers of each
    """

    count: int
    threads: int
    registers: int

    @classmethod
    def of_device(cls, cupy: ModuleType) -> Multiprocessors:
        """Return those of CuPy's current device."""
        attributes = cupy.cuda.Device().attributes
        return cls(
            int(attributes["MultiProcessorCount"]),
            int(attributes["MaxThreadsPerMultiProcessor"]),
            int(attributes["MaxRegistersPerMultiprocessor"]),
        )

    def concurrent_teams(self, team_threads: int, registers: int | None) -> int:
        """Return the number of teams that run concurrently on all multiprocessors, at least 1.

        team_threads: of a team; registers: of a thread of the compiled kernel; None: the most that
        `LaunchBounds` allows
        """
        registers = self.registers // ARRAYS_BLOCK if registers is None else registers
        warps = -(-team_threads // WARP)
        warp_registers = -(-registers * WARP // _REGISTER_UNIT) * _REGISTER_UNIT
        resident = self.registers // _SCHEDULERS // warp_registers * _SCHEDULERS
        resident = min(resident, self.threads // WARP)
        return max(1, self.count * min(resident // warps, _MAX_TEAMS))
