"""Launches of all workunits that a run of the SpGEMM engine uses, to compile them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kkspdnn.choices import Epilogue
from kkspdnn.engines.spgemm.csr import Csr
from kkspdnn.engines.spgemm.kernels import SpgemmKernels, compute_layer
from kkspdnn.engines.spgemm.layer import SpgemmLayer
from kkspdnn.model.inputs import Inputs


def launch_all(
    kernels: SpgemmKernels,
    layers: Sequence[SpgemmLayer],
    inputs: Inputs,
    csr: Csr,
    epilogue: Epilogue,
) -> None:
    """Launch each workunit of a run of layers of these forms.

    csr: some of the input rows, in the memory of the space
    """
    kernels.allocate(inputs, csr.rows)
    all_rows = np.arange(csr.rows, dtype=np.int64)
    for layer in layers:
        rows = csr if csr.columns == layer.inputs else csr.zeros(layer.inputs)
        for y in kernels.forms(rows):
            z, _ = compute_layer(kernels, y, layer, epilogue)
            kernels.row_ranges(z)
            kernels.finite(z)
            kernels.to_csr(z)
            kernels.select(z, all_rows)


def one_of_each_form(layers: Sequence[SpgemmLayer]) -> list[SpgemmLayer]:
    """Return a layer for each type of indices."""
    return list({layer.weights.index.dtype: layer for layer in reversed(layers)}.values())
