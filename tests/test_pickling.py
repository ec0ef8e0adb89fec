"""Networks, inputs, results, errors and Predictors can be pickled and copied."""

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
from kkspdnn.model.layers import Layer
from kkspdnn.parallel.ranks import CollectiveError
from kkspdnn.pk.frontend.diagnostics import WorkunitError


def by_pickle(protocol: int) -> Callable[[Any], Any]:
    return lambda obj: pickle.loads(pickle.dumps(obj, protocol))


COPIES = [*(by_pickle(protocol) for protocol in range(2, 6)), copy.copy, copy.deepcopy]
copies = pytest.mark.parametrize("copied", COPIES, ids=["2", "3", "4", "5", "copy", "deepcopy"])


def small_network(dtype: Any = np.float32) -> kk.Network:
    weights = (np.arange(20).reshape(5, 4) % 3).astype(dtype)
    layers = [
        Layer.from_sparse(weights, [0.5, -1, 0, 1], bias_to="all"),
        Layer.from_sparse(weights.T, -0.25, activation="linear"),
    ]
    return kk.network(layers, 7.5, name="small")


ROWS = np.arange(15, dtype=np.float32).reshape(3, 5)


def same(one: Any, other: Any) -> bool:
    """Whether two objects are equal, with all their fields and types."""
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


@copies
@pytest.mark.parametrize(
    "original",
    [
        small_network(),
        small_network(np.float64),
        small_network().layers[0],
        kk.Inputs.from_any(ROWS),
        kk.Inputs.from_any(sp.csr_array(ROWS)),
        kk.Inputs(rows=1, neurons=4, source="memory", bits=np.array([[0xF0]], np.uint8)),
    ],
    ids=["network", "float64", "layer", "dense", "csr", "bits"],
)
def test_networks_layers_and_inputs(original: Any, copied: Callable[[Any], Any]) -> None:
    made = copied(original)
    assert made is not original
    assert same(made, original)


@copies
def test_results(copied: Callable[[Any], Any]) -> None:
    for result in (
        kk.infer(small_network(), ROWS, values=True, verify="full"),
        kk.infer(kk.radixnet(64, 3), kk.images(64, 20)),
    ):
        made = copied(result)
        assert same(made, result)
        assert made.record.to_json() == result.record.to_json()


@copies
def test_lazy_layers(copied: Callable[[Any], Any]) -> None:
    net = kk.radixnet(64, 5, seed=3, dtype=np.float64, bias=-0.125)
    for original in (net, slice_network(net, range(1, 4))):
        made = copied(original)
        assert type(made.layers) is type(original.layers)
        assert (made.edges, made.dtype, made.name) == (
            original.edges,
            original.dtype,
            original.name,
        )
        assert same(list(made.layers), list(original.layers))
        assert same(list(made.astype(np.float32).layers), list(original.astype(np.float32).layers))
        # All layers share these arrays.
        for array in (made.layers[0].start, made.layers[0].value, made.layers[0].bias):
            assert not array.flags.writeable
    assert len(pickle.dumps(net)) < 1000


@copies
def test_layers_in_files(
    copied: Callable[[Any], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Layers that are read on access are found after a change of the working folder."""
    net = kk.radixnet(64, 3)
    (tmp_path / "files").mkdir()
    (tmp_path / "elsewhere").mkdir()
    write_network(net, tmp_path / "files")
    monkeypatch.chdir(tmp_path)
    original = read_network(Path("files"), 64, 3, resident_bytes=0)
    made = copied(original)
    if copied is copy.copy:
        assert made.layers is original.layers
    else:
        monkeypatch.chdir(tmp_path / "elsewhere")
    assert same(list(made.layers), list(net.layers))


def modules() -> Iterator[ModuleType]:
    for package in (kk, importlib.import_module("kkspdnn.workunits")):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.endswith("__main__"):
                continue
            try:
                yield importlib.import_module(module.name)
            except ModuleNotFoundError as error:
                # Modules for optional packages define no exceptions.
                if error.name not in ("IPython", "torch"):
                    raise


def error_classes() -> list[type[Exception]]:
    """All exception classes of the package."""
    classes = {
        member
        for module in modules()
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, BaseException) and member.__module__.startswith("kkspdnn")
    }
    return sorted(classes, key=lambda each: each.__qualname__)


def test_all_exception_classes() -> None:
    """Processes of a pool send errors back."""
    classes = error_classes()
    assert {kk.KkspdnnError, kk.CacheError, kk.InputError, WorkunitError} <= set(classes)
    for cls in classes:
        error = CollectiveError(kk.InputError("why"), 3) if cls is CollectiveError else cls("why")
        for copied in COPIES:
            made = copied(error)
            assert type(made) is cls
            assert str(made) == "why"
            assert made.args == error.args
            assert vars(made).keys() == vars(error).keys()
    assert str(by_pickle(5)(kk.InputError("why", layer=2))) == "layer 2: why"
    failed = by_pickle(5)(CollectiveError(kk.SpaceError("why"), 3))
    assert (type(failed.error), str(failed.error), failed.rank) == (kk.SpaceError, "why", 3)


OPTIONS = [
    {},
    {"space": "serial", "exits": "none", "dtype": "float64"},
    {"exits": "dead", "memory": 20.0},
]


@copies
@pytest.mark.parametrize("options", OPTIONS)
def test_a_predictor(copied: Callable[[Any], Any], options: Any) -> None:
    predict = kk.Predictor(small_network(), **options)
    expected = predict(ROWS)
    made = copied(predict)
    assert made is not predict
    assert (made(ROWS) == expected).all()
    assert made(ROWS).dtype == expected.dtype
    assert made._options == predict._options
    assert made._space == predict._space
    assert (predict(ROWS) == expected).all()


def test_a_predictor_is_prepared_for_the_same_formats() -> None:
    """Workunits are compiled and exit bounds computed on load, not at the first call."""
    net = kk.radixnet(64, 6)
    predict = kk.Predictor(net)
    rows = kk.images(64, 50)
    expected = predict(rows)
    predict(rows.to_csr())
    made = by_pickle(5)(predict)
    assert made._prepared_formats == {"bits", "csr", "dense"}
    assert made._engine.exit_bounds == predict._engine.exit_bounds
    assert (made(rows) == expected).all()
    assert len(pickle.dumps(predict)) < 2000


def test_a_copy_is_independent() -> None:
    net = small_network()
    made = copy.deepcopy(kk.Predictor(net))
    expected = made(ROWS)
    net.layers[0].value[:] = 0
    assert (made(ROWS) == expected).all()
    assert (copy.deepcopy(made)(ROWS) == expected).all()


def call(predict: kk.Predictor, rows: Any) -> Any:
    return predict(rows)


def threads_of(predict: kk.Predictor) -> int:
    return predict._space.threads


@pytest.mark.slow
def test_processes_of_a_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = threads_of(kk.Predictor(small_network()))
    predict = kk.Predictor(small_network(), threads=threads)
    # The number of threads that the other processes would use by default.
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads + 1))
    arguments = [(predict, ROWS), (predict, ROWS[:1]), (predict, sp.csr_array(ROWS))]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        results = pool.starmap(call, arguments)
        assert pool.apply(threads_of, (predict,)) == threads
        with pytest.raises(kk.InputError, match="the input rows have 4 neurons"):
            pool.apply(call, (predict, ROWS[:, :4]))
    expected = predict(ROWS)
    for rows, outputs in zip((3, 1, 3), results, strict=True):
        assert (outputs == expected[:rows]).all()


@copies
def test_tensors_of_a_copied_predictor(copied: Callable[[Any], Any]) -> None:
    torch = pytest.importorskip("torch", reason="no PyTorch here")
    predict, rows = kk.Predictor(small_network()), torch.from_numpy(ROWS)
    made = copied(predict)
    for each in (rows, rows[:1], rows.double(), rows.to_sparse()):
        assert type(made(each)) is torch.Tensor
        assert torch.equal(made(each), predict(each))


@pytest.mark.slow
def test_tensors_in_processes_of_a_pool() -> None:
    torch = pytest.importorskip("torch", reason="no PyTorch here")
    predict, rows = kk.Predictor(small_network()), torch.from_numpy(ROWS)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for each in (rows, rows[:1]):
            outputs = pool.apply(call, (predict, each))
            assert type(outputs) is torch.Tensor
            assert torch.equal(outputs, predict(each))
