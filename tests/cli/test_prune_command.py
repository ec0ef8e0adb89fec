"""`python -m kkspdnn prune`: the written folder runs on the command line."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

import kkspdnn as kk
from kkspdnn.choices import METHODS
from kkspdnn.cli.main import main
from tests.io.idx_files import idx
from tests.refusals import refusal


def model(path: Path, widths: tuple[int, ...] = (64, 32, 8)) -> Path:
    rng = np.random.default_rng(0)
    arrays = {}
    for number, (inputs, outputs) in enumerate(zip(widths, widths[1:], strict=False)):
        arrays[f"{number}.weight"] = rng.standard_normal((outputs, inputs)).astype(np.float32)
        arrays[f"{number}.bias"] = rng.standard_normal(outputs).astype(np.float32)
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("method", METHODS)
def test_a_pruned_network_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str
) -> None:
    source, out = model(tmp_path / "model.npz"), tmp_path / "out"
    options = ["--method", method, "--sparsity", "0.75"]
    own = {"balanced": ["--blocks", "8"], "block": ["--block-shape", "4x4"]}
    options += own.get(method, [])
    assert main(["prune", str(source), "--out", str(out), *options]) == 0
    printed = capsys.readouterr().out
    assert "layer 1: 64 x 32, 512 weights, sparsity 0.7500" in printed
    assert ("fan-in 16" in printed) == (method == "balanced")
    sp.save_npz(out / "inputs.npz", sp.random_array((70, 64), density=0.4, rng=1))
    assert main(["--data", str(out), "--verify", "full", "--quiet"]) == 0
    read, pruned = (
        kk.read_npz_network(out),
        kk.prune(
            kk.read_dense_network(source),
            method=method,
            sparsity=0.75,
            blocks=8,
            block_shape=(4, 4),
        ),
    )
    for one, other in zip(read.layers, pruned.layers, strict=True):
        assert (one.index == other.index).all()
        assert (one.value == other.value).all()
        assert (one.bias == other.bias).all()


@pytest.mark.parametrize("name", ["rows.npy", "t10k-images-idx3-ubyte"])
def test_the_printed_command_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """With FILE replaced by a file of input rows."""
    source = model(tmp_path / "model.npz", (784, 32, 10))
    assert main(["prune", str(source), "--out", str(tmp_path / "with spaces")]) == 0
    *_, formats, command = capsys.readouterr().out.splitlines()
    assert "784 neurons in FILE, a .npy, .npz, .tsv or IDX file" in formats
    python, module, package, *words = shlex.split(command)
    assert (python, module, package) == ("python", "-m", "kkspdnn")
    raw = np.random.default_rng(0).integers(0, 256, (40, 28, 28), np.uint8)
    rows, outputs = tmp_path / name, tmp_path / "y.npy"
    pixels = raw.reshape(40, 784).astype(np.float32) / np.float32(255)
    if rows.suffix == ".npy":
        np.save(rows, pixels)
    else:
        rows.write_bytes(idx(raw))
    words[words.index("FILE")] = str(rows)
    assert main([*words, "--verify", "full", "--outputs", str(outputs), "--quiet"]) == 0
    network = kk.read_npz_network(tmp_path / "with spaces")
    expected = kk.reference(network, pixels, dtype=np.float32).toarray()
    assert np.load(outputs).shape == (40, 10)
    assert np.allclose(np.load(outputs), expected, atol=1e-4)
    assert expected.any()


def test_another_sparsity_than_asked_for_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = model(tmp_path / "model.npz", (16, 8, 80))
    command = ["prune", str(source), "--method", "block", "--out"]
    assert main([*command, str(tmp_path / "a"), "--sparsity", "0.9,0.8"]) == 0
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.endswith("sparsity 0.5000 (0.9 was asked for), fan-in 8")
    assert second.endswith("sparsity 0.8000")
    assert main([*command, str(tmp_path / "b"), "--sparsity", "0"]) == 0
    assert "asked" not in capsys.readouterr().out
    # A layer that is not pruned keeps the sparsity that it has.
    again = ["prune", str(tmp_path / "a"), "--out", str(tmp_path / "c"), "--sparsity", "0"]
    assert main(again) == 0
    assert "asked" not in capsys.readouterr().out


def test_the_help_says_what_files_do_not_record(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["prune", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "a ReLU after every layer but the last one" in text
    assert "The order of a state_dict is the order of the layers" in text
    assert "(inputs, outputs), the transpose of the weight of a PyTorch layer" in text


def test_a_pruned_folder_can_be_pruned_again(tmp_path: Path) -> None:
    source = model(tmp_path / "model.npz")
    assert main(["prune", str(source), "--out", str(tmp_path / "a"), "--sparsity", "0.5,0"]) == 0
    again = ["prune", str(tmp_path / "a"), "--out", str(tmp_path / "b"), "--sparsity", "0.9,0"]
    assert main(again) == 0
    assert kk.read_npz_network(tmp_path / "b").layers[1].edges == 32 * 8


def test_permuted_blocks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = model(tmp_path / "model.npz"), tmp_path / "out"
    options = ["--permute", "--blocks", "8", "--sparsity", "0.75"]
    assert main(["prune", str(source), "--out", str(out), *options]) == 0
    assert "fan-in 16" in capsys.readouterr().out
    dense = kk.read_dense_network(source)
    pruned = kk.prune(dense, sparsity=0.75, blocks=8, permute=True)
    for one, other in zip(kk.read_npz_network(out).layers, pruned.layers, strict=True):
        assert (one.index == other.index).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sparsity", "2"], "sparsity 2.0: give the fraction of weights to remove"),
        (["--sparsity", "0.9,0.9,0.9"], "3 sparsities for 2 layers"),
        (["--sparsity", "x"], "'x' is not a number"),
        (["--block-shape", "8"], "'8' is not a shape such as 8x8"),
        (
            ["--method", "block", "--permute"],
            "--permute is for --method balanced: leave it out with --method block",
        ),
        (["--method", "block", "--blocks", "32"], "--blocks is for --method balanced"),
        (["--method", "unstructured", "--blocks", "4"], "leave it out with --method unstructured"),
        (
            ["--method", "unstructured", "--block-shape", "2x2"],
            "--block-shape is for --method block: leave it out with --method unstructured",
        ),
        (["--block-shape", "8x8"], "--block-shape is for --method block: leave it out"),
        (["--method", "magic"], "invalid choice: 'magic'"),
        (["--blocs", "3"], "unknown option --blocs"),
    ],
)
def test_invalid_options_write_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    source = model(tmp_path / "model.npz")
    command = ["prune", str(source), "--out", str(tmp_path / "out"), *options]
    assert message in refusal(capsys, *command)
    assert [each.name for each in tmp_path.iterdir()] == ["model.npz"]


def test_an_existing_folder_is_not_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = model(tmp_path / "model.npz"), tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("x")
    assert main(["prune", str(source), "--out", str(out)]) == 2
    assert "already exists" in capsys.readouterr().err
    assert [each.name for each in out.iterdir()] == ["mine"]
