"""Networks, rows, results, errors and Predictors go through pickle and copy unchanged."""

from __future__ import annotations

import copy
import importlib
import inspect
import multiprocessing
import pickle
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import kkspdnn as kk
from kkspdnn.io.challenge import read_network, write_network
from kkspdnn.model.layer_slice import slice_network
from kkspdnn.model.network import Layer
from kkspdnn.parallel.ranks import CollectiveError
from kkspdnn.pk.frontend.diagnostics import WorkunitError


def through(protocol: int) -> Callable[[Any], Any]:
    return lambda given: pickle.loads(pickle.dumps(given, protocol))


WAYS = [*(through(protocol) for protocol in range(2, 6)), copy.copy, copy.deepcopy]
ways = pytest.mark.parametrize("way", WAYS, ids=["2", "3", "4", "5", "copy", "deepcopy"])


def small(dtype: Any = np.float32) -> kk.Network:
    weights = (np.arange(20).reshape(5, 4) % 3).astype(dtype)
    layers = [
        Layer.from_sparse(weights, [0.5, -1, 0, 1], bias_to="all"),
        Layer.from_sparse(weights.T, -0.25, activation="linear"),
    ]
    return kk.network(layers, 7.5, name="small")


ROWS = np.arange(15, dtype=np.float32).reshape(3, 5)


def same(one: Any, other: Any) -> bool:
    """Equal in type and in all that it holds."""
    if type(one) is not type(other):
        return False
    if is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=True)
    if sp.issparse(one):
        return same(one.toarray(), other.toarray())
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@ways
@pytest.mark.parametrize(
    "given",
    [
        small(),
        small(np.float64),
        small().layers[0],
        kk.Inputs.from_any(ROWS),
        kk.Inputs.from_any(sp.csr_array(ROWS)),
        kk.Inputs(rows=1, neurons=4, source="memory", bits=np.array([[0xF0]], np.uint8)),
    ],
    ids=["network", "float64", "layer", "dense", "csr", "bits"],
)
def test_what_is_given(given: Any, way: Callable[[Any], Any]) -> None:
    made = way(given)
    assert made is not given
    assert same(made, given)


@ways
def test_what_is_found(way: Callable[[Any], Any]) -> None:
    for result in (
        kk.infer(small(), ROWS, values=True, verification="full"),
        kk.infer(kk.radixnet(64, 3), kk.images(64, 20)),
    ):
        made = way(result)
        assert same(made, result)
        assert made.record.to_json() == result.record.to_json()


@ways
def test_layers_that_are_made_when_they_are_asked_for(way: Callable[[Any], Any]) -> None:
    net = kk.radixnet(64, 5, seed=3, dtype=np.float64, bias=-0.125)
    for given in (net, slice_network(net, range(1, 4))):
        made = way(given)
        assert type(made.layers) is type(given.layers)
        assert (made.edges, made.dtype, made.name) == (given.edges, given.dtype, given.name)
        assert same(list(made.layers), list(given.layers))
        assert same(list(made.astype(np.float32).layers), list(given.astype(np.float32).layers))
        # All layers share these, so nobody may write to them.
        for array in (made.layers[0].start, made.layers[0].value, made.layers[0].bias):
            assert not array.flags.writeable
    assert len(pickle.dumps(net)) < 1000


@ways
def test_layers_in_files(
    way: Callable[[Any], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are read again are found from another working folder, too."""
    net = kk.radixnet(64, 3)
    (tmp_path / "files").mkdir()
    (tmp_path / "elsewhere").mkdir()
    write_network(net, tmp_path / "files")
    monkeypatch.chdir(tmp_path)
    given = read_network(Path("files"), 64, 3, resident_bytes=0)
    made = way(given)
    if way is copy.copy:
        assert made.layers is given.layers
    else:
        monkeypatch.chdir(tmp_path / "elsewhere")
    assert same(list(made.layers), list(net.layers))


def modules() -> Iterator[ModuleType]:
    for package in (kk, importlib.import_module("kkspdnn.workunits")):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                yield importlib.import_module(found.name)


def error_classes() -> list[type[Exception]]:
    """Every class of an error that the packages define."""
    found = {
        member
        for module in modules()
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, BaseException) and member.__module__.startswith("kkspdnn")
    }
    return sorted(found, key=lambda each: each.__qualname__)


def test_errors_of_every_class() -> None:
    """Processes of a pool send them back."""
    classes = error_classes()
    assert {kk.KkspdnnError, kk.CacheError, kk.InputError, WorkunitError} <= set(classes)
    for kind in classes:
        error = CollectiveError(kk.InputError("why"), 3) if kind is CollectiveError else kind("why")
        for way in WAYS:
            made = way(error)
            assert type(made) is kind
            assert str(made) == "why"
            assert made.args == error.args
            assert vars(made).keys() == vars(error).keys()
    assert str(through(5)(kk.InputError("why", layer=2))) == "layer 2: why"
    failed = through(5)(CollectiveError(kk.SpaceError("why"), 3))
    assert (type(failed.error), str(failed.error), failed.rank) == (kk.SpaceError, "why", 3)


OPTIONS = [
    {},
    {"space": "serial", "exits": "none", "dtype": "float64"},
    {"exits": "dead", "memory": 20.0},
]


@ways
@pytest.mark.parametrize("options", OPTIONS)
def test_a_predictor_is_made_ready_again(way: Callable[[Any], Any], options: Any) -> None:
    predict = kk.Predictor(small(), **options)
    expected = predict(ROWS)
    made = way(predict)
    assert made is not predict
    assert (made(ROWS) == expected).all()
    assert made(ROWS).dtype == expected.dtype
    assert made._options == predict._options
    assert made._space == predict._space
    assert (predict(ROWS) == expected).all()


def test_a_predictor_knows_its_kinds_of_rows() -> None:
    """What they need is compiled and proved when it is loaded, not at the first call."""
    net = kk.radixnet(64, 6)
    predict = kk.Predictor(net)
    rows = kk.images(64, 50)
    expected = predict(rows)
    predict(rows.to_csr())
    made = through(5)(predict)
    assert made._known == {"bits", "csr", "dense"}
    assert made._engine.ends == predict._engine.ends
    assert (made(rows) == expected).all()
    assert len(pickle.dumps(predict)) < 2000


def test_a_copy_stands_alone() -> None:
    net = small()
    made = copy.deepcopy(kk.Predictor(net))
    expected = made(ROWS)
    net.layers[0].value[:] = 0
    assert (made(ROWS) == expected).all()
    assert (copy.deepcopy(made)(ROWS) == expected).all()


def ask(predict: kk.Predictor, rows: Any) -> Any:
    return predict(rows)


def threads_of(predict: kk.Predictor) -> int:
    return predict._space.threads


@pytest.mark.slow
def test_processes_of_a_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = threads_of(kk.Predictor(small()))
    predict = kk.Predictor(small(), threads=threads)
    # What the others would run with by themselves.
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads + 1))
    parts = [(predict, ROWS), (predict, ROWS[:1]), (predict, sp.csr_array(ROWS))]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.starmap(ask, parts)
        assert pool.apply(threads_of, (predict,)) == threads
        with pytest.raises(kk.InputError, match="the input rows have 4 neurons"):
            pool.apply(ask, (predict, ROWS[:, :4]))
    expected = predict(ROWS)
    for rows, outputs in zip((3, 1, 3), found, strict=True):
        assert (outputs == expected[:rows]).all()
