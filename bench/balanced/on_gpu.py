"""The implementations that are timed on a GPU: cuBLAS and cuSPARSE, through CuPy, and kkspdnn.

kkspdnn takes rows from the host's memory and brings the values back, within its time. So each of
the others is timed twice: with rows and values on the device, and "with copies", as kkspdnn.
Every clock starts and stops while the device has nothing to do. CuPy has no block-sparse matrices
(cupyx.scipy.sparse: bsr_matrix is not implemented), so block-sparse weights are CSR here.
"""

from __future__ import annotations

from functools import partial
from time import perf_counter
from typing import Any

import kkspdnn as kk
from bench.balanced.contenders import Contender, Run, ours, through, weights_of
from bench.peers.gpu import missing_on_gpu, missing_to_compile
from kkspdnn.choices import METHODS

_NO_TF32 = {"CUPY_TF32": "0", "NVIDIA_TF32_OVERRIDE": "0"}
"""Products are float32's, as everybody else's: TF32 keeps 10 bits of 23."""


def on_gpu() -> dict[str, Contender]:
    """By their names, the dense ones first."""
    lacks = partial(missing_on_gpu, "cupy", "CuPy")
    found = {}
    for copies, suffix in ((False, ""), (True, ", with copies")):
        dense = partial(_cupy, dense=True, copies=copies)
        sparse = partial(_cupy, dense=False, copies=copies)
        found[f"cuBLAS{suffix}"] = Contender(("dense",), dense, lacks, _NO_TF32)
        found[f"cuSPARSE CSR{suffix}"] = Contender(METHODS, sparse, lacks, _NO_TF32)
    return found | {"kkspdnn": ours("cuda", missing_to_compile)}


def _cupy(network: kk.Network, x: Any, _threads: int, dense: bool, copies: bool) -> Run:
    import cupy
    from cupyx.scipy import sparse

    device = cupy.cuda.Device()

    def put(array: Any) -> Any:
        # cuSPARSE takes columns one behind the other without a copy, and so are those of x.T.
        return cupy.asarray(array) if dense else cupy.asfortranarray(cupy.asarray(array.T))

    layers = [
        (weights, cupy.asarray(bias), activation)
        for weights, bias, activation in weights_of(
            network, dense, cupy.asarray if dense else sparse.csr_matrix
        )
    ]
    there = put(x)

    def multiply(weights: Any, y: Any) -> Any:
        return y @ weights if dense else weights @ y

    def run() -> tuple[float, Any]:
        device.synchronize()
        began = perf_counter()
        y = through(layers, put(x) if copies else there, multiply, cupy.maximum)
        if copies:
            y = cupy.asnumpy(y)
        device.synchronize()
        seconds = perf_counter() - began
        y = cupy.asnumpy(y)
        return seconds, y if dense else y.T

    return run
