"""Pipeline parallelism: layer slices, when a pipeline is needed, and layer numbers in errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import kkspdnn as kk
from kkspdnn.device.memory import Budget
from kkspdnn.device.space import open_space
from kkspdnn.engines import make_engine
from kkspdnn.model.layer_slice import renumber_layer_errors, slice_network
from kkspdnn.parallel import layer_distribution

Run = Callable[..., tuple[int, str, str]]
Messages = Callable[[str, str], list[str]]


def test_spans_are_the_layers_of_the_network() -> None:
    lazy = kk.radixnet(64, 7)
    for network in (lazy, kk.network(list(lazy.layers))):
        for positions in (range(3), range(3, 7), range(7, 7), range(2, 2)):
            sliced = slice_network(network, positions)
            assert len(sliced.layers) == len(positions)
            assert (sliced.inputs, sliced.outputs, sliced.ymax) == (64, 64, 32.0)
            assert sliced.edges == sum(network.layers[i].edges for i in positions)
            for position, layer in zip(positions, sliced.layers, strict=True):
                assert np.array_equal(layer.index, network.layers[position].index)
        assert slice_network(network, range(1, 3)).astype("float64").dtype == np.float64


def test_a_layer_is_named_by_its_place_in_the_whole_network() -> None:
    with (
        pytest.raises(kk.InputError, match=r"^layer 13: layer 1 is bad$"),
        renumber_layer_errors(10),
    ):
        raise kk.InputError("layer 1 is bad", layer=3)
    with pytest.raises(kk.InputError, match=r"^layer 3 is bad$"), renumber_layer_errors(10):
        raise kk.InputError("layer 3 is bad")


@pytest.mark.parametrize(
    ("capacity", "ranks", "ranks_per_node", "needed"),
    [
        (10**9, 4, 1, False),
        (150_000, 4, 1, True),
        (150_000, 4, 4, False),
        (10_000, 4, 1, False),
        (150_000, 1, 1, False),
    ],
)
def test_a_pipeline_is_needed_if_layers_fit_only_into_all_ranks(
    monkeypatch: pytest.MonkeyPatch, capacity: int, ranks: int, ranks_per_node: int, needed: bool
) -> None:
    """About 290 kB of layers: 64 KiB of indices each and 4 KiB of biases."""
    engine = make_engine("fused", open_space("openmp"), np.dtype(np.float32), 32.0)
    monkeypatch.setattr(
        layer_distribution, "layer_capacity", lambda _, budget: capacity // budget.processes
    )
    others: Any = SimpleNamespace(size=ranks, all_gather=lambda value: [value] * ranks)
    budget = Budget(processes=ranks_per_node)
    network = kk.radixnet(1024, 4)
    assert layer_distribution.is_pipeline_needed(engine, network, others, budget) is needed


@pytest.mark.slow
def test_an_overflow_is_reported_with_its_layer(
    run: Run, messages: Messages, tmp_path: Path
) -> None:
    for number in range(1, 5):
        weight = 3e38 if number == 4 else 1.0
        sp.save_npz(tmp_path / f"layer-{number}.npz", sp.csr_array(np.full((2, 2), weight, "f4")))
    sp.save_npz(tmp_path / "inputs.npz", sp.csr_array(np.full((9, 2), 1.0, "f4")))
    (tmp_path / "network.json").write_text('{"ymax": null, "bias": 0}')
    code, out, err = run(3, "-m", "kkspdnn", "--data", tmp_path, "--parallel", "pipeline")
    assert code != 0
    (only,) = messages(out, err)
    assert "layer 4: the activations overflow float32" in only
