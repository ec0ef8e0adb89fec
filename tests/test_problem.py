"""From options to a problem, and how much memory it may take."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import scipy.sparse as sp

from kkspdnn.challenge import write_categories, write_network
from kkspdnn.errors import InputError
from kkspdnn.memory import free_memory, require_memory
from kkspdnn.problem import load_problem
from kkspdnn.radixnet import radixnet


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
    sp.save_npz(tmp_path / "layer-2.npz", sp.csr_array(np.eye(64)))
    with pytest.raises(InputError, match=r"layer-1.npz: no such file"):
        load_problem(data=tmp_path)


def machine(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=free))


def test_free_memory_is_the_machines_or_the_containers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, 1000)
    assert free_memory(tmp_path) == 1000
    (tmp_path / "memory.max").write_text("700\n")
    (tmp_path / "memory.current").write_text("300\n")
    (tmp_path / "memory.stat").write_text("anon 100\ninactive_file 50\n")
    assert free_memory(tmp_path) == 450
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(tmp_path) == 1000
    older = tmp_path / "memory"
    older.mkdir()
    (older / "memory.limit_in_bytes").write_text("500\n")
    (older / "memory.usage_in_bytes").write_text("600\n")
    (older / "memory.stat").write_text("total_inactive_file 0\n")
    assert free_memory(tmp_path) == 0


def test_what_cannot_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, 2**30)
    require_memory(2**29, "rows")
    with pytest.raises(InputError, match=r"rows need 2\.0 GiB of memory, \d\.\d GiB are free"):
        require_memory(2**31, "rows")
    with pytest.raises(InputError, match="--neurons 16777216: layers need"):
        load_problem(neurons=2**24)
