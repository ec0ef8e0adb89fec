"""The fused engine's run."""

from __future__ import annotations

import numpy as np

from kkspdnn.device.space import open_space
from kkspdnn.engines.fused.engine import FusedEngine
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.io.shipped_images import images
from kkspdnn.model.radixnet import radixnet


def test_the_launches_of_few_rows_have_the_shape_of_their_tiles() -> None:
    """On a GPU, narrow tiles need other teams."""
    space, net = open_space("serial"), radixnet(64, 3)
    engine = FusedEngine(space, net.dtype, net.ymax, "all")
    layers = LayerStore(net, engine, net.dtype)
    lanes = space.launch.lanes(np.dtype(np.float32))
    kernels = []
    for rows in (3, 3, 2 * lanes, 3):
        inputs = images(64, rows)
        engine.compute_exit_bounds(layers, inputs)
        run = engine.run(layers, inputs, None, lambda _rows: None)
        assert len(list(run)) == 1
        assert run.kernels.space.launch == space.for_rows(rows, net.dtype).launch
        assert run.kernels.space is run.buffers.stages[0].shape.space
        kernels.append(run.kernels)
    assert kernels[0] is kernels[1]
    assert kernels[0].space.launch != kernels[2].space.launch == space.launch
