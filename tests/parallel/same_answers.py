"""Run by all ranks: whatever the ranks, network, rows and options, the answer is one process's."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from mpi4py import MPI

import kkspdnn as kk
from kkspdnn.parallel.ranks import Ranks

WORLD = MPI.COMM_WORLD


def mixed(widths: tuple[int, ...], dtype: str, shift: float = 0, **rules: str) -> kk.Network:
    """Random layers of all widths with weights of both signs and fan-ins of all sizes."""
    rng = np.random.default_rng(7)
    layers = []
    for inputs, outputs in zip(widths, widths[1:], strict=False):
        weights = sp.random_array((inputs, outputs), density=0.2, rng=rng, dtype=dtype)
        weights.data -= 0.4
        bias = rng.normal(shift, 0.1, outputs)
        layers.append(kk.Layer.from_sparse(weights, bias, **rules))  # type: ignore[arg-type]
    return kk.network(layers, ymax=2.0, inputs=widths[0])


def check(network: kk.Network, rows: kk.Inputs, **options: object) -> kk.Record:
    """In both ways; gives the record of the data parallel one."""
    found = {}
    for parallel in ("pipeline", "data"):
        many = kk.infer(network, rows, comm=WORLD, parallel=parallel, **options)  # type: ignore[arg-type]
        record = found[parallel] = many.record
        assert record.parallel == parallel
        assert record.verified.passed in (None, True)
        if WORLD.rank == 0:
            compare(kk.infer(network, rows, **options), many)  # type: ignore[arg-type]
        else:
            assert many.values is None
            assert many.record.categories == many.categories.size
        assert [load.rank for load in record.loads] == list(range(WORLD.size))
        assert record.threads == sum(load.threads for load in record.loads)
        assert sum(load.edges_multiplied for load in record.loads) == record.edges_multiplied
        assert record.imbalance is not None
        assert 1 <= record.imbalance <= WORLD.size * 1.0001
    assert sum(load.rows for load in found["data"].loads) == rows.rows
    assert {load.layers for load in found["data"].loads} == {len(network.layers)}
    assert sum(load.layers for load in found["pipeline"].loads) == len(network.layers)
    assert found["pipeline"].loads[0].rows == rows.rows
    assert found["pipeline"].layers_held == len(network.layers)
    return found["data"]


def compare(one: kk.Result, many: kk.Result) -> None:
    assert np.array_equal(one.categories, many.categories)
    assert one.record.categories_sha256 == many.record.categories_sha256
    assert (one.values is None) == (many.values is None)
    if one.values is not None and many.values is not None:
        assert many.values.shape == one.values.shape
        for part in ("indptr", "indices", "data"):
            assert np.array_equal(getattr(many.values, part), getattr(one.values, part)), part


def check_checkpoint(network: kk.Network, rows: kk.Inputs) -> None:
    """Begun in one way, gone on in the other."""
    with tempfile.TemporaryDirectory() as mine:
        folder = Path(WORLD.bcast(mine)) / "kept"
        for parallel in ("data", "pipeline"):
            many = kk.infer(
                network, rows, comm=WORLD, parallel=parallel, checkpoint=folder, values=True
            )  # type: ignore[arg-type]
            if WORLD.rank == 0:
                compare(kk.infer(network, rows, values=True), many)
                assert (many.record.saved_rows > 0) == (parallel == "pipeline")
                next(folder.glob("part-2-of-*")).unlink()
            WORLD.Barrier()


def check_order() -> None:
    """The first rank of a node compiles before the others."""
    ranks = Ranks(WORLD)
    nodes = WORLD.allgather((ranks.host, ranks.first_of_node_first(time.monotonic)))
    first, *others = [when for host, when in nodes if host == ranks.host]
    assert first < min(others)


def check_alike(network: kk.Network, rows: kk.Inputs) -> None:
    """Ranks with other rows or options than the first one are told so, all of them."""
    own = rows.slice(0, rows.rows - WORLD.rank)
    options = {"values": WORLD.rank == 0}
    with pytest.raises(kk.InputError, match="have not the same input rows, values; give"):
        kk.infer(network, own, comm=WORLD, **options)  # type: ignore[arg-type]


def main() -> None:
    check_order()
    check_alike(kk.radixnet(64, 2), kk.images(64, 100))
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
    # An ordinary bias brings rows of zeros to life again, whatever rank they are on.
    dies = mixed((60, 50, 40), "float32", shift=-3.0, bias_to="all").layers
    revives = mixed((40, 30), "float32", bias_to="all").layers
    last = mixed((30, 20), "float32", bias_to="all", activation="linear").layers
    ordinary = kk.network([*dies, *revives, *last], ymax=0.5)
    single = kk.Inputs.from_any(dense.astype(np.float32))
    check(ordinary, single, values=True, verification="full")
    check(kk.network([], inputs=64), many, values=True)
    check_checkpoint(radix, many)


if __name__ == "__main__":
    main()
