"""
Layers from the text files of the challenge, parsed once and then read from the layer cache.

All networks of the challenge are about 100 GB of text. A cached layer is used only for a text file
with the same bytes (`kkspdnn.io.layer_cache`). Files such as `n1024-l1.tsv.gz.kkspdnn.npz`, which
earlier versions wrote next to the text, are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike, NDArray

from kkspdnn.errors import InputError
from kkspdnn.io.content_hash import ContentHash, hash_file
from kkspdnn.io.layer_cache import LayerCache, LayerKey
from kkspdnn.io.tsv import read_blocks
from kkspdnn.io.tsv_lines import TripleFormat
from kkspdnn.model.ieee import ieee_arithmetic
from kkspdnn.model.layers import Layer, LazyLayers, index_dtype
from kkspdnn.model.matrices import Floats, bias_vector, float_dtype

RESIDENT_BYTES = 2 << 30
"""Layers up to this total stay in memory; later ones are read again on each access."""


class FileLayers(LazyLayers):
    """
    Layers of neurons x neurons from text files. All are read and checked on construction.

    Layers up to a total of `resident_bytes` stay in memory. Later ones are read again on each
    access, from `cache` if it has them.

    on_layer: called with the number of layers that have been read
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
        on_layer: Callable[[int], None] = lambda _number: None,
    ) -> None:
        self.inputs = self.outputs = neurons
        self.dtype = dtype
        self.edges = 0
        self._paths, self._bias, self._cache = tuple(paths), bias, cache
        self._resident_bytes = resident_bytes
        self._resident: list[Layer] = []
        self._keys: list[LayerKey | None] = []
        size = 0
        for number, path in enumerate(self._paths, start=1):
            layer, key = load_layer(path, neurons, bias, dtype, cache)
            self._keys.append(key)
            self.edges += layer.edges
            size += layer.index.nbytes + layer.value.nbytes
            if size <= resident_bytes:
                self._resident.append(layer)
            on_layer(number)

    def __getstate__(self) -> dict[str, Any]:
        # A process that unpickles the object may have another working directory.
        return {**self.__dict__, "_paths": tuple(path.absolute() for path in self._paths)}

    def __len__(self) -> int:
        return len(self._paths)

    def make(self, position: int) -> Layer:
        """The layer at `position`, from memory or the file. InputError if the file has changed."""
        if position < len(self._resident):
            return self._resident[position]
        path, key = self._paths[position], self._keys[position]
        if self._cache is None or key is None:
            return read_layer(path, self.inputs, self._bias, self.dtype)
        # The text was hashed on construction, so an entry of the cache is used without reading it.
        layer = _cached(self._cache, key, self._bias)
        if layer is None:
            layer, new_key = load_layer(path, self.inputs, self._bias, self.dtype, self._cache)
            if new_key is None or new_key.name != key.name:
                raise InputError(f"{path}: the file has changed since it was read; run again")
        return layer

    def astype(self, dtype: DTypeLike) -> FileLayers:
        """The layers in float32 or float64. Another dtype than `dtype` reads the files again."""
        target = float_dtype(dtype)
        if target == self.dtype:
            return self
        # Numbers that were rounded to float32 are not those of the text in float64.
        return FileLayers(
            self._paths,
            self.inputs,
            self._bias,
            target,
            cache=self._cache,
            resident_bytes=self._resident_bytes,
        )


@ieee_arithmetic()
def load_layer(
    path: Path, neurons: int, bias: float, dtype: np.dtype[Any], cache: LayerCache | None
) -> tuple[Layer, LayerKey | None]:
    """
    The layer in a text file, from the cache if it has an entry, and its key in the cache.

    The key is None without a cache. InputError as in `read_layer`.
    """
    if cache is None:
        return read_layer(path, neurons, bias, dtype), None
    try:
        key = LayerKey(hash_file(path), neurons, dtype)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    layer = _cached(cache, key, bias)
    if layer is None:
        # Hash the bytes that are parsed, because the file may have changed since it was hashed.
        key = LayerKey(key.text.new(), neurons, dtype)
        layer = read_layer(path, neurons, bias, dtype, key.text)
        # Store one weight if all are equal, as in the challenge.
        equal = layer.edges > 0 and bool((layer.value == layer.value[0]).all())
        cache.store(key, (layer.start, layer.index, layer.value[:1] if equal else layer.value))
    return layer, key


def read_layer(
    path: Path,
    neurons: int,
    bias: float,
    dtype: DTypeLike,
    content: ContentHash | None = None,
) -> Layer:
    """
    The layer of neurons x neurons in a text file. Weights of 0 are dropped.

    content: updated with the bytes of the file

    Lines may be in any order. InputError with `file:line` for an invalid line or a duplicate edge.
    """
    columns = TripleFormat(("input", "output", "weight"), (neurons, neurons), dtype)
    blocks = list(read_blocks(path, columns, content))
    source = np.concatenate([block.first for block in blocks])
    target = np.concatenate([block.second for block in blocks])
    value = np.concatenate([block.value for block in blocks])
    coo = sp.coo_array((value, (source - 1, target - 1)), shape=(neurons, neurons))
    csc = coo.tocsc()
    if csc.nnz != value.size:
        raise _duplicate_edge(path, source, target, neurons)
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


def _duplicate_edge(
    path: Path, source: NDArray[np.int32], target: NDArray[np.int32], neurons: int
) -> InputError:
    """The error for the first line with an edge of an earlier line."""
    key = target.astype(np.int64) * (neurons + 1) + source
    order = np.argsort(key, kind="stable")
    second = order[1:][key[order][1:] == key[order][:-1]].min()
    first = int(np.flatnonzero(key == key[second])[0])
    # Each line is one edge, so the index is the line.
    return InputError(
        f"{path}:{second + 1}: the edge from input {source[second]} to output {target[second]} "
        f"is already in line {first + 1}; remove one of them"
    )


def _cached(cache: LayerCache, key: LayerKey, bias: float) -> Layer | None:
    """The layer in the cache, or None if there is no valid entry."""
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
    return layer if _is_valid(layer) else None


def _is_valid(layer: Layer) -> bool:
    """Whether indices ascend and are in range, and weights are finite and not 0.

    The kernels rely on this.
    """
    values: Floats = layer.value
    if not bool((np.isfinite(values) & (values != 0)).all()):
        return False
    if not bool((np.diff(layer.start) >= 0).all()):
        return False
    if layer.edges == 0:
        return True
    ascends = np.empty(layer.edges + 1, bool)
    ascends[1:-1] = layer.index[1:] > layer.index[:-1]
    # The first edge of an output neuron follows an edge of another neuron: do not compare them.
    ascends[layer.start] = True
    return int(layer.index.max()) < layer.inputs and bool(ascends.all())
