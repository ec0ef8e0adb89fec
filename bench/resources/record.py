"""The record of a resource report, and the GPUs whose bounds its tables show."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.resources.counts import LoopCounts
from bench.resources.usage import OWN, Usage
from kkspdnn.errors import InputError
from kkspdnn.io.json_schema import decode, read_json

SCHEMA = "kkspdnn-resources/1"

_REGISTERS = 65_536
_MAX_WARPS = 64
_WARP = 32


@dataclass(frozen=True)
class Chip:
    """A GPU: number of multiprocessors, and clock in hertz."""

    name: str
    multiprocessors: int
    hertz: float

    @property
    def wavefronts(self) -> float:
        """L1 wavefronts per second: one of up to 128 bytes per cycle and multiprocessor."""
        return self.multiprocessors * self.hertz

    @property
    def instructions(self) -> float:
        """Warp instructions per second: each of four schedulers issues one per cycle."""
        return 4 * self.multiprocessors * self.hertz


CHIPS = {"sm_80": Chip("A100", 108, 1.41e9), "sm_90": Chip("H100 SXM", 132, 1.755e9)}
"""The GPU of each architecture whose bounds the tables show."""


@dataclass(frozen=True)
class Kernel:
    """The counts of one kernel.

    dtype, index: dtypes of activations and indices; launch: see `usage.launch_of`
    instructions: of the whole kernel; spills: its loads and stores of local memory
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
        """Architecture, name and dtypes, which identify the kernel in a report."""
        return self.arch, self.name, self.dtype, self.index

    @property
    def is_workunit(self) -> bool:
        """Whether Kokkos launches it; the other kernels are hand-written."""
        return self.launch != OWN

    @property
    def warps(self) -> int:
        """Resident warps per multiprocessor, limited by registers and by 64.

        Registers are allocated in units of 256 per warp, and warps in units of four.
        """
        registers = -(-self.usage.registers * _WARP // 256) * 256
        return min(_MAX_WARPS, _REGISTERS // registers // 4 * 4)

    def edges_in_flight(self, loop: LoopCounts) -> float:
        """Return the mean number of edges, of single rows, with loads in flight per multiprocessor.

        All warps wait for loads. Divided by the latency in cycles, it is the rate per cycle.
        """
        return self.warps * _WARP * loop.row_edges / loop.latencies


@dataclass(frozen=True)
class Report:
    """The counts of all kernels, and the tools that made them.

    nvcc: compiler; disassembler: see `CudaDisassembler.version`
    created, commit, versions: see kkspdnn.records.provenance; None and none in older records
    """

    command: str
    nvcc: str
    kokkos_version: str
    disassembler: str
    kernels: tuple[Kernel, ...]
    created: str | None = None
    commit: str | None = None
    versions: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return JSON text."""
        return json.dumps({"kind": SCHEMA, **asdict(self)}, indent=1, allow_nan=False) + "\n"


def read_report(path: Path) -> Report:
    """Read a record that `to_json` made. Raises InputError with file and field if it is invalid."""
    fields = read_json(path)
    if fields.pop("kind", None) != SCHEMA:
        raise InputError(f"{path}: kind: not a record of python -m bench.resources ({SCHEMA})")
    return decode(Report, fields, str(path))
