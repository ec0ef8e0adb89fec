"""Problems that are loaded or generated for the options of a run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from kkspdnn.cli.problem import load_arguments, load_problem
from kkspdnn.device import memory
from kkspdnn.device.memory import Budget
from kkspdnn.errors import InputError
from kkspdnn.io.challenge import write_categories, write_images, write_network
from kkspdnn.io.shipped_images import images
from kkspdnn.model.radixnet import radixnet
from tests.command_lines import parse


def test_defaults_without_a_folder() -> None:
    problem = load_problem()
    assert (problem.network.inputs, len(problem.network.layers)) == (1024, 120)
    assert problem.inputs.rows == 60000
    assert problem.expected_categories is None
    assert load_problem(seed=3, layers=2, inputs=1).network.name == "radixnet-1024x2-seed3"
    assert load_problem(dtype="float64", layers=2, inputs=1).network.dtype == np.float64


def test_a_folder_without_images_uses_the_shipped_ones(tmp_path: Path) -> None:
    write_network(radixnet(64, 2), tmp_path)
    write_categories(np.array([2, 5, 9]), tmp_path, 64, 2)
    problem = load_problem(neurons=64, layers=2, inputs=6, data=tmp_path)
    assert problem.network.source == "challenge"
    assert "shipped" in problem.inputs.source
    assert problem.expected_categories is not None
    assert problem.expected_categories.tolist() == [2, 5]


def test_files_of_earlier_versions_beside_the_layers_are_ignored(tmp_path: Path) -> None:
    write_network(radixnet(64, 2), tmp_path)
    for layer in list((tmp_path / "neuron64").iterdir()):
        layer.with_name(layer.name + ".kkspdnn.npz").write_bytes(b"of an earlier version")
    problem = load_problem(neurons=64, layers=2, inputs=6, data=tmp_path)
    assert problem.network.edges == radixnet(64, 2).edges


def test_the_users_own_network(tmp_path: Path) -> None:
    sp.save_npz(tmp_path / "layer-1.npz", sp.csr_array(np.eye(64)))
    problem = load_problem(data=tmp_path, shipped_images=True)
    assert problem.network.source == "npz"
    assert (problem.inputs.rows, problem.inputs.neurons) == (60000, 64)
    problem = load_problem(data=tmp_path, inputs=7, neurons=64, layers=1, shipped_images=True)
    assert problem.inputs.rows == 7


def test_the_users_own_network_without_input_rows_is_refused(tmp_path: Path) -> None:
    for neurons in (64, 20):
        sp.save_npz(tmp_path / "layer-1.npz", sp.csr_array(np.eye(neurons)))
        with pytest.raises(InputError, match=r"no inputs\.npz or inputs\.npy .*--shipped-images"):
            load_problem(data=tmp_path)
    with pytest.raises(InputError, match="20 neurons: the shipped images come in powers of two"):
        load_problem(data=tmp_path, shipped_images=True)
    with pytest.raises(InputError, match="--mnist and --shipped-images both select"):
        load_problem(data=tmp_path, shipped_images=True, mnist=tmp_path / "mnist")


def test_a_file_of_input_rows(tmp_path: Path) -> None:
    """For generated networks, the challenge's folders and own folders."""
    rows = np.random.default_rng(0).random((5, 64)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    challenge, own = tmp_path / "challenge", tmp_path / "own"
    write_network(radixnet(64, 2), challenge)
    write_images(images(64, 9), challenge)
    # Those of the images in the folder.
    write_categories(np.array([2, 9]), challenge, 64, 2)
    own.mkdir()
    sp.save_npz(own / "layer-1.npz", sp.csr_array(np.eye(64)))
    np.save(own / "inputs.npy", rows[:1])
    for data, size in ((None, 64), (challenge, 64), (own, None)):
        options = {"data": data, "neurons": size, "layers": None if data == own else 2}
        problem = load_problem(**options, rows=tmp_path / "rows.npy")
        assert problem.inputs.source == "file rows.npy"
        assert (problem.inputs.to_dense() == rows).all()
        assert problem.expected_categories is None
        problem = load_problem(**options, rows=tmp_path / "rows.npy", inputs=3)
        assert (problem.inputs.to_dense() == rows[:3]).all()
        with pytest.raises(InputError, match=r"rows=6: .*rows.npy has 5 rows"):
            load_problem(**options, rows=tmp_path / "rows.npy", inputs=6)


@pytest.mark.parametrize("command", ["run", "tune"])
def test_the_options_of_input_rows(tmp_path: Path, command: str) -> None:
    np.save(tmp_path / "rows.npy", np.ones((5, 64), np.float32))
    size = ["--neurons", "64", "--layers", "2"]
    options = [command, *size, "--rows", str(tmp_path / "rows.npy"), "--inputs", "4"]
    assert load_arguments(parse(options)).inputs.shape == (4, 64)


def test_a_file_of_input_rows_of_another_width_is_refused_before_the_network_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "rows.npy", np.ones((5, 784)))
    challenge, own = tmp_path / "challenge", tmp_path / "own"
    write_network(radixnet(64, 2), challenge)
    own.mkdir()
    sp.save_npz(own / "layer-1.npz", sp.csr_array(np.eye(64)))
    for name in ("radixnet", "read_network", "read_npz_network"):
        monkeypatch.setattr(f"kkspdnn.cli.problem.{name}", lambda *_, **__: pytest.fail("read"))
    message = "rows.npy: has rows of 784 neurons, but the network of --neurons 64 has 64 inputs"
    for data in (None, challenge):
        with pytest.raises(InputError, match=message):
            load_problem(data=data, neurons=64, layers=2, rows=tmp_path / "rows.npy")
    with pytest.raises(InputError, match=r"rows of 784 neurons, but .*layer-1\.npz has 64 inputs"):
        load_problem(data=own, rows=tmp_path / "rows.npy")


@pytest.mark.parametrize("more", [{"mnist": Path("m")}, {"shipped_images": True}])
def test_one_option_selects_the_input_rows(more: dict[str, Any]) -> None:
    option = "--mnist" if "mnist" in more else "--shipped-images"
    with pytest.raises(InputError, match=f"--rows and {option} both select the input rows"):
        load_problem(rows=Path("rows.npy"), **more)


def test_dense_input_rows(tmp_path: Path) -> None:
    sp.save_npz(tmp_path / "layer-1.npz", sp.csr_array(np.eye(20)))
    rows = np.random.default_rng(0).random((5, 20)).astype(np.float32)
    np.save(tmp_path / "inputs.npy", rows)
    problem = load_problem(data=tmp_path)
    assert problem.inputs.source == "file inputs.npy"
    assert (problem.inputs.to_dense() == rows).all()
    assert (load_problem(data=tmp_path, inputs=2).inputs.to_dense() == rows[:2]).all()
    with pytest.raises(InputError, match=r"rows=6: .*inputs.npy has 5 rows"):
        load_problem(data=tmp_path, inputs=6)
    sp.save_npz(tmp_path / "inputs.npz", sp.csr_array(rows))
    with pytest.raises(InputError, match=r"inputs\.npy: there is inputs\.npz too; keep one"):
        load_problem(data=tmp_path)
    (tmp_path / "inputs.npy").unlink()
    sp.save_npz(tmp_path / "inputs.npz", sp.csr_array(rows[:, :19]))
    with pytest.raises(InputError, match=r"inputs\.npz: has rows of 19 neurons, but .*layer-1.npz"):
        load_problem(data=tmp_path)


def test_input_rows_that_are_a_broken_link(tmp_path: Path) -> None:
    sp.save_npz(tmp_path / "layer-1.npz", sp.csr_array(np.eye(64)))
    (tmp_path / "inputs.npz").symlink_to(tmp_path / "not-mounted")
    with pytest.raises(InputError, match=r"inputs\.npz: no such file"):
        load_problem(data=tmp_path)


@pytest.mark.parametrize(
    "name", ["inputs.tsv", "input.npz", "Inputs.npz", "inputs-1.npz", "inputs.csv.gz", "inputs"]
)
def test_misnamed_input_rows_are_refused(tmp_path: Path, name: str) -> None:
    sp.save_npz(tmp_path / "layer-1.npz", sp.csr_array(np.eye(64)))
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match=re.escape(f"{name}: is not read by this name; write")):
        load_problem(data=tmp_path)
    assert load_problem(data=tmp_path, inputs=1, shipped_images=True).inputs.rows == 1
    write_network(radixnet(64, 2), tmp_path / "challenge")
    (tmp_path / "challenge" / name).write_bytes(b"")
    with pytest.raises(InputError, match=re.escape(f"{name}: is not read with the challenge's")):
        load_problem(neurons=64, layers=2, data=tmp_path / "challenge")


@pytest.mark.parametrize(
    "name", ["neuron64/", "sparse-images-64.tsv", "neuron64-l2-categories.tsv.gz", "n64-l1.tsv"]
)
def test_two_formats_in_one_folder_are_refused(tmp_path: Path, name: str) -> None:
    sp.save_npz(tmp_path / "layer-1.npz", sp.csr_array(np.eye(64)))
    path = tmp_path / name
    path.mkdir() if name.endswith("/") else path.write_bytes(b"")
    with pytest.raises(InputError, match="is one of the challenge's files, but"):
        load_problem(data=tmp_path, shipped_images=True)


MISNAMED_CHALLENGE_FILES = [
    ("neuron64/n64-l01.tsv", "layers are n64-l1.tsv to n64-l2.tsv: rename or remove it"),
    ("neuron64/n64-l0.tsv", "layers are n64-l1.tsv to"),
    ("neuron64/n64-l002.tsv.gz", "layers are n64-l1.tsv to"),
    ("neuron64/n64_l2.tsv", "layers are n64-l1.tsv to"),
    ("neuron64/N64-L2.tsv", "layers are n64-l1.tsv to"),
    ("neuron64/layer-2.npz", "layers are n64-l1.tsv to"),
    ("sparse_images_64.tsv", "rename it to sparse-images-64.tsv"),
    ("images-64.tsv", "rename it to sparse-images-64.tsv"),
    ("sparse-images-1024.tsv", "has images of 1024 neurons, but the layers have 64"),
    ("inputs.npz", "is not read with the challenge's files, whose input rows are in"),
    ("inputs.npy", "is not read with the challenge's files, whose input rows are in"),
    ("bias-1.npy", "is not read with the challenge's files, which have their own bias"),
    ("neuron64-l2-categories.txt", "the expected categories are read from"),
    ("neuron64-l02-categories.tsv", "the expected categories are read from"),
]


@pytest.mark.parametrize(("name", "message"), MISNAMED_CHALLENGE_FILES)
def test_misnamed_files_of_the_challenge_are_refused(
    tmp_path: Path, name: str, message: str
) -> None:
    write_network(radixnet(64, 2), tmp_path)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        load_problem(neurons=64, layers=2, data=tmp_path)
    assert str(caught.value).startswith(str(tmp_path / name))


@pytest.mark.parametrize("name", ["sparse-images-64.tsv.gz", "neuron64-l2-categories.tsv"])
def test_broken_links_are_refused(tmp_path: Path, name: str) -> None:
    write_network(radixnet(64, 2), tmp_path)
    (tmp_path / name).symlink_to(tmp_path / "not-mounted")
    with pytest.raises(InputError, match=f"{name}: is a broken link"):
        load_problem(neurons=64, layers=2, data=tmp_path)
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=f"{name}: is not a file"):
        load_problem(neurons=64, layers=2, data=tmp_path)


def test_files_of_other_challenge_networks_are_ignored(tmp_path: Path) -> None:
    write_network(radixnet(64, 4), tmp_path)
    write_network(radixnet(32, 1), tmp_path)
    write_images(images(32, 5), tmp_path)
    write_categories(np.array([1]), tmp_path, 64, 4)
    problem = load_problem(neurons=64, layers=2, inputs=3, data=tmp_path)
    assert "shipped" in problem.inputs.source
    assert problem.expected_categories is None
    write_images(images(64, 5), tmp_path)
    (tmp_path / "sparse-images-64.csv").write_bytes(b"")
    assert load_problem(neurons=64, layers=2, data=tmp_path).inputs.rows == 5
    shipped = load_problem(neurons=64, layers=2, data=tmp_path, shipped_images=True)
    assert shipped.inputs.rows == 60000


def test_a_network_without_layers_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "network.json").write_text('{"inputs": 64}')
    problem = load_problem(data=tmp_path, inputs=3, shipped_images=True)
    assert len(problem.network.layers) == 0
    assert problem.network.inputs == 64


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    write_network(radixnet(64, 1), tmp_path / "challenge")
    with pytest.raises(InputError, match="n1024-l1.tsv: no such file"):
        load_problem(data=tmp_path / "challenge")
    with pytest.raises(InputError, match="no such folder"):
        load_problem(data=tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="/file: not a folder"):
        load_problem(data=tmp_path / "file")
    sp.save_npz(tmp_path / "layer-2.npz", sp.csr_array(np.eye(64)))
    with pytest.raises(InputError, match=r"layer-1.npz: no such file"):
        load_problem(data=tmp_path)


@pytest.mark.parametrize("options", [{}, {"neurons": 64}])
@pytest.mark.parametrize("name", ["other.txt", "bias-1.npy", "inputs.npy"])
def test_a_folder_without_a_network(tmp_path: Path, options: dict[str, Any], name: str) -> None:
    """The rows are not blamed."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / name).touch()
    np.save(tmp_path / "rows.npy", np.ones((5, 32)))
    size = options.get("neurons", 1024)
    message = (
        f"{tmp_path / 'a'}: no layer-1.npz (your own network) and no "
        f"neuron{size}/n{size}-l1.tsv (the challenge's) there"
    )
    for rows in (None, tmp_path / "rows.npy"):
        with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
            load_problem(**options, data=tmp_path / "a", rows=rows)


def test_mnist_for_another_size(tmp_path: Path) -> None:
    sp.save_npz(tmp_path / "layer-1.npz", sp.csr_array(np.eye(64)))
    message = r"--mnist makes rows of 1024, 4096, 16384 or 65536 neurons, but .* has 64; use --rows"
    for options in ({"neurons": 64}, {"data": tmp_path}):
        with pytest.raises(InputError, match=message):
            load_problem(**options, mnist=tmp_path / "mnist")


def test_categories_beyond_the_input_rows(tmp_path: Path) -> None:
    """With --inputs, expected categories beyond the selected rows are ignored."""
    write_network(radixnet(64, 2), tmp_path)
    write_images(images(64, 10), tmp_path)
    write_categories(np.array([2, 10, 11]), tmp_path, 64, 2)
    with pytest.raises(InputError, match="categories.tsv: row 11, but there are 10 input rows; "):
        load_problem(neurons=64, layers=2, data=tmp_path)
    problem = load_problem(neurons=64, layers=2, data=tmp_path, inputs=10)
    assert problem.expected_categories is not None
    assert problem.expected_categories.tolist() == [2, 10]


def test_a_problem_larger_than_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 10**9)
    with pytest.raises(InputError, match="--neurons 16777216: layers need"):
        load_problem(neurons=2**24)
    tight = Budget(memory.resident_memory() + 10**6)
    with pytest.raises(InputError, match="--neurons 16384: layers need .* of a budget of"):
        load_problem(neurons=2**14, budget=tight)
    with pytest.raises(InputError, match="1024: 60000 input rows need .* at least memory="):
        load_problem(budget=tight)
