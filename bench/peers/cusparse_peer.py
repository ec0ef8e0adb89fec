"""cuSPARSE on an NVIDIA GPU, through CuPy."""

from __future__ import annotations

from typing import Any

from bench.peer import Answer, missing, package_version
from bench.peers.csr import CsrPeer


class CuSparse(CsrPeer):
    """CSR times CSR on the GPU; input rows and network are there before the clock starts."""

    name = "cusparse"
    label = "cuSPARSE, CSR x CSR"
    bytes_per_edge: float | None = None  # it chooses its own accumulators

    def available(self) -> str | None:
        reason = missing("cupy", "CuPy")
        if reason is not None:
            return reason
        import cupy

        try:
            count = cupy.cuda.runtime.getDeviceCount()
        except cupy.cuda.runtime.CUDARuntimeError as error:
            return f"no GPU: {error}"
        return None if count else "no GPU"

    def version(self) -> str:
        import cupy

        return f"CuPy {package_version('cupy')}, CUDA {cupy.cuda.runtime.runtimeGetVersion()}"

    def matrix(self, csr: Any) -> Any:
        from cupyx.scipy import sparse

        return sparse.csr_matrix(csr)

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
