"""`python -m bench.balanced`: training, pruning and timing with a few digits."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from on_gpu import skip_unless_here

import kkspdnn as kk
from bench.balanced import accuracy, timing
from bench.balanced.cli import main
from bench.balanced.digits import Digits, digits
from bench.balanced.gpu_candidates import gpu_candidates
from bench.balanced.options import parse
from bench.ceiling.report import SPACES
from kkspdnn.choices import METHODS
from kkspdnn.device.cuda_check import Requirement
from kkspdnn.figures.read import read_records
from kkspdnn.io.json_schema import read_json
from kkspdnn.pk.build.toolchain import usable_cores
from kkspdnn.records.pruning_study import study_from


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """2000 training images, 300 test images, 64 hidden neurons and two sparsities."""
    train, test = digits()
    few = Digits(train.bits[:2000], train.labels[:2000]), Digits(test.bits[:300], test.labels[:300])
    monkeypatch.setattr(accuracy, "digits", lambda: few)
    monkeypatch.setattr(accuracy, "LAYERS", (1024, 64, 64, 10))
    monkeypatch.setattr(accuracy, "SPARSITIES", (0.5, 0.9))


def test_digits_have_all_images_and_labels() -> None:
    train, test = digits()
    assert (len(train.bits), len(test.bits)) == (50_000, 10_000)
    assert set(train.labels) == set(test.labels) == set(range(10))
    assert test.pixels().shape == (10_000, 1024)


@pytest.mark.slow
def test_train_reaches_high_accuracy_with_every_method(
    small: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    nets, record = tmp_path / "nets", tmp_path / "train.json"
    options = ["--seeds", "1", "--epochs", "5", "--networks", str(nets), "--json", str(record)]
    assert main(["train", *options]) == 0
    assert "seed 0, balanced-0.9: sparsity" in capsys.readouterr().out
    trained = study_from(read_json(record), str(record))
    assert [(row.pattern, row.permuted) for row in trained.accuracies] == [
        ("dense", False),
        *[("balanced", False), ("balanced", True), ("unstructured", False), ("block", False)] * 2,
    ]
    # Random guesses have an accuracy of 0.1.
    assert trained.accuracies[0].accuracy > 0.7
    assert all(row.accuracy > 0.3 for row in trained.accuracies)
    sparsities = {round(a.sparsity, 2) for a in trained.accuracies if a.pattern == "balanced"}
    # The last layer stays dense, but it is too small to change the rounded sparsity.
    assert sparsities == {0.5, 0.9}
    assert {each.name for each in nets.iterdir()} >= {
        "dense",
        "balanced-0.9",
        "balanced-permuted-0.9",
    }


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    """A folder with networks as those of `train`, with random weights."""
    random = np.random.default_rng(0)
    layers = [
        kk.Layer.from_sparse(
            sp.csr_array(random.normal(size=shape).astype(np.float32) / 8),
            random.normal(size=shape[1]).astype(np.float32),
            bias_to="all",
            activation=activation,
        )
        for shape, activation in (((1024, 64), "relu"), ((64, 64), "relu"), ((64, 10), "linear"))
    ]
    dense = kk.network(layers, ymax=None)
    kk.save_npz_network(dense, tmp_path / "nets" / "dense")
    for method, sparsity in product(METHODS, (0.8, 0.9)):
        pruned = kk.prune(
            dense, method=method, sparsity=(sparsity, sparsity, 0.0), blocks=32, block_shape=(8, 8)
        )
        kk.save_npz_network(pruned, tmp_path / "nets" / f"{method}-{sparsity}")
    return tmp_path / "nets"


@pytest.mark.slow
@pytest.mark.parametrize("space", SPACES)
def test_all_implementations_agree(
    space: str, nets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skip_unless_here(space)
    record = tmp_path / "time.json"
    threads = 1 if space == "cuda" else usable_cores()
    options = ["--rows", "1", "70", "--rounds", "2", "--json", str(record), "--space", space]
    options += ["--sparsities", "0.8", "0.9"]
    options += [] if space == "cuda" else ["--threads", str(threads)]
    assert main(["time", "--networks", str(nets), *options]) == 0
    printed = capsys.readouterr().out
    timed = study_from(read_json(record), str(record))
    assert timed.threads == threads
    assert timed.layers == (1024, 64, 64, 10)
    assert {(row.rows, row.threads) for row in timed.timings} == {(1, threads), (70, threads)}
    assert all(row.space == space for row in timed.timings)
    assert space == "openmp" or timed.gpu
    assert all(len(row.seconds) == 2 and row.max_abs_error < 1e-3 for row in timed.timings)
    for name, candidate in timing.candidates(space).items():
        patterns = {row.pattern for row in timed.timings if row.implementation == name}
        sparsities = {row.requested_sparsity for row in timed.timings if row.implementation == name}
        reason = candidate.missing()
        assert patterns == (set(candidate.patterns) if reason is None else set())
        assert reason is None or f"{name} is skipped: {reason}" in printed
        expected = {None} if candidate.patterns == ("dense",) else {0.8, 0.9}
        assert sparsities == (expected if reason is None else set())
    timed_once = [(t.implementation, t.pattern, t.nominal_sparsity, t.rows) for t in timed.timings]
    assert len(timed_once) == len(set(timed_once))
    pruned = [row for row in timed.timings if row.pattern != "dense"]
    assert all(abs(row.sparsity - row.nominal_sparsity) < 0.05 for row in pruned)
    for package in ("onnxruntime", "openvino"):
        assert (package in timed.versions) == (find_spec(package) is not None)
    assert len(timed.forms) == (3 if space == "openmp" else 0)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [1, 70])
def test_cupy_candidates_with_numpy_as_cupy(
    nets: Path, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NumPy and SciPy have the functions of CuPy that the candidates use, so no GPU is needed."""
    synchronized: list[str] = []
    device = SimpleNamespace(synchronize=lambda: synchronized.append("device"))
    names = ("asarray", "asfortranarray", "maximum")
    fake_cupy = SimpleNamespace(
        cuda=SimpleNamespace(Device=lambda: device),
        asnumpy=np.asarray,
        **{each: getattr(np, each) for each in names},
    )
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy)
    monkeypatch.setitem(sys.modules, "cupyx", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "cupyx.scipy", SimpleNamespace(sparse=sp))
    x = digits()[1].pixels()[:rows]
    candidates = gpu_candidates()
    for name in ("cuBLAS", "cuBLAS, with copies", "cuSPARSE CSR", "cuSPARSE CSR, with copies"):
        candidate = candidates[name]
        assert candidate.env["CUPY_TF32"] == "0"
        for pattern in candidate.patterns:
            name_of_network = "dense" if pattern == "dense" else f"{pattern}-0.9"
            network = timing.read_network(nets, name_of_network)
            assert candidate.prepare is not None
            run = candidate.prepare(network, x, 1)
            expected = kk.infer(network, x, values=True).outputs
            for _ in range(2):
                synchronized.clear()
                seconds, outputs = run()
                assert seconds > 0
                assert np.allclose(outputs, expected, atol=1e-4)
                assert len(synchronized) == 2
    assert candidates["kkspdnn"].patterns == METHODS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "dense: no such folder"),
        (["--threads", "4096"], "--threads 4096: this machine has"),
        (["--json", "no/folder/record.json"], "make it first"),
    ],
)
def test_errors_of_time_are_one_line(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["time", "--networks", str(tmp_path), *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_time_needs_networks(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["time"])
    error = capsys.readouterr().err
    assert "--networks is missing; give the folder of `train`, or --quick" in error


def test_a_quick_run_needs_pytorch_or_networks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.balanced.cli.missing_package", lambda *_: "PyTorch is not installed")
    assert main(["time", "--quick"]) == 2
    assert capsys.readouterr().err == (
        "kkspdnn: --quick trains networks: PyTorch is not installed; install it, or give the "
        "--networks of `train`\n"
    )


@pytest.mark.parametrize("command", ["train", "time"])
def test_quick_options(command: str) -> None:
    """They are defaults: options that are given have their values."""
    quick = parse([command, "--quick", "--networks", "nets"])
    full = parse([command, "--networks", "nets"])
    assert (quick.quick, full.quick) == (True, False)
    assert (quick.sparsities, quick.seeds, quick.epochs) == ((0.9,), 1, 1)
    assert (full.seeds, full.epochs, full.blocks) == (3, 4, 32)
    assert parse([command, "--quick", "--sparsities", "0.5"]).sparsities == [0.5]
    if command == "time":
        assert (quick.rounds, quick.rows, full.rounds, full.rows) == (2, (1, 64), 9, timing.ROWS)


@pytest.mark.slow
def test_a_quick_run_times_given_networks(nets: Path, tmp_path: Path) -> None:
    """And marks its record, which figures leave out."""
    record = tmp_path / "time.json"
    only = ["--rows", "1", "--threads", "1", "--json", str(record)]
    assert main(["time", "--quick", "--networks", str(nets), *only]) == 0
    timed = study_from(read_json(record), str(record))
    assert timed.quick
    assert {(each.rows, len(each.seconds)) for each in timed.timings} == {(1, 2)}
    with pytest.raises(kk.InputError, match="a quick trial, whose networks are small"):
        read_records([record])


@pytest.mark.slow
def test_a_quick_run_trains_missing_networks(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training needs PyTorch")
    record, folder = tmp_path / "time.json", tmp_path / "nets"
    only = ["--rows", "1", "--threads", "1", "--json", str(record)]
    assert main(["time", "--quick", "--networks", str(folder), *only]) == 0
    assert study_from(read_json(record), str(record)).layers == accuracy.QUICK_LAYERS
    assert (folder / "balanced-0.9").is_dir()


def test_the_space_cuda_needs_a_gpu(
    nets: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["time", "--networks", str(nets), "--space", "cuda"]
    missing = [Requirement("device", None, "run on a machine with a GPU")]
    monkeypatch.setattr("kkspdnn.device.space.cuda_requirements", lambda: missing)
    assert main(command) == 2
    expected = "--space cuda: this machine has no device (run on a machine with a GPU)"
    assert expected in capsys.readouterr().err
    monkeypatch.setattr("bench.balanced.cli.check_space", lambda name: name)
    assert main([*command, "--threads", "2"]) == 2
    assert "--threads: not used by a GPU" in capsys.readouterr().err


def test_a_sparsity_without_networks_is_refused(
    nets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["time", "--networks", str(nets), "--sparsities", "0.9", "0.75"]) == 2
    assert "balanced-0.75: no such folder" in capsys.readouterr().err


@pytest.mark.slow
def test_the_error_of_a_candidate_names_it(nets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("balanced-0.9", "dense", "unstructured-0.9", "block-0.9"):
        network = kk.read_npz_network(nets / name)
        kk.save_npz_network(kk.network(network.layers[1:], ymax=None), nets / name)
    options = ["--networks", str(nets), "--rows", "1", "--threads", "1", "--sparsities", "0.9"]
    assert main(["time", *options]) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1
    assert error[0].startswith("kkspdnn: NumPy, dense, 1 rows: ")
