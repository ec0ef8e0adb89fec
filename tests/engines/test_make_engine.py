"""The options that an engine is made with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kkspdnn.choices import EPILOGUES, EXITS, KERNELS, Epilogue, Exits, Kernel
from kkspdnn.device.space import open_space
from kkspdnn.engines import make_engine
from kkspdnn.inference import infer
from kkspdnn.io.shipped_images import images
from kkspdnn.model.radixnet import radixnet


@pytest.mark.parametrize("exits", EXITS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_exits(kernel: Kernel, exits: Exits) -> None:
    engine = make_engine(kernel, open_space("serial"), np.dtype(np.float32), 32.0, exits)
    assert engine.exits == exits


@pytest.mark.parametrize("epilogue", EPILOGUES)
def test_epilogue(epilogue: Epilogue) -> None:
    space, dtype = open_space("serial"), np.dtype(np.float32)
    assert make_engine("spgemm", space, dtype, 32.0, "all", epilogue).epilogue == epilogue
    assert make_engine("fused", space, dtype, 32.0, "all", epilogue).epilogue is None


@pytest.mark.parametrize("epilogue", EPILOGUES)
def test_spgemm_computes_no_rows_of_zeros(epilogue: Epilogue) -> None:
    """So none and dead compute the same, and all computes less."""
    net, rows = radixnet(64, 40), images(64, 500)
    options: dict[str, Any] = {"space": "serial", "kernel": "spgemm", "epilogue": epilogue}
    found = {exits: infer(net, rows, exits=exits, **options).record for exits in EXITS}
    edges = {exits: record.edges_multiplied for exits, record in found.items()}
    assert edges["all"] < edges["dead"] == edges["none"]
    assert len({record.categories_sha256 for record in found.values()}) == 1
    assert {record.epilogue for record in found.values()} == {epilogue}
