"""SpGEMM of Kokkos Kernels through `bench/cpp/spgemm.cpp`, with the Kokkos of kkspdnn."""

from __future__ import annotations

import atexit
import ctypes
import os
import re
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from bench.peer import EdgeCounting, RunResult, matrix_layers
from kkspdnn.errors import ToolchainError
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network
from kkspdnn.pk.build.runtime_library import RuntimeLibrary
from kkspdnn.pk.build.toolchain import run_tool
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.runtime.kokkos_runtime import get_runtime

_SOURCE = Path(__file__).parents[1] / "cpp" / "spgemm.cpp"
_HEADER = "KokkosSparse_spgemm.hpp"


class KokkosKernels:
    """Each layer: spgemm_symbolic and spgemm_numeric (SPGEMM_KK), then bias and ReLU.

    The headers come from KokkosKernels_ROOT, else from Debian's libtrilinos-kokkos-kernels-dev.
    Their version must match that of Kokkos (Debian's 3.4 matches the Kokkos from PyPI).
    """

    name = "kokkos-kernels"
    label = "Kokkos Kernels, SpGEMM"
    serial = False
    gpu = False
    edge_counting: EdgeCounting = "products"
    bytes_per_edge: float | None = None  # unknown: the library chooses its accumulators
    env: Mapping[str, str] = {}

    def available(self) -> str | None:
        if _headers() is not None:
            return None
        return f"no {_HEADER}: set KokkosKernels_ROOT, or install libtrilinos-kokkos-kernels-dev"

    def version(self) -> str:
        headers = _headers()
        assert headers is not None
        for name in ("KokkosKernels_Version_Info.hpp", "KokkosKernels_config.h"):
            for file in headers.glob(name):
                match = re.search(r"KOKKOSKERNELS_VERSION\s+(\d+)", file.read_text())
                if match:
                    number = int(match.group(1))
                    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"
        return "3.x"  # its headers have no version number

    def prepare(self, network: Network, inputs: Inputs, threads: int) -> float:
        begun = perf_counter()
        library = _library()
        compiled = perf_counter() - begun
        self._library = library
        self._rows = inputs.rows
        y = inputs.to_csr(np.float32)
        _call(library, "peer_input", y.shape, y)
        for layer in matrix_layers(network):
            bias = ctypes.c_float(float(layer.bias))
            _call(library, "peer_layer", layer.weights.shape, layer.weights, bias)
        return compiled

    def run(self) -> RunResult:
        active = np.zeros(self._rows, np.uint8)
        if self._library.peer_run(ctypes.c_void_p(active.ctypes.data)):
            raise ToolchainError(_message(self._library))
        return RunResult(np.flatnonzero(active).astype(np.int64) + 1)


def _headers() -> Path | None:
    """Return the folder with the headers of Kokkos Kernels, or None."""
    roots = [os.environ.get(name) for name in ("KokkosKernels_ROOT", "KOKKOSKERNELS_ROOT")]
    include_paths = [Path(root) / "include" for root in roots if root]
    include_paths += [Path("/usr/local/include"), Path("/usr/include")]
    for path in include_paths:
        for folder in (path, path / "kokkos", path / "trilinos"):
            if (folder / _HEADER).is_file():
                return folder
    return None


def _library() -> ctypes.CDLL:
    runtime_library = get_runtime(ExecutionSpace.OpenMP).library
    headers = _headers()
    assert headers is not None
    source = _SOURCE.read_text(encoding="ascii")
    key = {
        "source": source,
        "compile": " ".join(_command(runtime_library, headers)),
        "runtime": str(runtime_library.folder),
        **runtime_library.tools.compiler_key,
        "headers": str(headers),
    }

    def build(folder: Path) -> None:
        (folder / _SOURCE.name).write_text(source, encoding="ascii")
        run_tool(_command(runtime_library, headers), "compiling with Kokkos Kernels", cwd=folder)

    path = runtime_library.cache.get_or_build("peers", "kokkos-kernels", key, build) / "spgemm.so"
    library = ctypes.CDLL(str(path))
    library.peer_error.restype = ctypes.c_char_p
    atexit.register(library.peer_free)
    return library


def _command(runtime_library: RuntimeLibrary, headers: Path) -> list[str]:
    # -idirafter comes last: the folder may contain headers of another Kokkos.
    include = [f"-idirafter{headers}"]
    # A Kokkos Kernels with explicit template instantiations has them in a library.
    libraries = [runtime_library.path, *sorted(headers.parent.glob("lib*/libkokkoskernels.*"))[:1]]
    # The library of kkspdnn provides Kokkos; the peer calls nothing else in it.
    linked = ["-Wl,--no-as-needed", *map(str, libraries)]
    rpath = [f"-Wl,-rpath,{library.parent}" for library in libraries]
    command = [*runtime_library.compile_command, *include, "-shared", _SOURCE.name]
    return [*command, "-o", "spgemm.so", *linked, *rpath]


def _call(library: ctypes.CDLL, name: str, shape: Any, csr: Any, *more: Any) -> None:
    arrays = csr.indptr.astype(np.int32), csr.indices.astype(np.int32), csr.data.astype(np.float32)
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in arrays]
    if library[name](ctypes.c_int(shape[0]), ctypes.c_int(shape[1]), *pointers, *more):
        raise ToolchainError(_message(library))


def _message(library: ctypes.CDLL) -> str:
    text: bytes = library.peer_error()
    return text.decode(errors="replace")
