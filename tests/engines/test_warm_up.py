"""The warm-up compiles all workunits that a run launches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import kkspdnn as kk
from kkspdnn.choices import EPILOGUES
from kkspdnn.model.layers import Layer
from kkspdnn.pk.frontend.workunit import Workunit
from kkspdnn.workunits import (
    bias,
    by_input,
    columns,
    compact,
    csr,
    dense_layer,
    fused,
    pairs,
    relu,
    spgemm,
    tiles,
)


@pytest.fixture
def _compiled_at_warm_up_only(monkeypatch: pytest.MonkeyPatch) -> None:
    modules = bias, by_input, columns, compact, csr, dense_layer, fused, pairs, relu, spgemm, tiles
    for module in modules:
        for each in vars(module).values():
            if isinstance(each, Workunit):
                monkeypatch.setattr(each, "programs", {})
                monkeypatch.setattr(each, "last", None)

    def refuse(workunit: Workunit, *_: Any) -> Any:
        raise AssertionError(f"{workunit.__name__} is compiled at its first launch")

    monkeypatch.setattr("kkspdnn.pk.dispatch._compile", refuse)


def ragged(inputs: int, outputs: int) -> kk.Network:
    weights = sp.random_array((inputs, outputs), density=0.001, rng=np.random.default_rng(1))
    return kk.network([Layer.from_sparse(weights, -0.01)], None)


def counted() -> kk.Network:
    """Return a network with 32-bit indices in the first layer and 16-bit indices in the others."""
    rng = np.random.default_rng(2)
    wide = rng.permuted(np.arange(70_000).reshape(500, 140), axis=1)[:, :32]
    narrow = rng.permuted(np.tile(np.arange(500), (500, 1)), axis=1)[:, :32]
    layers = [Layer.from_fan_in(wide, np.float32(1 / 16), -0.25, 70_000)]
    layers += [Layer.from_fan_in(narrow, np.float32(1 / 16), -0.25, 500)] * 4
    return kk.network(layers)


def bits(rows: int, neurons: int) -> kk.Inputs:
    pixels = np.random.default_rng(3).random((rows, neurons)) < 0.4
    packed = np.packbits(pixels, axis=1)
    return kk.Inputs(rows=rows, neurons=neurons, source="memory", bits=packed)


@pytest.mark.usefixtures("_compiled_at_warm_up_only")
@pytest.mark.parametrize(
    ("net", "rows"),
    [
        (ragged(70_000, 5), np.ones((3, 70_000), np.float32)),
        (ragged(5, 70_000), np.ones((3, 5), np.float32)),
        (ragged(5, 70_000), sp.csr_array(np.ones((3, 5), np.float32))),
        (counted(), bits(300, 70_000)),
        (kk.radixnet(1024, 20), kk.images(1024, 3000)),
    ],
    ids=["narrowing", "widening", "csr", "counted", "radixnet"],
)
def test_nothing_is_compiled_later(net: kk.Network, rows: Any) -> None:
    for exits in ("all", "none"):
        options: dict[str, Any] = {"exits": exits, "values": True, "verify": "full"}
        kk.infer(net, rows, kernel="fused", **options)
        for epilogue in EPILOGUES:
            kk.infer(net, rows, kernel="spgemm", epilogue=epilogue, **options)
    kk.Predictor(net)(rows)


def pruned() -> kk.Network:
    """Return a network whose output neurons a CPU computes in pairs, and whose last layer is
    dense."""
    rng = np.random.default_rng(4)
    weights = rng.standard_normal((60, 60)) * (rng.random((60, 60)) < 0.4)
    sparse = Layer.from_sparse(weights.astype(np.float32), 0.1)
    dense = Layer.from_sparse(rng.standard_normal((60, 20)).astype(np.float32), 0.1)
    return kk.network([sparse, sparse, sparse, dense], None)


@pytest.mark.usefixtures("_compiled_at_warm_up_only")
@pytest.mark.parametrize(
    "net",
    [ragged(70_000, 5), ragged(5, 70_000), kk.radixnet(1024, 20), pruned()],
    ids=["narrowing", "widening", "radixnet", "pruned"],
)
@pytest.mark.parametrize("exits", ["all", "none"])
def test_a_predictor_compiles_nothing_later(net: kk.Network, exits: Any) -> None:
    """Rows of any number, on tiles of all widths."""
    predict = kk.Predictor(net, exits=exits)
    for count in (1, 2, 3, 8, 16, 40, 100, 600):
        predict(np.ones((count, net.inputs), net.dtype))
