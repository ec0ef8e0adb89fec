"""Kokkos Kernels' SpGEMM through `bench/cpp/spgemm.cpp`, on the Kokkos that kkspdnn uses."""

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

from bench.peer import Answer, Work, matrix_layers
from kkspdnn.errors import ToolchainError
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network
from kkspdnn.pk.build.toolchain import run_tool
from kkspdnn.pk.build.toolkit import Toolkit
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.runtime.kokkos_runtime import get_runtime

_SOURCE = Path(__file__).parents[1] / "cpp" / "spgemm.cpp"
_HEADER = "KokkosSparse_spgemm.hpp"


class KokkosKernels:
    """
    spgemm_symbolic and spgemm_numeric (SPGEMM_KK), then bias and ReLU.

    Its headers are those of KokkosKernels_ROOT, else Debian's libtrilinos-kokkos-kernels-dev; they
    must fit the Kokkos that is used (Debian's 3.4 fits the one from PyPI).
    """

    name = "kokkos-kernels"
    label = "Kokkos Kernels, SpGEMM"
    serial = False
    gpu = False
    work: Work = "products"
    bytes_per_edge: float | None = None  # it chooses its own accumulators
    environment: Mapping[str, str] = {}

    def available(self) -> str | None:
        if _headers() is not None:
            return None
        return f"no {_HEADER}: set KokkosKernels_ROOT, or install libtrilinos-kokkos-kernels-dev"

    def version(self) -> str:
        headers = _headers()
        assert headers is not None
        for name in ("KokkosKernels_Version_Info.hpp", "KokkosKernels_config.h"):
            for file in headers.glob(name):
                found = re.search(r"KOKKOSKERNELS_VERSION\s+(\d+)", file.read_text())
                if found:
                    number = int(found.group(1))
                    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"
        return "3.x"  # which did not say it in its headers

    def prepare(self, network: Network, inputs: Inputs, threads: int) -> float:
        begun = perf_counter()
        library = _library()
        compiled = perf_counter() - begun
        self._library = library
        self._rows = inputs.rows
        y = inputs.to_csr(np.float32)
        _call(library, "peer_input", y.shape, y)
        for each in matrix_layers(network):
            bias = ctypes.c_float(float(each.bias))
            _call(library, "peer_layer", each.weights.shape, each.weights, bias)
        return compiled

    def run(self) -> Answer:
        alive = np.zeros(self._rows, np.uint8)
        if self._library.peer_run(ctypes.c_void_p(alive.ctypes.data)):
            raise ToolchainError(_message(self._library))
        return Answer(np.flatnonzero(alive).astype(np.int64) + 1)


def _headers() -> Path | None:
    """The folder of Kokkos Kernels' headers."""
    roots = [os.environ.get(name) for name in ("KokkosKernels_ROOT", "KOKKOSKERNELS_ROOT")]
    places = [Path(root) / "include" for root in roots if root]
    places += [Path("/usr/local/include"), Path("/usr/include")]
    for place in places:
        for folder in (place, place / "kokkos", place / "trilinos"):
            if (folder / _HEADER).is_file():
                return folder
    return None


def _library() -> ctypes.CDLL:
    kit = get_runtime(ExecutionSpace.OpenMP).toolkit
    headers = _headers()
    assert headers is not None
    source = _SOURCE.read_text(encoding="ascii")
    key = {
        "source": source,
        "compile": " ".join(_command(kit, headers)),
        "runtime": str(kit.place),
        **kit.tools.maker,
        "headers": str(headers),
    }

    def build(folder: Path) -> None:
        (folder / _SOURCE.name).write_text(source, encoding="ascii")
        run_tool(_command(kit, headers), "compiling with Kokkos Kernels", cwd=folder)

    made = kit.cache.entry("peers", "kokkos-kernels", key, build) / "spgemm.so"
    library = ctypes.CDLL(str(made))
    library.peer_error.restype = ctypes.c_char_p
    atexit.register(library.peer_free)
    return library


def _command(kit: Toolkit, headers: Path) -> list[str]:
    # Looked at last: its folder may have another Kokkos, which must not be mixed in.
    found = [f"-idirafter{headers}"]
    # A Kokkos Kernels with instantiations of its own has them in a library.
    libraries = [kit.library, *sorted(headers.parent.glob("lib*/libkokkoskernels.*"))[:1]]
    # Kokkos comes with kkspdnn's library, of which nothing else is used.
    linked = ["-Wl,--no-as-needed", *map(str, libraries)]
    rpath = [f"-Wl,-rpath,{each.parent}" for each in libraries]
    return [*kit.compile, *found, "-shared", _SOURCE.name, "-o", "spgemm.so", *linked, *rpath]


def _call(library: ctypes.CDLL, name: str, shape: Any, csr: Any, *more: Any) -> None:
    parts = csr.indptr.astype(np.int32), csr.indices.astype(np.int32), csr.data.astype(np.float32)
    pointers = [ctypes.c_void_p(part.ctypes.data) for part in parts]
    if library[name](ctypes.c_int(shape[0]), ctypes.c_int(shape[1]), *pointers, *more):
        raise ToolchainError(_message(library))


def _message(library: ctypes.CDLL) -> str:
    text: bytes = library.peer_error()
    return text.decode(errors="replace")
