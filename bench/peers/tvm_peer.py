"""Apache TVM: a layer as a tensor expression over tiles, with a schedule for LLVM."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.peer import missing_package, package_version
from bench.peers.tiles import LANES, TilePeer
from kkspdnn.device.aligned import aligned_empty


class Tvm(TilePeer):
    """te.compute with a manual schedule: tiles in parallel, lanes in SIMD registers."""

    name = "tvm"
    label = "Apache TVM, fused tiles"

    def available(self) -> str | None:
        return missing_package("tvm", "Apache TVM")

    def version(self) -> str:
        return package_version("apache-tvm")

    def weights(
        self, index: NDArray[np.int32], value: NDArray[Any], bias: NDArray[np.float32]
    ) -> Any:
        import tvm

        return tuple(tvm.runtime.tensor(array) for array in (index, value, bias))

    def compile(self, neurons: int, fan_in: int, threads: int) -> float:
        import tvm

        begun = perf_counter()
        target = tvm.target.Target({"kind": "llvm", **_processor()})
        self._kernel = tvm.compile(_scheduled(neurons, fan_in), target=target)["layer"]
        tile, out = (aligned_empty((1, neurons, LANES), np.float32) for _ in range(2))
        tile[:] = 0
        self.layer(tile, self._layers[0], out)
        return perf_counter() - begun

    def layer(self, a: NDArray[np.float32], weights: Any, out: NDArray[np.float32]) -> None:
        import tvm

        # out is contiguous, so TVM writes into the NumPy array.
        self._kernel(tvm.runtime.from_dlpack(a), *weights, tvm.runtime.from_dlpack(out))


def _processor() -> dict[str, str]:
    """Return LLVM's name of the host processor, or nothing if this TVM does not know it."""
    from tvm.target import codegen

    name = codegen.llvm_get_system_cpu()
    return {"mcpu": str(name)} if name else {}


def _scheduled(neurons: int, fan_in: int) -> Any:
    """Return the scheduled layer from and to [tiles, neurons, LANES], for any number of tiles."""
    from tvm import s_tir, te

    tiles = te.var("tiles", "int32")
    a = te.placeholder((tiles, neurons, LANES), "float32", "a")
    index = te.placeholder((neurons, fan_in), "int32", "index")
    value = te.placeholder((neurons, fan_in), "float32", "value")
    bias = te.placeholder((neurons,), "float32", "bias")
    k = te.reduce_axis((0, fan_in), "k")
    product = te.compute(
        (tiles, neurons, LANES),
        lambda t, j, lane: te.sum(a[t, index[j, k], lane] * value[j, k], axis=k),
        "product",
    )
    zero, upper = te.const(0.0, "float32"), te.const(32.0, "float32")
    activated = te.compute(
        (tiles, neurons, LANES),
        lambda t, j, lane: te.min(te.max(product[t, j, lane] + bias[j], zero), upper),
        "activated",
    )
    function = te.create_prim_func([a, index, value, bias, activated])
    schedule = s_tir.Schedule(function.with_attr("global_symbol", "layer"))
    last, sums = schedule.get_sblock("activated"), schedule.get_sblock("product")
    tile, neuron, lane = schedule.get_loops(last)
    schedule.parallel(tile)
    schedule.vectorize(lane)
    schedule.compute_at(sums, neuron)
    schedule.set_scope(sums, 0, "local")
    *_, lane, edge = schedule.get_loops(sums)
    schedule.reorder(edge, lane)
    schedule.vectorize(lane)
    schedule.unroll(edge)
    schedule.decompose_reduction(sums, edge)
    return schedule.mod
