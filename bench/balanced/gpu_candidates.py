"""The implementations that are timed on a GPU: cuBLAS and cuSPARSE through CuPy, and kkspdnn.

The time of kkspdnn includes the copies of rows and values between host and device. So each of the
others is timed twice: with rows and values on the device, and "with copies". The device is idle
when a clock starts and stops. CuPy has no block-sparse matrices (cupyx.scipy.sparse does not
implement bsr_matrix), so block-sparse weights are stored in CSR here.
"""

from __future__ import annotations

from functools import partial
from time import perf_counter
from typing import Any

import kkspdnn as kk
from bench.balanced.candidate import Candidate
from bench.balanced.candidates import kkspdnn_candidate
from bench.balanced.layers import convert_layers, run_layers
from bench.balanced.runs import Run
from bench.peers.gpu import missing_cuda_toolchain, missing_gpu_package
from kkspdnn.choices import METHODS

_NO_TF32 = {"CUPY_TF32": "0", "NVIDIA_TF32_OVERRIDE": "0"}
"""All products are in float32; TF32 has only 10 of its 23 mantissa bits."""


def gpu_candidates() -> dict[str, Candidate]:
    """Return the candidates by their names."""
    missing = partial(missing_gpu_package, "cupy", "CuPy")
    candidates = {}
    for copies, suffix in ((False, ""), (True, ", with copies")):
        dense = partial(_cupy, dense=True, copies=copies)
        sparse = partial(_cupy, dense=False, copies=copies)
        candidates[f"cuBLAS{suffix}"] = Candidate(("dense",), dense, missing, _NO_TF32)
        candidates[f"cuSPARSE CSR{suffix}"] = Candidate(METHODS, sparse, missing, _NO_TF32)
    return candidates | {"kkspdnn": kkspdnn_candidate("cuda", missing_cuda_toolchain)}


def _cupy(network: kk.Network, x: Any, _threads: int, dense: bool, copies: bool) -> Run:
    import cupy
    from cupyx.scipy import sparse

    device = cupy.cuda.Device()

    def put(array: Any) -> Any:
        # cuSPARSE needs column-major activations.
        return cupy.asarray(array) if dense else cupy.asfortranarray(cupy.asarray(array.T))

    layers = [
        (weights, cupy.asarray(bias), activation)
        for weights, bias, activation in convert_layers(
            network, dense, cupy.asarray if dense else sparse.csr_matrix
        )
    ]
    on_device = put(x)

    def multiply(weights: Any, y: Any) -> Any:
        return y @ weights if dense else weights @ y

    def run() -> tuple[float, Any]:
        device.synchronize()
        began = perf_counter()
        y = run_layers(layers, put(x) if copies else on_device, multiply, cupy.maximum)
        if copies:
            y = cupy.asnumpy(y)
        device.synchronize()
        seconds = perf_counter() - began
        y = cupy.asnumpy(y)
        return seconds, y if dense else y.T

    return run
