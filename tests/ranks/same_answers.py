"""Run by all ranks: whatever the ranks, network, rows and options, the answer is one process's."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from mpi4py import MPI

import kkspdnn as kk

WORLD = MPI.COMM_WORLD


def mixed(widths: tuple[int, ...], dtype: str) -> kk.Network:
    """Random layers of all widths with weights of both signs and fan-ins of all sizes."""
    rng = np.random.default_rng(7)
    layers = []
    for inputs, outputs in zip(widths, widths[1:], strict=False):
        weights = sp.random_array((inputs, outputs), density=0.2, rng=rng, dtype=dtype)
        weights.data -= 0.4
        layers.append(kk.Layer.from_sparse(weights, rng.normal(0, 0.1, outputs)))
    return kk.network(layers, ymax=2.0, inputs=widths[0])


def check(network: kk.Network, rows: kk.Inputs, **options: object) -> kk.Record:
    many = kk.infer(network, rows, comm=WORLD, **options)  # type: ignore[arg-type]
    record = many.record
    assert sum(load.rows for load in record.loads) == rows.rows
    assert sum(load.edges_multiplied for load in record.loads) == record.edges_multiplied
    assert [load.rank for load in record.loads] == list(range(WORLD.size))
    assert record.parallel == "data"
    assert record.threads == sum(load.threads for load in record.loads)
    assert record.imbalance is not None
    assert 1 <= record.imbalance <= WORLD.size * 1.0001
    assert record.verified.passed in (None, True)
    assert record.categories == many.categories.size
    if WORLD.rank:
        assert many.values is None
        return record
    one = kk.infer(network, rows, **options)  # type: ignore[arg-type]
    assert np.array_equal(one.categories, many.categories)
    assert one.record.categories_sha256 == record.categories_sha256
    if one.values is not None:
        assert many.values is not None
        assert many.values.shape == one.values.shape
        for part in ("indptr", "indices", "data"):
            assert np.array_equal(getattr(many.values, part), getattr(one.values, part)), part
    return record


def main() -> None:
    radix = kk.radixnet(64, 8)
    many, few = kk.images(64, 4000), kk.images(64, 3)
    check(radix, many, values=True, verification="full")
    check(radix, many, verification="sample", exits="dead")
    check(radix, few, values=True, verification="full", exits="none")
    check(radix, few.slice(0, 0), values=True, verification="sample")
    check(radix, many, fold=True, values=True, verification="full")
    # Rows come sorted from empty to full: a part of neighbours would be all dead or all alive.
    assert many.bits is not None
    order = np.argsort(np.bitwise_count(many.bits).sum(axis=1))
    rows = kk.Inputs(4000, 64, "sorted", bits=np.ascontiguousarray(many.bits[order]))
    shares = [load.edges_multiplied for load in check(radix, rows, exits="all").loads]
    assert max(shares) < 1.3 * min(shares)
    for dtype in ("float32", "float64"):
        own = mixed((60, 50, 70, 40), dtype)
        dense = np.random.default_rng(1).normal(0, 1, (301, 60)) * (np.arange(301) % 3 > 0)[:, None]
        given = kk.Inputs.from_any(dense.astype(dtype))
        check(own, given, values=True, verification="full")
        check(own, given, values=True, verification="full", kernel="spgemm")
    check(kk.network([], inputs=64), many, values=True)


if __name__ == "__main__":
    main()
