"""The hand-written CPU kernel as a candidate, for networks with one fan-in."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

from bench.ceiling.native import Native
from bench.ceiling.tiled_problem import TileCandidate, TiledProblem
from kkspdnn.engines.fused.layer import FusedLayer
from kkspdnn.errors import InputError

LANES = 64
"""Rows of a tile in ceiling.cpp."""


class HandWrittenKernel(TileCandidate):
    """Calls kkspdnn_hand_layers with the arrays of the workunit.

    depth: consecutive layers that are computed for a tile while it is in the cache

    Raises InputError if ceiling.cpp does not support the layers.
    """

    def __init__(self, native: Native, problem: TiledProblem, depth: int) -> None:
        super().__init__(problem)
        check_layers(problem, (LANES,))
        self._native = native
        self._depth = depth

    def run(self, layers: int) -> None:
        """Compute the first `layers` layers for all rows."""
        used = self.problem.layers[:layers]
        weight = np.array([layer.weights.get("weight", 0) for layer in used], np.float32)
        self._native.library.kkspdnn_hand_layers(
            self.tiles.array.ctypes.data,
            self.tiles.count,
            self.problem.shape.widest,
            used[0].fan_in,
            layers,
            self._depth,
            _addresses(used, "index"),
            _addresses(used, "value"),
            weight.ctypes.data,
            _addresses(used, "bias"),
            self.problem.engine.ymax,
            self.problem.engine.space.threads,
        )
        self.tiles.swap_buffers(layers, self.problem.shape.widest)


def check_layers(problem: TiledProblem, lanes: Sequence[int]) -> None:
    """Raise InputError if a hand-written kernel does not support the layers.

    lanes: the numbers of rows of a tile that it supports
    """
    layers, kernel = problem.layers, "the hand-written kernel"
    if problem.shape.dtype != np.float32 or problem.shape.lanes not in lanes:
        rows = " or ".join(map(str, lanes))
        raise InputError(f"{kernel} needs float32 in tiles of {rows} rows; use a RadiX-Net")
    if len({layer.fan_in for layer in layers}) != 1 or layers[0].fan_in is None:
        raise InputError(f"{kernel} needs the same fan-in in all layers; use a RadiX-Net")
    if any(not layer.inputs == layer.outputs == problem.shape.widest for layer in layers):
        raise InputError(f"{kernel} needs the same width in all layers; use a RadiX-Net")
    if any(layer.weights["index"].dtype != np.uint16 for layer in layers):
        raise InputError(f"{kernel} needs uint16 indices; use at most 65536 neurons")
    if any(layer.rule != ("relu", "nonzero") for layer in layers):
        raise InputError(f"{kernel} needs the challenge's bias and ReLU; use a RadiX-Net")


def _addresses(layers: Sequence[FusedLayer], name: str) -> ctypes.Array[ctypes.c_void_p]:
    """Return the address of each layer's slice of its group's array; null if it has no array."""
    addresses: list[int | None] = []
    for layer in layers:
        array = layer.weights.get(name)
        if array is None:
            addresses.append(None)
        else:
            assert array.flags.c_contiguous
            addresses.append(array[layer.group_index * layer.outputs :].ctypes.data)
    return (ctypes.c_void_p * len(addresses))(*addresses)
