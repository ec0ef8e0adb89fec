"""The measurement with the real engine: same results, few rows if runs are slow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.typing import NDArray

import kkspdnn as kk
from kkspdnn.choices import EXITS, Exits, SpaceName
from kkspdnn.device.launch_parameters import LaunchParameters
from kkspdnn.device.memory import Budget
from kkspdnn.device.space import open_space
from kkspdnn.engines import make_engine
from kkspdnn.engines.fused.packing import Packing
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.errors import InputError
from kkspdnn.tuning.candidates import axes, candidates
from kkspdnn.tuning.measure import DifferentCategoriesError, EngineMeasurement

FLOAT32 = np.dtype(np.float32)
DEFAULT = LaunchParameters.default("serial")


def all_candidates(
    space: SpaceName = "serial", dtype: np.dtype[Any] = FLOAT32
) -> Iterator[LaunchParameters]:
    for axis in axes(space):
        yield from candidates(axis, LaunchParameters.default(space), space, dtype)


def different_weights() -> kk.Network:
    """Layers with different weights and fan-ins, and biases of both signs."""
    random = np.random.default_rng(0)
    layers = [
        kk.Layer.from_sparse(
            sp.random_array((48, 48), density=0.2, rng=random, dtype=np.float32),
            random.uniform(-0.3, 0.1, 48).astype(np.float32),
        )
        for _ in range(6)
    ]
    return kk.network(layers, 2.0)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("exits", EXITS)
def test_candidates_give_the_values_of_the_default(
    exits: Exits, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit, also in several chunks: the order of additions stays."""
    cases = [
        (kk.radixnet(64, 12), kk.images(64, 3001)),
        (different_weights(), kk.images(64, 200).to_dense()[:, :48]),
    ]
    for net, rows in cases:
        options: dict[str, Any] = {"space": "serial", "exits": exits, "dtype": dtype}
        expected = kk.infer(net, rows, values=True, **options)
        for candidate in all_candidates(dtype=np.dtype(dtype)):
            small = replace(candidate, chunk_bytes=candidate.chunk_bytes >> 5)
            for each in (candidate, small):
                with monkeypatch.context() as patched:
                    patched.setattr(LaunchParameters, "native", lambda _, p=each: p)
                    found = kk.infer(net, rows, values=True, **options)
                assert found.record.launch is not None
                assert found.record.launch.parameters == each
                assert (found.categories == expected.categories).all()
                assert (found.outputs == expected.outputs).all()


def arrays(layers: LayerStore) -> list[NDArray[Any]]:
    return [np.asarray(value) for layer in layers for value in layer.weights.values()]


@pytest.mark.parametrize("name", ["serial", "cuda"])
def test_packed_layers_depend_on_the_parameters_of_the_key_only(name: SpaceName) -> None:
    """Engines with other parameters share them."""
    space, net = open_space("serial"), kk.radixnet(64, 20)

    def packed(parameters: LaunchParameters) -> list[NDArray[Any]]:
        engine = make_engine("fused", replace(space, launch=parameters), FLOAT32, net.ymax)
        return arrays(LayerStore(net, engine, FLOAT32))

    default = LaunchParameters.default(name)
    expected = packed(default)
    same = [each for each in all_candidates(name) if Packing.of(each) == Packing.of(default)]
    assert len(same) > 8
    for candidate in same:
        for found, own in zip(packed(candidate), expected, strict=True):
            assert np.array_equal(found, own)


def measurement(rows: int = 5000, exits: Exits = "all", memory: float | None = None) -> Any:
    net = kk.radixnet(64, 8)
    return EngineMeasurement(
        open_space("serial"),
        net,
        kk.images(64, rows),
        FLOAT32,
        exits,
        Budget.from_gigabytes(memory),
    )


def test_runs_are_timed() -> None:
    measured = measurement()
    other = replace(DEFAULT, layers_a_launch=1)
    for parameters in (DEFAULT, other, other):
        assert measured.prepare(parameters) is None
    assert 0 < measured.seconds(other) < 10
    measured.release(other)
    measured.release(other)
    with pytest.raises(KeyError):
        measured.seconds(other)


def test_slow_runs_are_over_fewer_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    for seconds, rows in ((1e-4, 4096), (1e4, 5000)):
        measured = measurement()
        measured.choose_rows(seconds)
        assert measured.inputs.rows == rows
    few = measurement(10)
    few.choose_rows(45.0)
    assert few.inputs.rows == 10


def test_other_categories_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = measurement(300)
    measured.prepare(DEFAULT)
    original = EngineMeasurement._run
    monkeypatch.setattr(EngineMeasurement, "_run", lambda self, *a: original(self, *a)[1:])
    with pytest.raises(DifferentCategoriesError, match=r"tile_bytes=128.* categories .*tune=False"):
        measured.prepare(replace(DEFAULT, tile_bytes=128))


def test_errors_of_candidates_are_reported_and_those_of_the_default_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise InputError("the memory is full")

    measured = measurement(300)
    with monkeypatch.context() as patched:
        patched.setattr(EngineMeasurement, "_run", full)
        with pytest.raises(InputError, match="the memory is full"):
            measured.prepare(DEFAULT)
    measured.prepare(DEFAULT)
    monkeypatch.setattr(EngineMeasurement, "_run", full)
    assert measured.prepare(replace(DEFAULT, tile_bytes=128)) == "the memory is full"


def test_layers_in_two_forms_need_memory_for_both(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = measurement(300)
    measured.prepare(DEFAULT)
    monkeypatch.setattr(LayerStore, "resident", 0)
    other = next(each for each in all_candidates() if Packing.of(each) != Packing.of(DEFAULT))
    assert "the memory is too small" in measured.prepare(other)
    assert measured.prepare(replace(DEFAULT, tile_bytes=128)) is None
