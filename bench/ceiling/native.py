"""Compile `ceiling.cpp` with the compiler flags of workunits, and load it."""

from __future__ import annotations

import ctypes
import shlex
from ctypes import c_double, c_float, c_int, c_int64, c_void_p
from dataclasses import dataclass
from pathlib import Path

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build.cache import default_cache
from kkspdnn.pk.build.cache_lookup import compiler_key
from kkspdnn.pk.build.toolchain import COMPILER_OPTIONS, host_compiler, run_tool
from kkspdnn.pk.system.instruction_sets import native_processor

FLAGS = (*COMPILER_OPTIONS, "-std=c++17", "-fopenmp", "-shared")
_SOURCE = Path(__file__).with_name("ceiling.cpp")


@dataclass(frozen=True, eq=False)
class Native:
    """The functions of ceiling.cpp, and the compiler and flags that compiled them.

    vector_bytes: size of a vector register of the kernel
    """

    library: ctypes.CDLL
    compiler: str
    flags: str
    vector_bytes: int


def load_native() -> Native:
    """Load ceiling.cpp, compiled before if it is not in the cache.

    Call it after Kokkos has started: both share one OpenMP runtime, and Kokkos sets the affinity of
    its threads. Raises ToolchainError and CacheError.
    """
    compiler = host_compiler()
    key = {
        "source": _SOURCE.read_text(encoding="utf-8"),
        "flags": shlex.join(FLAGS),
        **native_processor().key,
        **compiler_key(compiler),
    }

    def build(folder: Path) -> None:
        target = folder / "ceiling.so"
        run_tool(
            [compiler.path, *FLAGS, _SOURCE, "-o", target], "compiling bench/ceiling/ceiling.cpp"
        )

    path = default_cache().get_or_build("bench", "ceiling", key, build) / "ceiling.so"
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise ToolchainError(f"cannot load {path}: {error}") from error
    library.kkspdnn_hand_layers.argtypes = [
        *(c_void_p, c_int64, c_int, c_int, c_int, c_int),
        *(c_void_p, c_void_p, c_void_p, c_void_p, c_float, c_int),
    ]
    library.kkspdnn_hand_layers.restype = None
    library.kkspdnn_read_seconds.argtypes = [c_void_p, c_int64, c_int64, c_int]
    library.kkspdnn_read_seconds.restype = c_double
    library.kkspdnn_add_seconds.argtypes = [c_int64]
    library.kkspdnn_add_seconds.restype = c_double
    return Native(library, compiler.version, shlex.join(FLAGS), library.kkspdnn_vector_bytes())
