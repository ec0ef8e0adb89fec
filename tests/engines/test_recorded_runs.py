"""The layers and rows that are recorded for the launches of both engines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import kkspdnn as kk
from kkspdnn import pk
from kkspdnn.engines.fused.engine import FusedEngine
from kkspdnn.engines.fused.schedule import FusedRun
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.engines.spgemm.engine import SpgemmEngine
from kkspdnn.engines.spgemm.run import SpgemmRun

LAYERS, NEURONS = 12, 64
FORMS = [
    {"kernel": "fused"},
    {"kernel": "fused", "exits": "none"},
    {"kernel": "spgemm"},
    {"kernel": "spgemm", "epilogue": "separate"},
]


def rows_of_floats(rows: int) -> np.ndarray:
    """Rows that are not counted as bits."""
    return kk.images(NEURONS, rows).to_dense() * np.float32(0.75)


@pytest.mark.parametrize("options", FORMS)
@pytest.mark.parametrize("space", ["serial", "openmp"])
def test_each_layer_is_recorded_with_its_rows(options: dict[str, Any], space: str) -> None:
    network, rows = kk.radixnet(NEURONS, LAYERS), rows_of_floats(3000)
    expected = kk.infer(network, rows, space=space, **options)
    with pk.time_launches() as recorder:
        result = kk.infer(network, rows, space=space, **options)
    assert (result.categories == expected.categories).all()
    assert result.record.edges_multiplied == expected.record.edges_multiplied
    times = recorder.layer_times
    assert {layer for each in times for layer in each.layers} == set(range(LAYERS))
    computed = sum(each.rows * len(each.layers) for each in times)
    if options["kernel"] == "fused":
        # All layers have the same number of edges.
        assert computed * network.layers[0].edges == result.record.edges_multiplied
        assert (computed == 3000 * LAYERS) == ("exits" in options)
    else:
        assert (times[0].rows, times[0].count) == (3000, 3 if "epilogue" in options else 1)
        assert times[-1].rows < 3000
    total = sum(each.total for each in recorder.times)
    assert 0 < sum(each.total for each in times) <= total


def test_a_first_layer_that_counts_bits() -> None:
    with pk.time_launches() as recorder:
        kk.infer(kk.radixnet(NEURONS, LAYERS), kk.images(NEURONS, 3000), exits="none")
    first, *others = recorder.layer_times
    assert (first.layers, first.rows) == (range(1), 3000)
    # The launches after the counts compute each row once in each layer, and some again the first.
    computed = sum(each.rows for each in others for layer in each.layers if layer > 0)
    assert computed == 3000 * (LAYERS - 1)


@pytest.mark.parametrize(("kernel", "run_type"), [("fused", FusedRun), ("spgemm", SpgemmRun)])
def test_without_a_recorder_a_run_knows_of_none(kernel: str, run_type: type) -> None:
    from kkspdnn.device.space import open_space

    network = kk.radixnet(NEURONS, 2)
    make: Any = {"fused": FusedEngine, "spgemm": SpgemmEngine}[kernel]
    engine = make(open_space("serial"), np.dtype(np.float32), 32.0, "all")
    layers, inputs = LayerStore(network, engine, engine.dtype), kk.images(NEURONS, 5)
    engine.compute_exit_bounds(layers, inputs)
    assert type(engine.run(layers, inputs, None, lambda _: None)) is run_type
    with pk.time_launches():
        assert type(engine.run(layers, inputs, None, lambda _: None)) is not run_type
