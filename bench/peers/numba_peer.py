"""Numba: the tile layout of the fused engine, with a kernel in plain Python."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.peer import YMAX, missing_package, package_version
from bench.peers.tiles import LANES, TilePeer

_UNROLL = 8


def _make_layer(prange: Any) -> Any:
    def layer(a, index, value, bias, out, ymax):  # type: ignore[no-untyped-def]
        for tile in prange(a.shape[0]):
            total = np.empty(64, np.float32)
            for j in range(index.shape[0]):
                total[:] = 0
                for k in range(0, index.shape[1], 8):
                    # Eight edges per iteration, so that the sums stay in registers between them.
                    a0, a1 = a[tile, index[j, k]], a[tile, index[j, k + 1]]
                    a2, a3 = a[tile, index[j, k + 2]], a[tile, index[j, k + 3]]
                    a4, a5 = a[tile, index[j, k + 4]], a[tile, index[j, k + 5]]
                    a6, a7 = a[tile, index[j, k + 6]], a[tile, index[j, k + 7]]
                    w0, w1, w2, w3 = value[j, k], value[j, k + 1], value[j, k + 2], value[j, k + 3]
                    w4, w5 = value[j, k + 4], value[j, k + 5]
                    w6, w7 = value[j, k + 6], value[j, k + 7]
                    for lane in range(64):
                        s = total[lane] + w0 * a0[lane] + w1 * a1[lane]
                        s = s + w2 * a2[lane] + w3 * a3[lane]
                        s = s + w4 * a4[lane] + w5 * a5[lane]
                        total[lane] = s + w6 * a6[lane] + w7 * a7[lane]
                for lane in range(64):
                    out[tile, j, lane] = min(max(total[lane] + bias[j], np.float32(0)), ymax)

    return layer


class Numba(TilePeer):
    """A parallel loop over tiles; LLVM vectorizes the lanes."""

    name = "numba"
    label = "Numba, fused tiles"

    def available(self) -> str | None:
        return missing_package("numba", "Numba")

    def version(self) -> str:
        return package_version("numba")

    def compile(self, neurons: int, fan_in: int, threads: int) -> float:
        import numba

        assert LANES == 64
        assert fan_in % _UNROLL == 0
        begun = perf_counter()
        numba.set_num_threads(threads)
        self._layer = numba.njit(parallel=True, error_model="numpy")(_make_layer(numba.prange))
        tile = np.zeros((1, neurons, LANES), np.float32)
        self.layer(tile, self._layers[0], np.empty_like(tile))
        return perf_counter() - begun

    def layer(self, a: NDArray[np.float32], weights: Any, out: NDArray[np.float32]) -> None:
        self._layer(a, *weights, out, YMAX)
