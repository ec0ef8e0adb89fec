"""Run by all ranks: the results are those of one process, for any network, rows and options."""

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
    """Return a network of random layers with weights of both signs and different fan-ins."""
    rng = np.random.default_rng(7)
    layers = []
    for inputs, outputs in zip(widths, widths[1:], strict=False):
        weights = sp.random_array((inputs, outputs), density=0.2, rng=rng, dtype=dtype)
        weights.data -= 0.4
        bias = rng.normal(shift, 0.1, outputs)
        layers.append(kk.Layer.from_sparse(weights, bias, **rules))  # type: ignore[arg-type]
    return kk.network(layers, ymax=2.0, inputs=widths[0])


def check(network: kk.Network, rows: kk.Inputs, **options: object) -> kk.Record:
    """Compare both strategies with one process; returns the record of the data-parallel run."""
    records = {}
    for parallel in ("pipeline", "data"):
        many = kk.infer(network, rows, comm=WORLD, parallel=parallel, **options)  # type: ignore[arg-type]
        record = records[parallel] = many.record
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
    assert sum(load.rows for load in records["data"].loads) == rows.rows
    assert {load.layers for load in records["data"].loads} == {len(network.layers)}
    assert sum(load.layers for load in records["pipeline"].loads) == len(network.layers)
    assert records["pipeline"].loads[0].rows == rows.rows
    assert records["pipeline"].layers_held == len(network.layers)
    return records["data"]


def compare(one: kk.Result, many: kk.Result) -> None:
    assert np.array_equal(one.categories, many.categories)
    assert one.record.categories_sha256 == many.record.categories_sha256
    assert (one.values is None) == (many.values is None)
    if one.values is not None and many.values is not None:
        assert many.values.shape == one.values.shape
        for name in ("indptr", "indices", "data"):
            assert np.array_equal(getattr(many.values, name), getattr(one.values, name)), name


def check_checkpoint(network: kk.Network, rows: kk.Inputs) -> None:
    """Resume a data-parallel run as a pipeline."""
    with tempfile.TemporaryDirectory() as path:
        folder = Path(WORLD.bcast(path)) / "checkpoint"
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


def check_same_on_all_ranks(network: kk.Network, rows: kk.Inputs) -> None:
    """If a rank has other rows or options than the first one, all ranks raise the error."""
    own = rows.slice(0, rows.rows - WORLD.rank)
    options = {"values": WORLD.rank == 0}
    with pytest.raises(kk.InputError, match=r"different arguments \(input rows, values\)"):
        kk.infer(network, own, comm=WORLD, **options)  # type: ignore[arg-type]


def main() -> None:
    check_order()
    check_same_on_all_ranks(kk.radixnet(64, 2), kk.images(64, 100))
    radix = kk.radixnet(64, 8)
    many, few = kk.images(64, 4000), kk.images(64, 3)
    check(radix, many, values=True, verify="full")
    check(radix, many, verify="sample", exits="dead")
    check(radix, few, values=True, verify="full", exits="none")
    check(radix, few.slice(0, 0), values=True, verify="sample")
    check(radix, many, fold=True, values=True, verify="full")
    check(radix, many, values=True, verify="full", repeat=3)
    # Rows are sorted by their number of pixels: contiguous blocks would have very unequal costs.
    assert many.bits is not None
    order = np.argsort(np.bitwise_count(many.bits).sum(axis=1))
    rows = kk.Inputs(4000, 64, "sorted", bits=np.ascontiguousarray(many.bits[order]))
    loads = [load.edges_multiplied for load in check(radix, rows, exits="all").loads]
    assert max(loads) < 1.3 * min(loads)
    for dtype in ("float32", "float64"):
        own = mixed((60, 50, 70, 40), dtype)
        dense = np.random.default_rng(1).normal(0, 1, (301, 60)) * (np.arange(301) % 3 > 0)[:, None]
        inputs = kk.Inputs.from_any(dense.astype(dtype))
        check(own, inputs, values=True, verify="full")
        check(own, inputs, values=True, verify="full", kernel="spgemm")
        check(own, inputs, values=True, verify="full", kernel="auto")
    # A bias makes rows of zeros nonzero again, on whatever rank they are.
    dies = mixed((60, 50, 40), "float32", shift=-3.0, bias_to="all").layers
    revives = mixed((40, 30), "float32", bias_to="all").layers
    last = mixed((30, 20), "float32", bias_to="all", activation="linear").layers
    ordinary = kk.network([*dies, *revives, *last], ymax=0.5)
    single = kk.Inputs.from_any(dense.astype(np.float32))
    check(ordinary, single, values=True, verify="full")
    check(kk.network([], inputs=64), many, values=True)
    check_checkpoint(radix, many)


if __name__ == "__main__":
    main()
