"""Expected categories are computed once, and only used for their own network and rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bench.expected
import kkspdnn as kk
from bench.expected import expected
from bench.truth import Truth
from kkspdnn.errors import InputError


def told(_: float) -> None:
    """Nobody."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "expected.npz"


def test_it_is_read_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, inputs = kk.radixnet(64, 4), kk.images(64, 50)
    first = expected(net, inputs, told, file)
    computed = expected(net, inputs, told)
    monkeypatch.setattr(bench.expected, "truth", None)
    second = expected(net, inputs, told, file)
    for found in (first, second):
        for name in ("categories", "products", "living"):
            assert np.array_equal(getattr(found, name), getattr(computed, name))
        assert (found.layers, found.edges) == (computed.layers, computed.edges)
    assert isinstance(second, Truth)
    assert all(type(count) is int for count in second.layers.alive)


def test_another_problem_is_refused(file: Path) -> None:
    net, inputs = kk.radixnet(64, 4), kk.images(64, 50)
    expected(net, inputs, told, file)
    for other in (
        (kk.radixnet(64, 5), inputs),
        (kk.radixnet(64, 4, seed=1), inputs),
        (net, kk.images(64, 49)),
    ):
        with pytest.raises(InputError, match="another network or of other input rows"):
            expected(*other, told, file)


def test_what_is_no_such_file(file: Path) -> None:
    net, inputs = kk.radixnet(64, 4), kk.images(64, 50)
    np.savez(file, categories=np.zeros(1))
    with pytest.raises(InputError, match="no array 'products'"):
        expected(net, inputs, told, file)
    file.write_text("text")
    with pytest.raises(InputError, match="expected.npz"):
        expected(net, inputs, told, file)
    with pytest.raises(InputError, match="cannot be written"):
        expected(net, inputs, told, file / "below")
