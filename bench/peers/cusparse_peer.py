"""cuSPARSE on an NVIDIA GPU, through CuPy: CSR times CSR, and CSR times dense."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.peer import YMAX, Answer, package_version
from bench.peers.csr import CsrPeer
from bench.peers.dense import DensePeer
from bench.peers.gpu import CHUNK, missing_on_gpu


class CuSparse(CsrPeer):
    """SpGEMM, then bias and ReLU; input rows and network are there before the clock starts."""

    name = "cusparse"
    label = "cuSPARSE, CSR x CSR"
    gpu = True
    bytes_per_edge: float | None = None  # it chooses its own accumulators

    def available(self) -> str | None:
        return missing_on_gpu("cupy", "CuPy")

    def version(self) -> str:
        return _version()

    def matrix(self, csr: Any) -> Any:
        return _matrix(csr)

    def multiply(self, y: Any, weights: Any) -> Any:
        return y @ weights

    def nonzero_rows(self, y: Any) -> Any:
        import cupy

        return cupy.asnumpy(cupy.flatnonzero(cupy.diff(y.indptr)))

    def run(self) -> Answer:
        import cupy

        answer = super().run()
        cupy.cuda.Device().synchronize()
        return answer


class CuSparseDense(DensePeer):
    """SpMM, then bias and ReLU, on column-major activations, which it takes without a copy."""

    name = "cusparse-dense"
    label = "cuSPARSE, CSR x dense"
    gpu = True
    chunk = CHUNK

    def available(self) -> str | None:
        return missing_on_gpu("cupy", "CuPy")

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

    def living(self, a: Any) -> NDArray[np.bool_]:
        import cupy

        return np.asarray(cupy.asnumpy(a.any(axis=0)))

    def columns(self, a: Any, chosen: NDArray[np.bool_]) -> Any:
        import cupy

        return cupy.asfortranarray(a[:, cupy.asarray(np.flatnonzero(chosen))])


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
