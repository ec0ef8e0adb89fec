"""Make the report: compile the kernels, disassemble them, and count instructions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np

from bench.resources.counts import main_loops
from bench.resources.kernels import Compiled, compiled_by, hand_written, kokkos_version, workunits
from bench.resources.record import Kernel, Report
from bench.resources.sass import functions
from bench.resources.usage import launch_of, usages
from kkspdnn.pk.build.disassemble import CudaDisassembler, cuda_disassembler
from kkspdnn.records.provenance import collect_provenance


def measure(architectures: Sequence[str], dtypes: Sequence[str], command: str = "") -> Report:
    """Compile the fused workunits and the hand-written kernels, and analyse their machine code.

    Raises ToolchainError if a tool is missing, compiling fails or a loop cannot be analysed, and
    CacheError.
    """
    tools = cuda_disassembler()
    compiled: list[Compiled] = []
    for arch in architectures:
        compiled += workunits(arch, dtypes)
        compiled += hand_written(arch)
    return Report(
        command=command,
        nvcc="; ".join(dict.fromkeys(compiled_by(arch) for arch in architectures)),
        kokkos_version="; ".join(dict.fromkeys(kokkos_version(arch) for arch in architectures)),
        disassembler=tools.version,
        kernels=tuple(_kernels(tools, compiled)),
        **vars(collect_provenance()),
    )


def _kernels(tools: CudaDisassembler, compiled: Iterable[Compiled]) -> Iterable[Kernel]:
    code = cache(lambda file: functions(tools.machine_code(file)))
    usage = cache(lambda file: usages(tools.resource_usage(file)))
    for kernel in compiled:
        resources = usage(kernel.file)
        symbol = kernel.symbol(list(resources))
        body = code(kernel.file)[symbol]
        yield Kernel(
            name=kernel.name,
            arch=kernel.arch,
            dtype=kernel.dtype.name,
            index=kernel.index.name,
            launch=launch_of(symbol),
            usage=resources[symbol],
            instructions=len(body),
            spills=sum(instruction.is_local for instruction in body),
            loops=main_loops(
                body,
                kernel.dtype.itemsize,
                kernel.index.itemsize,
                not np.issubdtype(kernel.dtype, np.floating),
                f"{kernel.name} for {kernel.arch}",
            ),
        )
