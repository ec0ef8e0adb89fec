"""The kernels of a GPU in the SpGEMM engine, here with teams of one thread on a CPU."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from kkspdnn.choices import EPILOGUES, Epilogue, SpaceName
from kkspdnn.device.space import open_space
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.engines.spgemm import team_kernels
from kkspdnn.engines.spgemm.engine import SpgemmEngine
from kkspdnn.engines.spgemm.output_order import order_outputs
from kkspdnn.engines.spgemm.team_kernels import TeamKernels
from kkspdnn.errors import InputError
from kkspdnn.io.shipped_images import images
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Layer
from kkspdnn.model.network import Network, network
from kkspdnn.model.radixnet import radixnet

SPACES: list[SpaceName] = ["serial", "openmp"]


def engines(
    space_name: SpaceName, dtype: str, net: Network, epilogue: Epilogue
) -> tuple[SpgemmEngine, SpgemmEngine]:
    """Return the engine of a CPU, and the same with the kernels of a GPU."""
    space = open_space(space_name)
    threads = SpgemmEngine(space, np.dtype(dtype), net.ymax, "none", epilogue)
    teams = SpgemmEngine(space, np.dtype(dtype), net.ymax, "none", epilogue)
    teams.kernels = TeamKernels(space)
    return threads, teams


def outputs(engine: SpgemmEngine, net: Network, inputs: Inputs) -> tuple[list[int], Any, int]:
    """Return the nonzero rows, the values of all of them, and the number of multiplications."""
    layers = LayerStore(net, engine, engine.dtype)
    engine.compute_exit_bounds(layers, inputs)
    (part,) = engine.run(layers, inputs, lambda rows: np.arange(rows.size), lambda _: None)
    return part.rows.tolist(), part.values, part.computed_edges


def signed(dtype: str) -> Network:
    """Return layers of different widths, with neurons without inputs or outputs and both signs."""
    rng = np.random.default_rng(5)
    layers = []
    for rows, columns in ((90, 33), (33, 130), (130, 70)):
        weights = sp.random_array((rows, columns), density=0.15, rng=rng).tocsc()
        weights.data[:] = rng.normal(size=weights.nnz)
        layers.append(Layer.from_sparse(weights.astype(dtype), np.full(columns, -0.01, dtype)))
    return network(layers, ymax=None)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["radixnet", "signed"])
@pytest.mark.parametrize("epilogue", EPILOGUES)
def test_a_run_has_the_bits_of_the_cpu_kernels(
    space: SpaceName, dtype: str, name: str, epilogue: Epilogue
) -> None:
    if name == "radixnet":
        net, inputs = radixnet(1024, 12, dtype=dtype), images(1024, 300)
    else:
        rows = np.random.default_rng(6).normal(size=(50, 90))
        rows[::7] = 0
        net, inputs = signed(dtype), Inputs.from_any(rows.astype(dtype))
    found = [outputs(each, net, inputs) for each in engines(space, dtype, net, epilogue)]
    (rows_a, values_a, edges_a), (rows_b, values_b, edges_b) = found
    assert rows_a == rows_b != []
    assert edges_a == edges_b > 0
    assert values_a.indices.tolist() == values_b.indices.tolist()
    assert values_a.data.tobytes() == values_b.data.tobytes()


@pytest.mark.parametrize("name", ["radixnet", "signed"])
def test_packed_weights_are_the_weights(name: str) -> None:
    net = radixnet(64, 9) if name == "radixnet" else signed("float32")
    kernels = TeamKernels(open_space("serial"))
    for layer in net.layers:
        w = kernels.pack(layer)
        assert sorted(w.position) == list(range(layer.outputs))
        shape = layer.inputs, layer.outputs
        placed = sp.csr_array((w.value, w.index, w.start), shape=shape)
        assert placed.has_sorted_indices
        assert (placed[:, w.position] != layer.weights()).nnz == 0
        assert w.longest == np.diff(w.start).max()
        assert w.nbytes == 8 * layer.edges + 4 * (layer.inputs + 1 + layer.outputs)


def test_neurons_with_the_same_inputs_are_neighbours() -> None:
    """A row of W of a RadiX-Net has two runs of 16 places, also with permuted inputs."""
    for layer in radixnet(1024, 20).layers:
        w = TeamKernels(open_space("serial")).pack(layer)
        runs = 1 + (np.diff(w.index.reshape(-1, 32)) > 1).sum(axis=1)
        assert runs.max() <= 2


def test_neurons_without_inputs_are_last() -> None:
    layer = Layer.from_sparse(np.array([[0, 1, 0, 1], [0, 0, 0, 1]], np.float32), -1.0)
    assert order_outputs(layer).tolist() == [1, 3, 0, 2]


def test_a_layer_of_too_many_edges_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(team_kernels, "_MAX_EDGES", 2047)
    kernels = TeamKernels(open_space("serial"))
    with pytest.raises(InputError, match="2048 edges: SpGEMM on a GPU has at most 2047; use the "):
        kernels.pack(radixnet(64, 1).layers[0])


def test_dense_rows_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of teams follows from the rows, the GPU and the memory of dense rows."""
    kernels = TeamKernels(replace(open_space("serial"), threads=6400))
    w = kernels.pack(radixnet(64, 1).layers[0])
    assert [kernels._workers(rows, w) for rows in (0, 7, 1000)] == [1, 7, 100]
    monkeypatch.setattr(team_kernels, "_DENSE_BYTES", 3 * 8 * 64 + 1)
    assert kernels._workers(1000, w) == 3
