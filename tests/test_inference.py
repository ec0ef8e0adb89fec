"""The Python interface `infer`: arguments, results and errors."""

from __future__ import annotations

import hashlib
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import kkspdnn as kk
from kkspdnn.device.cuda_check import Requirement
from kkspdnn.device.memory import Budget
from kkspdnn.inference import api, run
from kkspdnn.parallel import strategy
from kkspdnn.parallel.gpus import GpuAssignment


@pytest.fixture(scope="module")
def net() -> kk.Network:
    return kk.radixnet(neurons=64, layers=4)


@pytest.fixture(scope="module")
def rows() -> kk.Inputs:
    return kk.images(64, 100)


def test_the_example_of_the_package(net: kk.Network, rows: kk.Inputs) -> None:
    result = kk.infer(net, rows, space="openmp")
    record = result.record
    assert isinstance(result, kk.Result)
    assert isinstance(record, kk.Record)
    assert result.values is None
    expected = kk.reference(net, rows, dtype="float32")
    assert result.categories.tolist() == (np.flatnonzero(np.diff(expected.indptr)) + 1).tolist()
    assert record.edges_per_second == pytest.approx(100 * net.edges / record.inference_seconds)
    text = "\n".join(map(str, result.categories.tolist()))
    assert record.categories_sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert record.verified.mode == "none"
    assert record.verified.passed is None
    assert record.truth == "absent"


def test_inputs_in_several_formats_have_the_same_result(net: kk.Network, rows: kk.Inputs) -> None:
    dense = rows.to_dense()
    formats = (rows, dense, dense.astype(bool), sp.csr_array(dense), sp.coo_matrix(dense))
    results = [kk.infer(net, each, values=True) for each in formats]
    for result in results:
        assert result.categories.tolist() == results[0].categories.tolist()
        assert result.values is not None
        assert results[0].values is not None
        assert (result.values != results[0].values).nnz == 0
        assert result.values.has_sorted_indices


def test_the_dtype_of_the_network_or_the_requested_one(net: kk.Network, rows: kk.Inputs) -> None:
    for dtype in ("float32", np.float64):
        result = kk.infer(net, rows, dtype=dtype, values=True)
        assert result.values is not None
        assert result.values.dtype == result.record.dtype == np.dtype(dtype)
    assert kk.infer(net.astype("float64"), rows).record.dtype == "float64"


def test_inputs_are_not_changed(net: kk.Network) -> None:
    inputs = sp.csr_array(np.eye(3, 64, dtype=np.float32))
    before = inputs.copy()
    for kernel in ("fused", "spgemm"):
        kk.infer(net, inputs, kernel=kernel)  # type: ignore[arg-type]
    assert (inputs != before).nnz == 0
    assert inputs.indices.dtype == before.indices.dtype


def test_progress_goes_from_0_to_1(net: kk.Network, rows: kk.Inputs) -> None:
    for kernel in ("fused", "spgemm"):
        calls: list[tuple[str, float]] = []
        kk.infer(
            net,
            rows,
            kernel=kernel,  # type: ignore[arg-type]
            verify="full",
            progress=lambda step, fraction, calls=calls: calls.append((step, fraction)),
        )
        fractions = [fraction for step, fraction in calls if step == "inference"]
        assert fractions == sorted(fractions)
        assert fractions[-1] == pytest.approx(1)
        assert all(0 <= fraction <= 1.0001 for fraction in fractions)
        assert calls[-1][0] == "verifying"


@pytest.mark.parametrize("kernel", ["fused", "spgemm"])
def test_repetitions(net: kk.Network, rows: kk.Inputs, kernel: Any) -> None:
    steps: list[str] = []
    options: dict[str, Any] = {"kernel": kernel, "values": True}
    once = kk.infer(net, rows, **options)
    repeated = kk.infer(
        net, rows, repeat=4, verify="full", progress=lambda step, _: steps.append(step), **options
    )
    assert once.record.repeat_seconds == (once.record.inference_seconds,)
    seconds = repeated.record.repeat_seconds
    assert len(seconds) == 4
    assert repeated.record.inference_seconds == statistics.median(seconds)
    assert repeated.record.edges_multiplied == once.record.edges_multiplied
    assert repeated.record.verified.passed
    assert (repeated.categories == once.categories).all()
    assert (repeated.outputs == once.outputs).all()
    inferences = [step for step in dict.fromkeys(steps) if step.startswith("inference")]
    assert inferences == [f"inference {number} of 4" for number in (1, 2, 3, 4)]


def test_a_repetition_with_other_categories_is_a_bug(
    net: kk.Network, rows: kk.Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect, calls = run._collect, []

    def without_the_last_row(*arguments: Any) -> Any:
        result = collect(*arguments)
        calls.append(result)
        return replace(result, rows=result.rows[: len(result.rows) - (len(calls) == 3)])

    monkeypatch.setattr(run, "_collect", without_the_last_row)
    with pytest.raises(RuntimeError, match="repetition 3 has other categories"):
        kk.infer(net, rows, repeat=4)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"repeat": 0}, kk.InputError, "repeat=0: give a whole number from 1"),
        ({"repeat": 1.0}, kk.InputError, "repeat=1.0: give a whole number"),
        ({"repeat": True}, kk.InputError, "repeat=True: give a whole number"),
        ({"values": "no"}, kk.InputError, "values='no': give True or False"),
        ({"tune": "off"}, kk.InputError, "tune='off': give True or False"),
        ({"comm": 3}, kk.InputError, "comm=3: give a communicator of mpi4py"),
        ({"fold": 1}, kk.InputError, "fold=1: give True or False"),
        ({"threads": True}, kk.SpaceError, "threads True: it must be a whole number"),
        ({"kernel": "fuesd"}, kk.InputError, r"'fuesd' is unknown \(did you mean fused\?\):"),
        ({"repeat": 2, "checkpoint": "x"}, kk.InputError, "repeat=2: finished rows of a check"),
        ({"space": "gpu"}, kk.SpaceError, "space 'gpu' is unknown: choose one of serial"),
        ({"space": np.zeros(2)}, kk.SpaceError, r"space array\(\[0., 0.\]\) is unknown"),
        ({"kernel": "dense"}, kk.InputError, "kernel 'dense' is unknown: choose one of fused"),
        ({"epilogue": "none"}, kk.InputError, "epilogue 'none' is unknown: choose one of fused"),
        ({"epilogue": "separate"}, kk.InputError, "epilogue 'separate' is for kernel spgemm"),
        ({"verify": "all"}, kk.InputError, "verify 'all' is unknown"),
        ({"exits": "some"}, kk.InputError, "exits 'some' is unknown"),
        ({"dtype": "float16"}, kk.InputError, "float16"),
        ({"threads": 0}, kk.SpaceError, "0 threads: at least 1"),
        ({"threads": 513}, kk.SpaceError, "513 threads: Kokkos supports at most 512"),
    ],
)
def test_invalid_options_are_refused(
    net: kk.Network, rows: kk.Inputs, options: dict[str, Any], error: Any, words: str
) -> None:
    with pytest.raises(error, match=words):
        kk.infer(net, rows, **options)


def test_a_space_that_this_machine_lacks(
    net: kk.Network, rows: kk.Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = Requirement("driver", None, "install it")
    monkeypatch.setattr("kkspdnn.device.space.cuda_requirements", lambda: [missing])
    with pytest.raises(kk.SpaceError, match=r"space='cuda': this machine has no driver \(install"):
        kk.infer(net, rows, space="cuda")


def test_ranks_on_one_gpu_share_its_memory(
    net: kk.Network, rows: kk.Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def bind_with_shared_gpu(*_: object) -> Iterator[GpuAssignment]:
        yield GpuAssignment(None, ranks=3)

    budgets = list[Budget]()
    data_parallel = strategy.DataParallel

    def record_budget(*arguments: Any) -> Any:
        budgets.extend(each for each in arguments if isinstance(each, Budget))
        return data_parallel(*arguments)

    monkeypatch.setattr(api, "bind_rank", bind_with_shared_gpu)
    monkeypatch.setattr(strategy, "DataParallel", record_budget)
    kk.infer(net, rows)
    (budget,) = budgets
    on_gpu = replace(budget, device_memory=lambda: (3000, 0))
    assert on_gpu.free() == 1000
    assert budget.free() > 1000


def test_invalid_inputs_are_refused(net: kk.Network) -> None:
    with pytest.raises(kk.InputError, match="have 63 neurons but the network takes 64"):
        kk.infer(net, np.zeros((2, 63)))
    with pytest.raises(kk.InputError, match="row 1, column 3 is nan"):
        kk.infer(net, np.where(np.arange(128).reshape(2, 64) == 67, np.nan, 0))
    with pytest.raises(kk.InputError, match="NumPy array or a SciPy sparse matrix"):
        kk.infer(net, [[1.0] * 64])


def test_the_number_of_threads_cannot_change(
    net: kk.Network, rows: kk.Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = kk.infer(net, rows).record.threads
    monkeypatch.setenv("OMP_NUM_THREADS", str(running))
    assert kk.infer(net, rows, threads=running).record.threads == running
    with pytest.raises(kk.SpaceError, match=f"Kokkos runs with {running} threads"):
        kk.infer(net, rows, threads=running + 1)
    assert kk.infer(net, rows, space="serial", threads=running + 1).record.threads == 1


def test_importing_has_no_side_effects() -> None:
    """It starts no Kokkos and no compiler, and creates no folder."""
    code = "import sys, kkspdnn; print('kkspdnn.engines.fused.engine' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={"PATH": "", "PYTHONPATH": kk.__path__[0] + "/..", "KKSPDNN_CACHE": "/proc/nope"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_a_network_from_files_has_the_same_result(
    tmp_path: Any, net: kk.Network, rows: kk.Inputs
) -> None:
    kk.save_npz_network(net, tmp_path)
    again = kk.read_npz_network(tmp_path)
    assert kk.infer(again, rows).record.categories_sha256 == (
        kk.infer(net, rows).record.categories_sha256
    )
