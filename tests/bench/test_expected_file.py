"""The file of expected categories is reused, but only for the same network and rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bench.expected_file
import kkspdnn as kk
from bench.expected_file import load_or_compute_expected
from bench.expected_results import ExpectedResults
from kkspdnn.errors import InputError


def no_progress(_: float) -> None:
    """Ignore progress."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "expected.npz"


def test_the_file_is_read_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, inputs = kk.radixnet(64, 4), kk.images(64, 50)
    first = load_or_compute_expected(net, inputs, no_progress, file)
    computed = load_or_compute_expected(net, inputs, no_progress)
    monkeypatch.setattr(bench.expected_file, "compute_expected", None)
    second = load_or_compute_expected(net, inputs, no_progress, file)
    for found in (first, second):
        for name in ("categories", "products", "active_edges"):
            assert np.array_equal(getattr(found, name), getattr(computed, name))
        assert (found.layers, found.edges) == (computed.layers, computed.edges)
    assert isinstance(second, ExpectedResults)
    assert all(type(count) is int for count in second.layers.alive)


def test_another_problem_is_refused(file: Path) -> None:
    net, inputs = kk.radixnet(64, 4), kk.images(64, 50)
    load_or_compute_expected(net, inputs, no_progress, file)
    for other in (
        (kk.radixnet(64, 5), inputs),
        (kk.radixnet(64, 4, seed=1), inputs),
        (net, kk.images(64, 49)),
    ):
        with pytest.raises(InputError, match="another network or other input rows"):
            load_or_compute_expected(*other, no_progress, file)


def test_other_files_are_refused(file: Path) -> None:
    net, inputs = kk.radixnet(64, 4), kk.images(64, 50)
    np.savez(file, categories=np.zeros(1))
    with pytest.raises(InputError, match="no array 'products'"):
        load_or_compute_expected(net, inputs, no_progress, file)
    file.write_text("text")
    with pytest.raises(InputError, match="expected.npz"):
        load_or_compute_expected(net, inputs, no_progress, file)
    with pytest.raises(InputError, match="cannot be written"):
        load_or_compute_expected(net, inputs, no_progress, file / "below")
