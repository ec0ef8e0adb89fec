"""Training, pruning and timing on a few digits, end to end."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from bench.balanced import accuracy, timing
from bench.balanced.cli import main
from bench.balanced.digits import Digits, digits
from kkspdnn.decode import read_json
from kkspdnn.pruning.study import study_from


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """2000 images to train with and 300 to test with, 64 hidden neurons, two sparsities."""
    train, test = digits()
    few = Digits(train.bits[:2000], train.labels[:2000]), Digits(test.bits[:300], test.labels[:300])
    monkeypatch.setattr(accuracy, "digits", lambda: few)
    monkeypatch.setattr(accuracy, "LAYERS", (1024, 64, 64, 10))
    monkeypatch.setattr(accuracy, "SPARSITIES", (0.5, 0.9))
    monkeypatch.setattr(timing, "ROWS", (1, 70))


def test_the_images_are_all_there_and_have_labels() -> None:
    train, test = digits()
    assert (len(train.bits), len(test.bits)) == (50_000, 10_000)
    assert set(train.labels) == set(test.labels) == set(range(10))
    assert test.pixels().shape == (10_000, 1024)


def test_networks_learn_and_all_implementations_agree(
    small: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    if find_spec("sparse_dot_mkl") is None:
        pytest.skip("sparse_dot_mkl is not installed")
    nets, records = str(tmp_path / "nets"), [tmp_path / "train.json", tmp_path / "time.json"]
    options = ["--seeds", "1", "--epochs", "5", "--networks", nets, "--json", str(records[0])]
    assert main(["train", *options]) == 0
    assert main(["time", "--networks", nets, "--rounds", "2", "--json", str(records[1])]) == 0
    assert "kkspdnn, balanced" in capsys.readouterr().out
    trained, timed = (study_from(read_json(path), str(path)) for path in records)
    assert [one.pattern for one in trained.accuracies] == [
        "dense",
        *["balanced", "unstructured", "block"] * 2,
    ]
    # By chance a tenth is right.
    assert trained.accuracies[0].accuracy > 0.7
    assert all(one.accuracy > 0.3 for one in trained.accuracies)
    parts = {round(one.sparsity, 2) for one in trained.accuracies if one.pattern == "balanced"}
    # 2 x 64 x 64 and less of them in the last layer, which stays dense.
    assert parts == {0.5, 0.9}
    assert {one.rows for one in timed.timings} == {1, 70}
    assert all(len(one.seconds) == 2 and one.max_abs_error < 1e-3 for one in timed.timings)
    assert {one.implementation for one in timed.timings} >= {"NumPy", "kkspdnn", "MKL CSR"}


def test_networks_that_are_not_there_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["time", "--networks", str(tmp_path)]) == 2
    assert "no such folder" in capsys.readouterr().err
