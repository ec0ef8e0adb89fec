"""
Layers from the challenge's text files, each parsed once and then read from the cache of layers.

The challenge's full set is about 100 GB of text. The text is what counts: a cached layer is used
only for a file with the same bytes (`kkspdnn.io.layer_cache`). Earlier versions kept a binary form
beside each text, named like `n1024-l1.tsv.gz.kkspdnn.npz`; these files are not used any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike, NDArray

from kkspdnn.errors import InputError
from kkspdnn.io.content_hash import ContentHash, hash_file
from kkspdnn.io.layer_cache import LayerCache, LayerKey
from kkspdnn.io.tsv import read_blocks
from kkspdnn.io.tsv_lines import Form
from kkspdnn.model.ieee import ieee_arithmetic
from kkspdnn.model.matrices import Floats, bias_vector, float_dtype
from kkspdnn.model.network import Layer, LazyLayers, index_dtype

RESIDENT_BYTES = 2 << 30
"""Layers up to this total stay in memory, later ones are read again when asked for."""


class FileLayers(LazyLayers):
    """
    The layers in these files, each neurons x neurons, all read and checked on construction.

    Layers up to a total of `resident_bytes` stay in memory. Later ones are read again on each
    access, from `cache` if it has them.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        neurons: int,
        bias: float,
        dtype: np.dtype[Any],
        *,
        cache: LayerCache | None = None,
        resident_bytes: int = RESIDENT_BYTES,
    ) -> None:
        self.inputs = self.outputs = neurons
        self.dtype = dtype
        self.edges = 0
        self._paths, self._bias, self._cache = tuple(paths), bias, cache
        self._held_bytes = resident_bytes
        self._held: list[Layer] = []
        self._keys: list[LayerKey | None] = []
        size = 0
        for path in self._paths:
            layer, key = load_layer(path, neurons, bias, dtype, cache)
            self._keys.append(key)
            self.edges += layer.edges
            size += layer.index.nbytes + layer.value.nbytes
            if size <= resident_bytes:
                self._held.append(layer)

    def __getstate__(self) -> dict[str, Any]:
        # A process that loads it may be in another folder.
        return {**self.__dict__, "_paths": tuple(path.absolute() for path in self._paths)}

    def __len__(self) -> int:
        return len(self._paths)

    def make(self, position: int) -> Layer:
        """Layer `position`, from 0: the one held, else read again; InputError if it changed."""
        if position < len(self._held):
            return self._held[position]
        path, key = self._paths[position], self._keys[position]
        if self._cache is None or key is None:
            return read_layer(path, self.inputs, self._bias, self.dtype)
        # the text was checked before: what is cached of it needs no look at it
        layer = _cached(self._cache, key, self._bias)
        if layer is None:
            layer, found = load_layer(path, self.inputs, self._bias, self.dtype, self._cache)
            if found is None or found.name != key.name:
                raise InputError(f"{path}: the file has changed since it was read; run again")
        return layer

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
            cache=self._cache,
            resident_bytes=self._held_bytes,
        )


@ieee_arithmetic()
def load_layer(
    path: Path, neurons: int, bias: float, dtype: np.dtype[Any], cache: LayerCache | None
) -> tuple[Layer, LayerKey | None]:
    """
    The layer in a text file, from the cache where that has it, and its key in the cache.

    InputError as in `read_layer`.
    """
    if cache is None:
        return read_layer(path, neurons, bias, dtype), None
    try:
        key = LayerKey(hash_file(path), neurons, dtype)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    layer = _cached(cache, key, bias)
    if layer is None:
        # hashed again while it is parsed: the file may have changed in between
        key = LayerKey(key.text.fresh(), neurons, dtype)
        layer = read_layer(path, neurons, bias, dtype, key.text)
        # one weight instead of millions where all are equal, as in the challenge
        same = layer.edges > 0 and bool((layer.value == layer.value[0]).all())
        cache.store(key, (layer.start, layer.index, layer.value[:1] if same else layer.value))
    return layer, key


def read_layer(
    path: Path,
    neurons: int,
    bias: float,
    dtype: DTypeLike,
    content: ContentHash | None = None,
) -> Layer:
    """
    The layer in a text file, neurons x neurons; lines in any order, weights of 0 are dropped.

    `content` is fed with the bytes of the file.
    InputError with `file:line` for what is wrong, an edge given twice too.
    """
    form = Form(("input", "output", "weight"), (neurons, neurons), dtype)
    blocks = list(read_blocks(path, form, content))
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


def _cached(cache: LayerCache, key: LayerKey, bias: float) -> Layer | None:
    """The layer in the cache, or None where that has none that can be used."""
    arrays = cache.load(key)
    if arrays is None:
        return None
    start, index, value = arrays
    try:
        layer = Layer(
            inputs=key.neurons,
            outputs=key.neurons,
            start=start,
            index=index,
            value=np.full(index.shape, value[0]) if value.shape == (1,) else value,
            bias=bias_vector(bias, key.neurons, key.dtype, "bias"),
        )
    except InputError:
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
