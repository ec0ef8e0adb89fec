"""cuSPARSE on an NVIDIA GPU, through CuPy: CSR times CSR, and CSR times dense."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.peer import YMAX, RunResult, package_version
from bench.peers.csr import CsrPeer
from bench.peers.dense import DensePeer
from bench.peers.gpu import CHUNK, missing_gpu_package


class CuSparse(CsrPeer):
    """SpGEMM, then bias and ReLU; input rows and network are on the GPU before the clock starts."""

    name = "cusparse"
    label = "cuSPARSE, CSR x CSR"
    gpu = True
    bytes_per_edge: float | None = None  # unknown: the library chooses its accumulators

    def available(self) -> str | None:
        return missing_gpu_package("cupy", "CuPy")

    def version(self) -> str:
        return _version()

    def matrix(self, csr: Any) -> Any:
        return _matrix(csr)

    def multiply(self, y: Any, weights: Any) -> Any:
        return y @ weights

    def nonzero_rows(self, y: Any) -> Any:
        import cupy

        return cupy.asnumpy(cupy.flatnonzero(cupy.diff(y.indptr)))

    def run(self) -> RunResult:
        import cupy

        answer = super().run()
        cupy.cuda.Device().synchronize()
        return answer


class CuSparseDense(DensePeer):
    """SpMM, then bias and ReLU; activations are column-major, so that CuPy does not copy them."""

    name = "cusparse-dense"
    label = "cuSPARSE, CSR x dense"
    gpu = True
    chunk = CHUNK

    def available(self) -> str | None:
        return missing_gpu_package("cupy", "CuPy")

    def version(self) -> str:
        return _version()

    def matrix(self, csr: Any) -> Any:
        return _matrix(csr)

    def array(self, dense: NDArray[np.float32]) -> Any:
        import cupy

        return cupy.asfortranarray(cupy.asarray(dense))

    def multiply(self, weights: Any, a: Any) -> Any:
        return weights @ a

    def layer(self, a: Any, weights: Any, bias: np.float32) -> Any:
        z = self.multiply(weights, a)
        z += bias
        return z.clip(0, YMAX, out=z)

    def active_columns(self, a: Any) -> NDArray[np.bool_]:
        import cupy

        return np.asarray(cupy.asnumpy(a.any(axis=0)))

    def select_columns(self, a: Any, selected: NDArray[np.bool_]) -> Any:
        import cupy

        return cupy.asfortranarray(a[:, cupy.asarray(np.flatnonzero(selected))])


def _version() -> str:
    import cupy

    package = next(
        (p for p in ("cupy-cuda13x", "cupy-cuda12x", "cupy") if package_version(p) != "unknown"),
        "cupy",
    )
    return f"CuPy {package_version(package)}, CUDA {cupy.cuda.runtime.runtimeGetVersion()}"


def _matrix(csr: Any) -> Any:
    from cupyx.scipy import sparse

    return sparse.csr_matrix(csr)
