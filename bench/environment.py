"""The environment of a record: machine, GPU, compilers, package versions and source commit."""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build.toolchain import host_compiler, machine, run_tool
from kkspdnn.pk.system.cuda_driver import devices
from kkspdnn.records.comparison import (
    Ceilings,
    Comparison,
    LayerCounts,
    NetworkSize,
    PeerResult,
)
from kkspdnn.records.provenance import collect_provenance, load_average, now
from kkspdnn.records.spgemm_study import SpgemmCase, SpgemmStudy

_FEATURES = ("sse", "ssse", "avx", "fma", "f16c", "bmi", "amx", "asimd", "sve", "vsx")


@dataclass(frozen=True)
class Environment:
    """The fields of `kkspdnn.records.comparison.Comparison` that do not depend on a measurement.

    load_average: the mean of the minute before the measurement; None if unknown
    """

    machine: str
    cpu_features: tuple[str, ...]
    gpu: str | None
    compilers: dict[str, str]
    versions: dict[str, str]
    commit: str | None
    load_average: float | None

    def header(self, kind: str, module: str) -> dict[str, Any]:
        """Return the first fields of a JSON record, created now.

        kind: the name and version of the record's format
        module: the module that `python -m` runs to make the record
        """
        return {
            "kind": kind,
            "created": now(),
            "machine": self.machine,
            "compilers": self.compilers,
            "versions": self.versions,
            "commit": self.commit,
            "load_average": self.load_average,
            "command": shlex.join(["python", "-m", module, *sys.argv[1:]]),
        }

    def record(
        self,
        threads: int,
        command: str,
        network: NetworkSize | None,
        rows: tuple[PeerResult, ...] = (),
        layers: LayerCounts | None = None,
        ceilings: Ceilings | None = None,
    ) -> Comparison:
        """Return a comparison record in this environment, created now."""
        return Comparison(
            created=now(),
            threads=threads,
            command=command,
            **vars(self),
            network=network,
            rows=rows,
            layers=layers,
            ceilings=ceilings,
        )

    def spgemm_record(
        self, threads: int, command: str, cases: tuple[SpgemmCase, ...]
    ) -> SpgemmStudy:
        """Return a record of SpGEMM implementations in this environment, created now."""
        return SpgemmStudy(
            created=now(),
            threads=threads,
            command=command,
            **vars(self),
            cases=cases,
        )


def collect_environment() -> Environment:
    """Return the environment of this process: this machine and this source tree."""
    try:
        compilers = {"c++": host_compiler().version}
    except ToolchainError:
        compilers = {}
    provenance = collect_provenance()
    return Environment(
        machine=machine(),
        cpu_features=_features(),
        gpu=_gpu(),
        compilers=compilers,
        versions=provenance.versions,
        commit=provenance.commit,
        load_average=load_average(),
    )


def _features() -> tuple[str, ...]:
    """Return the SIMD features of the processor, as named in /proc/cpuinfo."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ()
    for line in lines:
        name, _, words = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return tuple(sorted(w for w in set(words.split()) if w.startswith(_FEATURES)))
    return ()


def _gpu() -> str | None:
    try:
        command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        if shutil.which("nvidia-smi") is not None:
            return run_tool(command, "asking nvidia-smi").strip().replace("\n", "; ") or None
    except ToolchainError:
        pass
    return "; ".join(f"{device.name}, {device.arch}" for device in devices()) or None
