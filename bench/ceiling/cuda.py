"""Compile `ceiling.cu` with nvcc to a cubin, and load it with CuPy.

A cubin needs no host code and no CUDA runtime; CuPy provides launches, stream and error handling.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kkspdnn.device.space import Space
from kkspdnn.pk.build.cache import default_cache
from kkspdnn.pk.build.cache_lookup import compiler_key
from kkspdnn.pk.build.nvcc import find_nvcc
from kkspdnn.pk.build.nvcc_host import find_nvcc_host
from kkspdnn.pk.build.toolchain import host_compiler, run_tool
from kkspdnn.pk.system.cuda_driver import selected_device

FLAGS = ("-cubin", "-O3", "-std=c++17", "--fmad=false")
_SOURCE = Path(__file__).with_name("ceiling.cu")


@dataclass(frozen=True, eq=False)
class Kernels:
    """The kernels of ceiling.cu, and the compiler and flags that compiled them.

    get: returns a kernel by its name; a kernel is called with grid, block and arguments
    """

    get: Callable[[str], Callable[..., object]]
    compiler: str
    flags: str


def compile_kernels(arch: str) -> Path:
    """Return the cubin of ceiling.cu for an architecture such as `sm_90`.

    Compiles it if it is not in the cache. Raises ToolchainError and CacheError.
    """
    nvcc = find_nvcc()
    nvcc.check_arch(arch)
    host = find_nvcc_host(nvcc, host_compiler())
    key = {
        "source": _SOURCE.read_text(encoding="utf-8"),
        "flags": shlex.join(FLAGS),
        "arch": arch,
        **compiler_key(host, nvcc.version),
    }

    def build(folder: Path) -> None:
        run_tool(
            [nvcc.path, f"-arch={arch}", "-ccbin", host.path, *FLAGS]
            + ["-o", str(folder / "ceiling.cubin"), str(_SOURCE)],
            "compiling bench/ceiling/ceiling.cu",
            environment=nvcc.environment(host),
        )

    return default_cache().get_or_build("bench", f"ceiling-{arch}", key, build) / "ceiling.cubin"


def load_kernels(space: Space) -> Kernels:
    """Compile ceiling.cu for the GPU of `space` and load it."""
    module = space.xp.RawModule(path=str(compile_kernels(selected_device().arch)))
    return Kernels(module.get_function, f"nvcc {find_nvcc().version}", shlex.join(FLAGS))


def nominal_edges_per_second(space: Space) -> float:
    """Return the rate if each multiprocessor loads 128 bytes per cycle at its maximum clock.

    An edge loads 4 bytes.
    """
    attributes = space.xp.cuda.Device().attributes
    cycles = float(attributes["MultiProcessorCount"]) * float(attributes["ClockRate"]) * 1e3
    return cycles * 128 / 4
