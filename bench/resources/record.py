"""The record of a resource report, and the chips that its bounds are for."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.resources.counts import LoopCounts
from bench.resources.usage import OWN, Usage
from kkspdnn.errors import InputError
from kkspdnn.io.json_schema import decode, read_json

SCHEMA = "kkspdnn-resources/1"

_REGISTERS = 65_536
_MOST_WARPS = 64
_WARP = 32


@dataclass(frozen=True)
class Chip:
    """A GPU: its multiprocessors and its clock in hertz."""

    name: str
    multiprocessors: int
    hertz: float

    @property
    def wavefronts(self) -> float:
        """L1 wavefronts a second: one a cycle and multiprocessor, of at most 128 bytes."""
        return self.multiprocessors * self.hertz

    @property
    def instructions(self) -> float:
        """Instructions of warps a second: four schedulers issue one a cycle each."""
        return 4 * self.multiprocessors * self.hertz


CHIPS = {"sm_80": Chip("A100", 108, 1.41e9), "sm_90": Chip("H100 SXM", 132, 1.755e9)}
"""By architecture: the chip that the bounds in the table are for."""


@dataclass(frozen=True)
class Kernel:
    """What the machine code of one kernel says.

    dtype, index: the types of activations and indices; launch: see `usage.launch_of`
    instructions: of the whole kernel; spills: of these, loads and stores of local memory
    loops: see `counts.main_loops`
    """

    name: str
    arch: str
    dtype: str
    index: str
    launch: str
    usage: Usage
    instructions: int
    spills: int
    loops: tuple[LoopCounts, ...]

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What it is called among others."""
        return self.arch, self.name, self.dtype, self.index

    @property
    def is_workunit(self) -> bool:
        """Is it launched by Kokkos? Others are hand-written."""
        return self.launch != OWN

    @property
    def warps(self) -> int:
        """Warps a multiprocessor that the registers leave room for, at most 64.

        A warp gets registers by 256, and warps come by fours.
        """
        each = -(-self.usage.registers * _WARP // 256) * 256
        return min(_MOST_WARPS, _REGISTERS // each // 4 * 4)

    def edges_in_flight(self, loop: LoopCounts) -> float:
        """Edges of single rows, a multiprocessor, for which loads are in flight on average while
        warps do nothing but wait: what latency, in cycles, is to be divided into."""
        return self.warps * _WARP * loop.row_edges / loop.latencies


@dataclass(frozen=True)
class Report:
    """All kernels, and what they were compiled and read with.

    nvcc: the compiler; disassembler: see `CudaDisassembler.version`
    """

    command: str
    nvcc: str
    kokkos_version: str
    disassembler: str
    kernels: tuple[Kernel, ...]

    def to_json(self) -> str:
        """As JSON text."""
        return json.dumps({"kind": SCHEMA, **asdict(self)}, indent=1, allow_nan=False) + "\n"


def read_report(path: Path) -> Report:
    """A record that `to_json` made. Raises InputError, with file and field, where it is none."""
    found = read_json(path)
    if found.pop("kind", None) != SCHEMA:
        raise InputError(f"{path}: kind: this is no record of python -m bench.resources ({SCHEMA})")
    return decode(Report, found, str(path))
