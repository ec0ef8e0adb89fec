"""Network folders: exact round trips, all optional files, and invalid folders."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings

from kkspdnn.errors import InputError
from kkspdnn.io.npz import read_npz_inputs, read_npz_network, save_npz_network
from kkspdnn.model.layers import ACTIVATIONS, BIAS_TO, Layer
from kkspdnn.model.network import network
from kkspdnn.model.radixnet import radixnet
from tests.io.damaged_files import check_read_or_refused, damaged


def put(folder: Path, *sizes: int, dtype: Any = np.float32, **settings: Any) -> Path:
    """Write layers of ones with these numbers of neurons, and `settings` to network.json."""
    folder.mkdir(exist_ok=True)
    for number, shape in enumerate(itertools.pairwise(sizes), start=1):
        sp.save_npz(folder / f"layer-{number}.npz", sp.csr_array(np.ones(shape, dtype)))
    if settings:
        (folder / "network.json").write_text(json.dumps(settings))
    return folder


@pytest.mark.slow
@settings(max_examples=40)
@given(
    st.integers(0, 2**32),
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from([None, 0.1, 32.0]),
)
def test_a_network_comes_back_exactly(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    sizes: list[int],
    dtype: Any,
    ymax: float | None,
) -> None:
    rng = np.random.default_rng(seed)
    layers = []
    for a, b in itertools.pairwise(sizes):
        weights = rng.standard_normal((a, b)) * (rng.random((a, b)) < 0.5)
        activation, bias_to = rng.choice(ACTIVATIONS), rng.choice(BIAS_TO)
        layer = Layer.from_sparse(
            weights, rng.standard_normal(b), activation=activation, bias_to=bias_to
        )
        layers.append(layer.astype(dtype))
    net = network(layers, ymax, inputs=sizes[0], name="mine")
    folder = tmp_path_factory.mktemp("network")
    # The files of a deeper network must be removed.
    save_npz_network(radixnet(32, 6), folder)
    save_npz_network(net, folder)
    # A network without layers is float32.
    back = read_npz_network(folder, dtype)
    assert (back.inputs, back.outputs, back.ymax) == (net.inputs, net.outputs, ymax)
    assert (back.name, back.source, len(back.layers)) == ("mine", "npz", len(layers))
    for one, other in zip(back.layers, layers, strict=True):
        for name in ("start", "index", "value", "bias"):
            read, expected = getattr(one, name), getattr(other, name)
            assert read.dtype == expected.dtype
            assert (read == expected).all()
        assert (one.activation, one.bias_to) == (other.activation, other.bias_to)


@pytest.mark.slow
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("name", ["layer-1.npz", "bias-1.npy", "network.json"])
@given(data=st.data())
def test_a_damaged_folder_is_read_or_refused(tmp_path: Path, name: str, data: Any) -> None:
    weights = np.random.default_rng(0).standard_normal((4, 3))
    save_npz_network(network([Layer.from_sparse(weights, [1.0, 2, 3])]), tmp_path)
    (tmp_path / name).write_bytes(damaged((tmp_path / name).read_bytes(), data))
    check_read_or_refused(read_npz_network, tmp_path)


def test_lazy_networks_can_be_saved(tmp_path: Path) -> None:
    save_npz_network(radixnet(32, 3), tmp_path)
    back = read_npz_network(tmp_path)
    assert back.edges == 3 * 1024
    assert (back.layers[2].index == radixnet(32, 3).layers[2].index).all()


def test_layers_alone_are_a_network_with_a_plain_relu(tmp_path: Path) -> None:
    net = read_npz_network(put(tmp_path / "mine", 3, 4, 2))
    assert (net.inputs, net.outputs, net.edges, net.ymax) == (3, 2, 20, None)
    assert net.name == "mine"
    assert all((layer.bias == 0).all() for layer in net.layers)


def test_activation_and_bias_to(tmp_path: Path) -> None:
    folder = put(tmp_path, 3, 4, 2, activation=["relu", "linear"], bias_to="all")
    net = read_npz_network(folder)
    assert [layer.activation for layer in net.layers] == ["relu", "linear"]
    assert [layer.bias_to for layer in net.layers] == ["all", "all"]


def test_biases_from_settings_and_files(tmp_path: Path) -> None:
    one = read_npz_network(put(tmp_path / "one", 3, 4, 2, bias=-0.3, ymax=32))
    assert [layer.bias.tolist() for layer in one.layers] == [
        [np.float32(-0.3)] * 4,
        [np.float32(-0.3)] * 2,
    ]
    assert one.ymax == 32
    each = read_npz_network(put(tmp_path / "each", 3, 4, 2, bias=[-0.5, 2]))
    assert [layer.bias[0] for layer in each.layers] == [-0.5, 2]
    files = put(tmp_path / "files", 3, 4, 2)
    np.save(files / "bias-1.npy", np.array([1.0, 2, 3, 4]))
    np.save(files / "bias-2.npy", np.float64(7))
    net = read_npz_network(files)
    assert [layer.bias.tolist() for layer in net.layers] == [[1, 2, 3, 4], [7, 7]]
    # In float64 the bias is not rounded to float32, the dtype of the weights in the file.
    wide = read_npz_network(put(tmp_path / "wide", 2, 2, bias=-0.3), np.float64)
    assert wide.layers[0].bias.tolist() == [-0.3, -0.3]


def test_a_network_without_layers_needs_its_inputs(tmp_path: Path) -> None:
    assert read_npz_network(put(tmp_path / "a", inputs=7, layers=0)).outputs == 7
    with pytest.raises(InputError, match=r"no layer-1\.npz in the folder"):
        read_npz_network(put(tmp_path / "b", layers=0))
    with pytest.raises(InputError, match="nowhere: no such folder"):
        read_npz_network(tmp_path / "nowhere")


def bias_file(number: int, bias: Any) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / f"bias-{number}.npy", bias)


def layer_file(number: int, weights: Any) -> Callable[[Path], None]:
    return lambda folder: sp.save_npz(folder / f"layer-{number}.npz", sp.csr_array(weights))


def content(name: str, data: bytes) -> Callable[[Path], int]:
    return lambda folder: (folder / name).write_bytes(data)


def pickled(folder: Path) -> None:
    np.save(folder / "bias-1.npy", np.array([{}] * 4, dtype=object), allow_pickle=True)


def outside(folder: Path) -> None:
    csr = sp.csr_array(np.ones((3, 4)))
    csr.indices[5] = 9
    sp.save_npz(folder / "layer-1.npz", csr)


DAMAGE: list[tuple[Callable[[Path], Any], str]] = [
    (lambda folder: (folder / "layer-1.npz").unlink(), "layer-1.npz: no such file; 2 layers are"),
    (layer_file(2, np.ones((5, 2))), "layer-2.npz: has 5 inputs, but layer-1.npz has 4 outputs"),
    (layer_file(2, np.full((4, 2), np.nan)), "layer-2.npz: weights: row 0, column 0 is nan"),
    (layer_file(2, np.full((4, 2), 1e300)), "layer-2.npz: weight: 1e+300 is too large for float32"),
    (layer_file(2, np.full((4, 2), 1j)), "layer-2.npz: weights: complex128 values are not real"),
    (outside, "layer-1.npz"),
    (content("layer-2.npz", b""), "layer-2.npz: not a file of scipy.sparse.save_npz"),
    (content("layer-2.npz", b"PK\x03\x04junk"), "layer-2.npz: not a file of scipy.sparse.save_npz"),
    (lambda folder: np.savez(folder / "layer-2.npz", a=1), "layer-2.npz: not a file of scipy"),
    (content("bias-1.npy", b"nothing"), "bias-1.npy: not a file of numpy.save"),
    (pickled, "bias-1.npy: not a file of numpy.save"),
    (bias_file(1, np.ones(3)), "bias-1.npy: the bias has shape (3,); give one number or a vector"),
    (bias_file(2, np.inf), "layer-2.npz: bias inf of output 0"),
    (bias_file(2, 1e300), "layer-2.npz: bias: 1e+300 is too large for float32"),
    (bias_file(3, 1.0), "bias-3.npy: there is no layer 3; layers are 1 to 2; rename or"),
    (content("network.json", b"{"), "network.json: cannot be read as JSON"),
    (content("network.json", b"\xff"), "network.json: cannot be read as JSON"),
    (content("network.json", b"[" * 100000), "network.json: cannot be read as JSON"),
    (content("network.json", b'{"bias": 1, "ymax": 2, "bias": 3}'), "the key 'bias' occurs twice"),
    (
        lambda folder: (folder / "network.json").symlink_to("not-there"),
        "network.json: cannot be read as JSON",
    ),
    (content("network.json", b"[]"), "network.json: an object with any of ymax, bias"),
    (content("network.json", b'{"yMax": 3}'), "network.json: unknown key 'yMax'; known are ymax"),
    (
        content("network.json", b'{"activation": "tanh"}'),
        "activation is 'tanh'; relu or linear, or a list with one for each layer, is needed",
    ),
    (
        content("network.json", b'{"activation": ["relu"]}'),
        "network.json: activation has 1 entries for 2 layers; give one for each",
    ),
    (
        content("network.json", b'{"bias_to": ["all", 1]}'),
        "bias_to is ['all', 1]; nonzero or all, or a list with one for each layer, is needed",
    ),
    (content("network.json", b'{"ymax": "3"}'), "ymax is '3'; a number or null is needed"),
    (content("network.json", b'{"ymax": true}'), "ymax is True; a number or null is needed"),
    (content("network.json", b'{"ymax": NaN}'), "ymax is nan; a number or null is needed"),
    (content("network.json", b'{"ymax": -1}'), "ymax -1: it must be finite and above 0"),
    (content("network.json", b'{"bias": 1' + b"0" * 400 + b"}"), "a number or a list of numbers"),
    (content("network.json", b'{"bias": [1]}'), "network.json: bias has 1 entries for 2 layers"),
    (content("network.json", b'{"bias": null}'), "bias is None; a number or a list of numbers"),
    (content("network.json", b'{"layers": 3}'), "layer-3.npz: no such file; 3 layers are needed"),
    (content("network.json", b'{"layers": 1}'), "layer-2.npz: network.json says 1 layers"),
    (
        content("network.json", b'{"inputs": 4}'),
        "layer-1.npz: has 3 inputs, but network.json says 4",
    ),
    (content("network.json", b'{"inputs": 0}'), "inputs is 0; a whole number from 1 is needed"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGE, ids=[each[1] for each in DAMAGE])
def test_damaged_folders_are_refused(
    tmp_path: Path, damage: Callable[[Path], Any], message: str
) -> None:
    folder = put(tmp_path / "mine", 3, 4, 2)
    damage(folder)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        read_npz_network(folder)
    assert str(caught.value).startswith(str(folder))
    assert "\n" not in str(caught.value)


OTHER_CONTENTS = [
    (b"", "it is empty"),
    (b"<!DOCTYPE html><html>", "it is an HTML or XML page, perhaps of a failed download"),
    (b"\x80\x04\x95abc", "it is a Python pickle, which could run code"),
    (b"\x1f\x8b\x08\x00abc", "it is packed with gzip; unpack it first"),
    (b"version https://git-lfs.github.com/spec/v1\n", "it is a pointer of Git LFS"),
    (b"%%MatrixMarket matrix", "it is a Matrix Market file"),
    (b"1\t2\t0.5\n", "its first bytes are those of another format"),
]


@pytest.mark.parametrize(("data", "message"), OTHER_CONTENTS, ids=[e[1] for e in OTHER_CONTENTS])
def test_the_actual_type_of_a_file_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    folder = put(tmp_path / "mine", 3, 4, 2)
    for name in ("layer-2.npz", "bias-1.npy"):
        original = (folder / name).read_bytes() if (folder / name).exists() else None
        (folder / name).write_bytes(data)
        with pytest.raises(InputError, match=f"{re.escape(name)}: not a file of .*: {message}"):
            read_npz_network(folder)
        (folder / name).unlink() if original is None else (folder / name).write_bytes(original)


def test_layers_and_biases_numbered_from_0(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((4, 4)).astype(np.float32) for _ in range(3)]
    for number, each in enumerate(weights):
        sp.save_npz(tmp_path / f"layer-{number}.npz", sp.csr_array(each))
        np.save(tmp_path / f"bias-{number}.npy", np.float32(number + 1))
    net = read_npz_network(tmp_path)
    for number, layer in enumerate(net.layers):
        assert (layer.weights().toarray() == weights[number]).all()
        assert (layer.bias == number + 1).all()
    (tmp_path / "layer-1.npz").unlink()
    with pytest.raises(InputError, match=r"layer-1\.npz: no such file; 3 layers are needed"):
        read_npz_network(tmp_path)


def test_leading_zeros(tmp_path: Path) -> None:
    for number, name in enumerate(("1", "02", "003"), start=1):
        sp.save_npz(tmp_path / f"layer-{name}.npz", sp.csr_array(np.full((2, 2), number)))
    np.save(tmp_path / "bias-03.npy", 7.0)
    net = read_npz_network(tmp_path)
    assert [layer.value[0] for layer in net.layers] == [1, 2, 3]
    assert [layer.bias[0] for layer in net.layers] == [0, 0, 7]
    sp.save_npz(tmp_path / "layer-2.npz", sp.csr_array(np.eye(2)))
    with pytest.raises(InputError, match=r"layer-2\.npz: has the number of layer-02\.npz"):
        read_npz_network(tmp_path)


def test_a_bias_needs_its_layer(tmp_path: Path) -> None:
    folder = put(tmp_path, 3, 4, 2)
    np.save(folder / "bias-0.npy", 1.0)
    with pytest.raises(InputError, match=r"bias-0\.npy: there is no layer 0; layers are 1 to 2"):
        read_npz_network(folder)


LOOKALIKES = [
    *("layer_3.npz", "Layer-3.npz", "layer-3.npy", "layer3.npz", "layers-3.npz", "layer-3.tsv"),
    *("layer-3 (1).npz", "layer-3.npz.gz", "layer.npz", "layer-three.npz", "layer-3"),
    *("bias_1.npy", "bias-1.npz", "bias-01.txt", "biases-1.npy", "bias.npy", "BIAS-1.NPY"),
    *("Network.json", "network.yaml", "network.json.txt", "network.jsonc"),
]


@pytest.mark.parametrize("name", LOOKALIKES)
def test_files_with_similar_names_are_refused(tmp_path: Path, name: str) -> None:
    folder = put(tmp_path, 3, 4, 2)
    (folder / name).write_bytes(b"")
    with pytest.raises(InputError, match=re.escape(f"{name}: is not read by this name; layers")):
        read_npz_network(folder)
    with pytest.raises(InputError, match=re.escape(f"{name}: is not read by this name; layers")):
        save_npz_network(radixnet(32, 1), folder)


def test_other_files_are_ignored(tmp_path: Path) -> None:
    folder = put(tmp_path, 3, 4, 2)
    for name in (
        *("README.md", "y.npy", "outputs.npz", "layer-1.npz.bak", "layer-1.npz~", ".layer-9.npz"),
        *("layering.npz", "train.py", "biased.npy", "record.json", "layer-1.png"),
    ):
        (folder / name).write_bytes(b"")
    (folder / "layers-3.npz").mkdir()
    assert len(read_npz_network(folder).layers) == 2


def test_saving_removes_layers_of_another_numbering(tmp_path: Path) -> None:
    for name in ("layer-0.npz", "layer-01.npz", "bias-00.npy", "layer-7.npz"):
        (tmp_path / name).write_bytes(b"before")
    save_npz_network(radixnet(32, 2), tmp_path)
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        *("bias-1.npy", "bias-2.npy", "layer-1.npz", "layer-2.npz", "network.json"),
    ]


def test_a_bias_given_twice_is_refused(tmp_path: Path) -> None:
    folder = put(tmp_path / "mine", 3, 4, bias=1)
    np.save(folder / "bias-1.npy", 1.0)
    with pytest.raises(InputError, match=r"bias-1\.npy: network\.json has a bias too"):
        read_npz_network(folder)


@pytest.mark.slow
@given(st.integers(0, 2**32), st.integers(0, 6), st.integers(1, 6))
def test_inputs_come_back(
    tmp_path_factory: pytest.TempPathFactory, seed: int, rows: int, neurons: int
) -> None:
    rng = np.random.default_rng(seed)
    dense = rng.standard_normal((rows, neurons)) * (rng.random((rows, neurons)) < 0.5)
    folder = tmp_path_factory.mktemp("inputs")
    np.save(folder / "rows.npy", dense)
    sp.save_npz(folder / "rows.npz", sp.csr_array(dense))
    np.savez_compressed(folder / "dense.npz", dense)
    for name in ("rows.npy", "rows.npz", "dense.npz"):
        inputs = read_npz_inputs(folder / name)
        assert (inputs.to_dense(np.float64) == dense).all()
        assert inputs.source == f"file {name}"


def test_bad_inputs_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", [[1.0], [np.nan]])
    with pytest.raises(InputError, match=r"a\.npy: inputs: row 1, column 0 is nan"):
        read_npz_inputs(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.ones(3))
    with pytest.raises(InputError, match=r"b\.npy: inputs: 1 dimension"):
        read_npz_inputs(tmp_path / "b.npy")
    np.savez(tmp_path / "c.npz", x=np.ones((2, 2)), y=np.ones((2, 2)))
    with pytest.raises(InputError, match=r"c\.npz: has 2 arrays \(x, y\); one dense array"):
        read_npz_inputs(tmp_path / "c.npz")
    (tmp_path / "c.npz").rename(tmp_path / "d.npy")
    with pytest.raises(
        InputError, match=r"d\.npy: an \.npz archive; save one array with numpy\.save"
    ):
        read_npz_inputs(tmp_path / "d.npy")
    np.save(tmp_path / "e.npy", np.ones((2, 2)))
    (tmp_path / "e.npy").rename(tmp_path / "f.npz")
    with pytest.raises(InputError, match=r"f\.npz: not a file of scipy\.sparse\.save_npz"):
        read_npz_inputs(tmp_path / "f.npz")
    for name in ("g.npy", "g.npz"):
        with pytest.raises(InputError, match=r"g\.np.: no such file"):
            read_npz_inputs(tmp_path / name)
