"""Random networks and inputs: distinct ascending indices, kept densities, reproducible seeds."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from bench.distinct_indices import distinct_indices
from bench.problem import ChallengeProblem, RandomProblem, problem_from
from bench.random_inputs import random_inputs
from bench.random_networks import find_threshold, negative_share
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network
from kkspdnn.serial_reference import reference


@pytest.mark.parametrize(
    ("count", "below"),
    [(1, 1), (1, 7), (2, 3), (3, 3), (40, 64), (32, 64), (512, 1024), (3, 65536)],
)
def test_indices_are_distinct_and_ascending(count: int, below: int) -> None:
    found = distinct_indices(np.random.default_rng(0), 50, count, below)
    assert found.shape == (50, count)
    assert found.dtype == np.uint16
    assert found.max() < below
    assert (np.diff(found.astype(np.int64), axis=1) > 0).all()


@pytest.mark.parametrize("count", [2, 4])
def test_all_subsets_are_equally_probable(count: int) -> None:
    found = distinct_indices(np.random.default_rng(0), 15_000, count, 6)
    _, counts = np.unique(found, axis=0, return_counts=True)
    # 15 subsets, a thousand each; the standard deviation is 30
    assert counts.size == 15
    assert abs(counts - 1000).max() < 150


def test_inputs_have_the_density() -> None:
    inputs = random_inputs(200, 1024, 0.1, seed=3)
    assert inputs.csr is not None
    assert (np.diff(inputs.csr.indptr) == 102).all()
    assert inputs.csr.has_canonical_format
    assert inputs.csr.data.min() >= 0.5
    assert inputs.csr.data.max() < 1.5
    assert inputs.csr.dtype == np.float32


def test_each_row_has_a_nonzero() -> None:
    assert random_inputs(5, 64, 0.001, seed=0).nonzeros == 5


@pytest.mark.parametrize("edges", [2, 32, 512])
@pytest.mark.parametrize("density", [0.1, 1.0, 10.0, 60.0, 100.0])
def test_activations_keep_density_and_size(edges: int, density: float) -> None:
    rows = 3000 if density < 5 else 100
    problem = RandomProblem(1024, edges, density, 4, rows, seed=1).load()
    y = problem.inputs.to_csr()
    for layer in problem.network.layers:
        assert layer.fan_in == edges
        assert (np.diff(layer.index.reshape(1024, edges).astype(np.int64), axis=1) > 0).all()
        assert (layer.bias == layer.bias[0]).all()
        assert layer.bias[0] <= 0
        y = reference(
            Network((layer,), 1024), Inputs(rows, 1024, "", csr=y.astype(np.float32)), dtype="f4"
        )
        assert density / 1.5 < 100 * y.nnz / (rows * 1024) < 1.5 * density
        assert 0.7 < y.data.mean() < 1.4


def test_all_activations_stay_nonzero_at_100_percent() -> None:
    problem = RandomProblem(256, 32, 100.0, 3, 64, seed=0).load()
    assert all((layer.bias == 0).all() for layer in problem.network.layers)
    assert all((layer.value > 0).all() for layer in problem.network.layers)
    assert reference(problem.network, problem.inputs).nnz == 64 * 256


def test_layers_differ() -> None:
    layers = RandomProblem(256, 8, 10.0, 3, 64, seed=0).load().network.layers
    assert not np.array_equal(layers[0].index, layers[1].index)
    assert np.array_equal(layers[1].index, layers[1].index)


def test_the_seed_determines_the_problem() -> None:
    first, again, other = (
        RandomProblem(256, 8, 10.0, 2, 64, seed=seed).load() for seed in (5, 5, 6)
    )
    for number in range(2):
        layer, same = first.network.layers[number], again.network.layers[number]
        assert np.array_equal(layer.index, same.index)
        assert np.array_equal(layer.value, same.value)
        assert np.array_equal(layer.bias, same.bias)
        assert not np.array_equal(layer.index, other.network.layers[number].index)
    assert (first.inputs.to_csr() != again.inputs.to_csr()).nnz == 0
    assert (first.inputs.to_csr() != other.inputs.to_csr()).nnz > 0


def test_layers_can_be_pickled_and_converted() -> None:
    network = RandomProblem(64, 4, 10.0, 2, 64, seed=0).load().network
    copied = pickle.loads(pickle.dumps(network))
    assert np.array_equal(copied.layers[1].value, network.layers[1].value)
    double = network.astype(np.float64)
    assert double.layers[1].dtype == double.dtype == np.float64
    assert double.layers[1].value == pytest.approx(network.layers[1].value, rel=1e-6)


def test_the_threshold_is_in_the_widest_gap() -> None:
    sums = np.array([-1, 0, 1, 2, 3, 7, 8, 9], np.float32)
    assert find_threshold(sums, 3) == 5.0
    assert find_threshold(sums, 6) == 0.0
    assert find_threshold(sums, 100) == 0.0
    assert find_threshold(sums[:1], 1) == 0.0


def test_few_weights_are_positive_if_few_activations_are_nonzero() -> None:
    assert negative_share(32, 1.0) == 0
    # Nearly all sums have one term.
    assert negative_share(32, 1e-4) == pytest.approx(1 - 1.25 / 32, abs=0.01)


def test_descriptions_are_sent_to_workers() -> None:
    for problem in (
        ChallengeProblem(64, 2, 20, seed=1),
        RandomProblem(64, 4, 12.5, 2, 64, seed=2),
    ):
        assert problem_from(problem.to_message()) == problem
