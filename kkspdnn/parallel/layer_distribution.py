"""The distribution of a network's layers over the ranks of a pipeline."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kkspdnn.device.memory import Budget
from kkspdnn.engines import Engine, no_progress
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layer_slice import renumber_layer_errors, slice_network
from kkspdnn.model.network import Network
from kkspdnn.parallel.activation_batch import ActivationBatch, next_batch, run_layers, select_all
from kkspdnn.parallel.balance import balance_layers
from kkspdnn.parallel.ranks import Ranks

_SAMPLE_ROWS = 1024
"""Rows that measure the cost of each layer."""

_CPU_TRANSFER, _GPU_TRANSFER = 512.0, 16384.0
"""The cost of a transferred value for one CPU thread, as measured, and for a GPU, an estimate."""


def distribute_layers(
    engine: Engine,
    network: Network,
    inputs: Inputs,
    ranks: Ranks,
    budget: Budget,
) -> list[range]:
    """Return for each rank its range of layers, of equal cost as measured on sample rows.

    The sample passes through the ranks, each of which computes an equal number of layers. Rows are
    retired early, so equal numbers of layers have very different costs.
    """
    depth = len(network.layers)
    own = range(depth * ranks.rank // ranks.size, depth * (ranks.rank + 1) // ranks.size)
    dtype = network.dtype
    singles: list[LayerStore] = []
    edges: dict[int, int] = {}
    edge_bytes = _packed_bytes_per_edge(engine, network)
    for position in own:
        with renumber_layer_errors(position):
            one = slice_network(network, range(position, position + 1))
            edges[position] = one.edges
            singles.append(LayerStore(one, engine, dtype, budget, True))
    if ranks.rank == 0:
        count = min(inputs.rows, _SAMPLE_ROWS)
        sample = np.unique(np.linspace(0, inputs.rows - 1, count).astype(int))
        batch = ActivationBatch(np.arange(sample.size), inputs.select_rows(sample), sample.size)
    else:
        batch = ranks.receive(ranks.rank - 1)
    measured: list[tuple[float, float, float]] = []
    for position, layers in zip(own, singles, strict=True):
        values = (batch.rows.size + batch.saturated.size) * batch.values.neurons
        with renumber_layer_errors(position):
            engine.compute_exit_bounds(layers, batch.values)
            result, _ = run_layers(engine, layers, batch, select_all, no_progress)
        batch = next_batch(result, batch)
        transfer_cost = _transfer_cost_per_value(engine) * values
        measured.append((float(result.computed_edges), transfer_cost, edges[position] * edge_bytes))
    if ranks.rank + 1 < ranks.size:
        ranks.send(batch, ranks.rank + 1)
    singles.clear()
    all_layers = [layer for own in ranks.all_gather(measured) for layer in own]
    costs, transfer_costs, sizes = ([layer[i] for layer in all_layers] for i in range(3))
    capacities = ranks.all_gather(layer_capacity(engine, budget))
    return balance_layers(costs, transfer_costs, [int(size) for size in sizes], capacities)


def _transfer_cost_per_value(engine: Engine) -> float:
    """The cost of transferring an activation between ranks, in multiplications.

    A transfer takes about 20 ns on a CPU, in which all threads of the engine could multiply.
    """
    if engine.sparse:
        return 4.0
    return _GPU_TRANSFER if engine.space.gpu else _CPU_TRANSFER * engine.space.threads


def layer_capacity(engine: Engine, budget: Budget) -> int:
    """Return the bytes that the packed layers of this rank may use."""
    if engine.space.gpu:
        budget = replace(budget, device_memory=engine.space.device_memory)
    return budget.share()


def is_pipeline_needed(engine: Engine, network: Network, ranks: Ranks, budget: Budget) -> bool:
    """Whether layers are too large for one node or GPU, but not for all of them. Collective."""
    if ranks.size == 1:
        return False
    own = layer_capacity(engine, budget)
    size = _packed_bytes_per_edge(engine, network) * network.edges
    of_node = own if engine.space.gpu else layer_capacity(engine, replace(budget, processes=1))
    capacities = ranks.all_gather((of_node, own))
    return min(each for each, _ in capacities) < size <= sum(each for _, each in capacities)


def _packed_bytes_per_edge(engine: Engine, network: Network) -> float:
    """Return the bytes per edge of the second packed layer; the first one has another format."""
    first_layers = [network.layers[position] for position in range(min(2, len(network.layers)))]
    packed, edges = None, 0
    for layer in first_layers:
        packed, edges = engine.pack_layer(layer, packed), layer.edges
    return engine.packed_bytes(packed) / edges if edges else 0.0
