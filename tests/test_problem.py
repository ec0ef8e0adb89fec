"""From options to a problem."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from kkspdnn import memory
from kkspdnn.challenge import write_categories, write_images, write_network
from kkspdnn.errors import InputError
from kkspdnn.memory import Budget
from kkspdnn.problem import load_problem
from kkspdnn.radix_net import radixnet
from kkspdnn.shipped_images import images


def test_defaults_without_a_folder() -> None:
    made = load_problem()
    assert (made.network.inputs, len(made.network.layers)) == (1024, 120)
    assert made.inputs.rows == 60000
    assert made.truth is None
    assert load_problem(seed=3, layers=2, inputs=1).network.name == "radixnet-1024x2-seed3"
    assert load_problem(dtype="float64", layers=2, inputs=1).network.dtype == np.float64


def test_a_folder_without_images_takes_the_shipped_ones(tmp_path: Path) -> None:
    write_network(radixnet(64, 2), tmp_path)
    write_categories(np.array([2, 5, 9]), tmp_path, 64, 2)
    made = load_problem(neurons=64, layers=2, inputs=6, data=tmp_path)
    assert made.network.source == "challenge"
    assert "shipped" in made.inputs.source
    assert made.truth is not None
    assert made.truth.tolist() == [2, 5]


def test_a_folder_of_somebodys_own(tmp_path: Path) -> None:
    sp.save_npz(tmp_path / "layer-1.npz", sp.csr_array(np.eye(64)))
    made = load_problem(data=tmp_path)
    assert made.network.source == "npz"
    assert (made.inputs.rows, made.inputs.neurons) == (60000, 64)
    assert load_problem(data=tmp_path, inputs=7, neurons=64, layers=1).inputs.rows == 7


def test_a_network_without_layers_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "network.json").write_text('{"inputs": 64}')
    made = load_problem(data=tmp_path, inputs=3)
    assert len(made.network.layers) == 0
    assert made.network.inputs == 64


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="n1024-l1.tsv: no such file"):
        load_problem(data=tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        load_problem(data=tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="/file: not a folder"):
        load_problem(data=tmp_path / "file")
    sp.save_npz(tmp_path / "layer-2.npz", sp.csr_array(np.eye(64)))
    with pytest.raises(InputError, match=r"layer-1.npz: no such file"):
        load_problem(data=tmp_path)


def test_categories_of_other_rows(tmp_path: Path) -> None:
    """Where --inputs takes some of the rows, categories beyond them are none of these."""
    write_network(radixnet(64, 2), tmp_path)
    write_images(images(64, 10), tmp_path)
    write_categories(np.array([2, 10, 11]), tmp_path, 64, 2)
    with pytest.raises(InputError, match="categories.tsv: row 11, but there are 10 input rows; "):
        load_problem(neurons=64, layers=2, data=tmp_path)
    made = load_problem(neurons=64, layers=2, data=tmp_path, inputs=10)
    assert made.truth is not None
    assert made.truth.tolist() == [2, 10]


def test_a_network_of_somebodys_own_without_rows(tmp_path: Path) -> None:
    sp.save_npz(tmp_path / "layer-1.npz", sp.csr_array(np.eye(20)))
    with pytest.raises(InputError, match=r"20 neurons: .*; or write input rows to .*inputs.npz"):
        load_problem(data=tmp_path)


def test_what_cannot_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 10**9)
    with pytest.raises(InputError, match="--neurons 16777216: layers need"):
        load_problem(neurons=2**24)
    tight = Budget(memory.resident_memory() + 10**6)
    with pytest.raises(InputError, match="--neurons 16384: layers need .* of a budget of"):
        load_problem(neurons=2**14, budget=tight)
    with pytest.raises(InputError, match="1024: 60000 input rows need .* at least --memory"):
        load_problem(budget=tight)
