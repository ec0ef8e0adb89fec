"""The kernel written by hand, on a network whose neurons all have the same fan-in."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

from bench.ceiling.native import Native
from bench.ceiling.work import OnTiles, Work
from kkspdnn.engines.fused.layer import FusedLayer
from kkspdnn.errors import InputError

LANES = 64
"""Rows in a tile, as ceiling.cpp has them."""


class Hand(OnTiles):
    """kkspdnn_hand_layers on the very arrays that the workunit gets, `depth` layers of a tile after
    one another.

    Raises InputError for layers that ceiling.cpp does not take.
    """

    def __init__(self, native: Native, work: Work, depth: int) -> None:
        super().__init__(work)
        check_layers(work, LANES)
        self._native = native
        self._depth = depth

    def run(self, layers: int) -> None:
        """Take all rows through the first so many layers."""
        used = self.work.layers[:layers]
        weight = np.array([layer.weights.get("weight", 0) for layer in used], np.float32)
        self._native.library.kkspdnn_hand_layers(
            self.tiles.all.ctypes.data,
            self.tiles.count,
            self.work.shape.widest,
            used[0].fan_in,
            layers,
            self._depth,
            _addresses(used, "index"),
            _addresses(used, "value"),
            weight.ctypes.data,
            _addresses(used, "bias"),
            self.work.engine.ymax,
            self.work.engine.space.threads,
        )
        self.tiles.swap(layers, self.work.shape.widest)


def check_layers(work: Work, lanes: int) -> None:
    """Raise InputError for layers that no kernel written by hand takes."""
    layers = work.layers
    if work.shape.dtype != np.float32 or work.shape.lanes != lanes:
        raise InputError(f"the kernel takes float32 in tiles of {lanes} rows; use a RadiX-Net")
    if len({layer.fan_in for layer in layers}) != 1 or layers[0].fan_in is None:
        raise InputError("the kernel takes layers of one fan-in; use a RadiX-Net")
    if any(not layer.inputs == layer.outputs == work.shape.widest for layer in layers):
        raise InputError("the kernel takes layers of one width; use a RadiX-Net")
    if any(layer.weights["index"].dtype != np.uint16 for layer in layers):
        raise InputError("the kernel takes indices of uint16; use at most 65536 neurons")
    if any(layer.rule != ("relu", "nonzero") for layer in layers):
        raise InputError("the kernel takes the challenge's bias and ReLU; use a RadiX-Net")


def _addresses(layers: Sequence[FusedLayer], name: str) -> ctypes.Array[ctypes.c_void_p]:
    """Where each layer's part of its stack's array begins; null where there is none."""
    begins: list[int | None] = []
    for layer in layers:
        array = layer.weights.get(name)
        if array is None:
            begins.append(None)
        else:
            assert array.flags.c_contiguous
            begins.append(array[layer.position * layer.outputs :].ctypes.data)
    return (ctypes.c_void_p * len(begins))(*begins)
