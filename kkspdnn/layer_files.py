"""
Layers from the challenge's text files, parsed once: a binary form is kept beside each.

The challenge's full set is about 100 GB of text. `n1024-l1.tsv.gz.kkspdnn.npz` holds the same layer
in a few megabytes, with the size and time of the text it was made from; it is only ever a shortcut:
where it is missing, stale, damaged or cannot be written, the text is what counts.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike, NDArray

from kkspdnn.errors import InputError
from kkspdnn.files import replacing
from kkspdnn.matrices import Floats, bias_vector, float_dtype
from kkspdnn.networks import Layer, LazyLayers, index_dtype
from kkspdnn.tsv import Form, read_blocks

_FORMAT = 1
HELD_BYTES = 2 << 30
"""Layers up to this total stay in memory, later ones are read again when asked for."""


class FileLayers(LazyLayers):
    """
    The layers in these files, each neurons x neurons, all read and checked on construction.

    Layers beyond `held_bytes` are not held but read again when asked for, with `binary` from their
    binary form.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        neurons: int,
        bias: float,
        dtype: np.dtype[Any],
        *,
        binary: bool = True,
        held_bytes: int = HELD_BYTES,
    ) -> None:
        self.inputs = self.outputs = neurons
        self.dtype = dtype
        self.edges = 0
        self._paths, self._bias, self._binary = tuple(paths), bias, binary
        self._held_bytes = held_bytes
        self._held: list[Layer] = []
        size = 0
        for path in self._paths:
            layer = load_layer(path, neurons, bias, dtype, binary=binary)
            self.edges += layer.edges
            size += layer.index.nbytes + layer.value.nbytes
            if size <= held_bytes:
                self._held.append(layer)

    def __getstate__(self) -> dict[str, Any]:
        # A process that loads it may be in another folder.
        return {**self.__dict__, "_paths": tuple(path.absolute() for path in self._paths)}

    def __len__(self) -> int:
        return len(self._paths)

    def make(self, position: int) -> Layer:
        """Layer `position`, from 0: the one held, else read again."""
        if position < len(self._held):
            return self._held[position]
        path = self._paths[position]
        return load_layer(path, self.inputs, self._bias, self.dtype, binary=self._binary)

    def astype(self, dtype: DTypeLike) -> FileLayers:
        """The layers in float32 or float64, read from the files again."""
        wanted = float_dtype(dtype)
        if wanted == self.dtype:
            return self
        # from the text again: float64 of a rounded float32 is not the number in the file
        return FileLayers(
            self._paths,
            self.inputs,
            self._bias,
            wanted,
            binary=self._binary,
            held_bytes=self._held_bytes,
        )


def load_layer(
    path: Path, neurons: int, bias: float, dtype: np.dtype[Any], *, binary: bool
) -> Layer:
    """The layer in a text file, from its binary form where `binary` and that is up to date."""
    if not binary:
        return read_layer(path, neurons, bias, dtype)
    kept = path.with_name(f"{path.name}.kkspdnn.npz")
    stamp = _stamp(path, dtype)
    layer = _from_binary(kept, stamp, neurons, bias, dtype)
    if layer is None:
        layer = read_layer(path, neurons, bias, dtype)
        _to_binary(kept, stamp, layer)
    return layer


def read_layer(path: Path, neurons: int, bias: float, dtype: DTypeLike) -> Layer:
    """
    The layer in a text file, neurons x neurons; lines in any order, weights of 0 are dropped.

    InputError with `file:line` for what is wrong, an edge given twice too.
    """
    form = Form(("input", "output", "weight"), (neurons, neurons), dtype)
    blocks = list(read_blocks(path, form))
    source = np.concatenate([block.first for block in blocks])
    target = np.concatenate([block.second for block in blocks])
    value = np.concatenate([block.value for block in blocks])
    coo = sp.coo_array((value, (source - 1, target - 1)), shape=(neurons, neurons))
    csc = coo.tocsc()
    if csc.nnz != value.size:
        raise _duplicate(path, source, target, neurons)
    csc.sort_indices()
    csc.eliminate_zeros()
    return Layer(
        inputs=neurons,
        outputs=neurons,
        start=csc.indptr.astype(np.int64),
        index=csc.indices.astype(index_dtype(neurons)),
        value=csc.data,
        bias=bias_vector(bias, neurons, csc.dtype, str(path)),
    )


def _duplicate(
    path: Path, source: NDArray[np.int32], target: NDArray[np.int32], neurons: int
) -> InputError:
    key = target.astype(np.int64) * (neurons + 1) + source
    order = np.argsort(key, kind="stable")
    again = order[1:][key[order][1:] == key[order][:-1]].min()
    first = int(np.flatnonzero(key == key[again])[0])
    # every line is one edge, so the position is the line
    return InputError(
        f"{path}:{again + 1}: the edge from input {source[again]} to output {target[again]} "
        f"was given in line {first + 1} already"
    )


def _stamp(path: Path, dtype: np.dtype[Any]) -> NDArray[np.int64]:
    try:
        stat = path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    return np.array([_FORMAT, stat.st_size, stat.st_mtime_ns, dtype.itemsize], dtype=np.int64)


def _to_binary(kept: Path, stamp: NDArray[np.int64], layer: Layer) -> None:
    # one weight instead of millions where all are equal, as in the challenge
    same = layer.edges > 0 and bool((layer.value == layer.value[0]).all())
    value = layer.value[:1] if same else layer.value
    try:
        with replacing(kept) as file:
            np.savez(file, stamp=stamp, start=layer.start, index=layer.index, value=value)
    except InputError:
        return  # a read-only folder: then the text is parsed every time


def _from_binary(
    kept: Path, stamp: NDArray[np.int64], neurons: int, bias: float, dtype: np.dtype[Any]
) -> Layer | None:
    """The layer in a binary file, or None where that is not there, stale or damaged in any way."""
    try:
        # NumPy leaves a file that it opened itself open where the content is bad
        with kept.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            if not np.array_equal(archive["stamp"], stamp):
                return None
            start, index, value = archive["start"], archive["index"], archive["value"]
        layer = Layer(
            inputs=neurons,
            outputs=neurons,
            start=start,
            index=index,
            value=np.full(index.shape, value[0]) if value.shape == (1,) else value,
            bias=bias_vector(bias, neurons, dtype, str(kept)),
        )
    except (OSError, EOFError, ValueError, KeyError, IndexError, zipfile.BadZipFile, zlib.error):
        return None
    return layer if _sound(layer) else None


def _sound(layer: Layer) -> bool:
    """Whether indices are inside and ascend and weights are finite: kernels rely on that."""
    values: Floats = layer.value
    if not bool((np.isfinite(values) & (values != 0)).all()):
        return False
    if not bool((np.diff(layer.start) >= 0).all()):
        return False
    if layer.edges == 0:
        return True
    ascends = np.empty(layer.edges + 1, bool)
    ascends[1:-1] = layer.index[1:] > layer.index[:-1]
    # the first edge of an output neuron follows another neuron's last: nothing to compare
    ascends[layer.start] = True
    return int(layer.index.max()) < layer.inputs and bool(ascends.all())
