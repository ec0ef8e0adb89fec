"""Dense networks from files: every form gives the same, and no file ends the process."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kkspdnn as kk
from kkspdnn.errors import InputError
from kkspdnn.pruning.dense_files import dense_network

RNG = np.random.default_rng(5)
ARRAYS = {
    "2.weight": RNG.standard_normal((7, 5)).astype(np.float32),
    "2.bias": RNG.standard_normal(7).astype(np.float32),
    "10.weight": RNG.standard_normal((3, 7)).astype(np.float32),
}


def written(folder: Path, kind: str, arrays: dict[str, Any]) -> Path:
    path = folder / f"net.{kind}"
    if kind == "npz":
        np.savez(path, **arrays)
    elif kind == "safetensors":
        pytest.importorskip("safetensors")
        from safetensors.numpy import save_file

        save_file(arrays, path)
    else:
        torch = pytest.importorskip("torch")
        torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, path)
    return path


def is_the_network(net: kk.Network) -> None:
    assert [(layer.inputs, layer.outputs) for layer in net.layers] == [(5, 7), (7, 3)]
    for layer, name in zip(net.layers, ("2", "10"), strict=True):
        assert (layer.weights().toarray() == ARRAYS[f"{name}.weight"].T).all()
        assert layer.bias_to == "all"
    assert (net.layers[0].bias == ARRAYS["2.bias"]).all()
    assert not net.layers[1].bias.any()
    assert [layer.activation for layer in net.layers] == ["relu", "linear"]
    assert net.ymax is None


@pytest.mark.parametrize("kind", ["npz", "safetensors", "pt", "pth"])
def test_every_form_is_the_same_network(tmp_path: Path, kind: str) -> None:
    is_the_network(kk.read_dense_network(written(tmp_path, kind, ARRAYS)))


def test_kernels_are_inputs_x_outputs_and_order_is_by_number(tmp_path: Path) -> None:
    turned = {
        "10.kernel": ARRAYS["10.weight"].T,
        "2.bias": ARRAYS["2.bias"],
        "2.weight": ARRAYS["2.weight"],
    }
    is_the_network(kk.read_dense_network(written(tmp_path, "npz", turned)))


def test_one_matrix(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.arange(6.0).reshape(2, 3))
    net = kk.read_dense_network(tmp_path / "w.npy")
    assert net.layers[0].weights().toarray().tolist() == [[0, 1, 2], [3, 4, 5]]
    assert net.dtype == np.float64


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "no array is called X.weight or X.kernel"),
    ({"a.weight": np.ones((2, 2)), "b.weight": np.ones((2, 2))}, "layers a, b are not numbered"),
    ({"0.weight": np.ones((2, 2)), "0.kernel": np.ones((2, 2))}, "0 has a weight and a kernel"),
    ({"0.weight": np.ones((2, 2, 3, 3))}, "0.weight has 4 dimensions, a Linear layer's two"),
    ({"0.weight": np.ones((2, 2)), "0.running_mean": np.ones(2)}, "0.running_mean is neither"),
    ({"0.weight": np.ones((2, 2)), "1.bias": np.ones(2)}, "1.bias is neither a layer's weight"),
    ({"0.weight": np.full((2, 2), np.nan)}, "0: weights: row 0, column 0 is nan"),
    ({"0.weight": np.ones((2, 2)), "0.bias": np.array([1, np.inf])}, "0: bias inf of output 1"),
    ({"0.weight": np.ones((2, 2)), "0.bias": np.ones(3)}, "0: the bias has shape (3,)"),
    ({"0.weight": np.ones((3, 2)), "1.weight": np.ones((2, 2))}, "layer 1 has 3 outputs but"),
    ({"0.weight": np.array([["a"]])}, "0: weights: <U1 values are not real numbers"),
]


@pytest.mark.parametrize(("arrays", "message"), REFUSED, ids=[each[1] for each in REFUSED])
def test_arrays_that_are_no_network_are_refused(arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        dense_network(arrays, ordered=False)


@pytest.mark.parametrize(
    ("name", "message"),
    [("a.h5", "one of .npy, .npz, .safetensors, .pt, .pth is needed"), ("a.npz", "no such file")],
)
def test_files_that_are_not_there_are_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        kk.read_dense_network(tmp_path / name)


def test_a_file_of_pytorch_cannot_run_code(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(InputError, match=r"model.pt: no state_dict .* without running code"):
        kk.read_dense_network(tmp_path / "model.pt")
    torch.save([torch.ones(2, 2)], tmp_path / "list.pt")
    with pytest.raises(InputError, match="list.pt: not tensors by name"):
        kk.read_dense_network(tmp_path / "list.pt")


def sample(kind: str, folder: Path) -> bytes:
    if kind == "npy":
        buffer = io.BytesIO()
        np.save(buffer, ARRAYS["2.weight"])
        return buffer.getvalue()
    return written(folder, kind, ARRAYS).read_bytes()


@pytest.mark.parametrize("kind", ["npy", "npz", "safetensors", "pt"])
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_a_network_or_refused(tmp_path: Path, kind: str, data: Any) -> None:
    """Bytes changed, cut off, or made up altogether."""
    content = bytearray(sample(kind, tmp_path))
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))]
    if data.draw(st.integers(0, 9)) == 0:
        content = bytearray(data.draw(st.binary(max_size=200)))
    file = tmp_path / f"damaged.{kind}"
    file.write_bytes(content)
    said, net = "", None
    try:
        net = kk.read_dense_network(file)
    except InputError as error:
        said = str(error)
    if net is None:
        assert said.startswith(str(file))
        assert "\n" not in said
    else:
        assert all(np.isfinite(layer.value).all() for layer in net.layers)
