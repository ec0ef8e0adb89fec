"""Dense networks from files: equal networks from all formats, and errors for damaged files."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kkspdnn as kk
from kkspdnn.device import memory
from kkspdnn.errors import InputError
from kkspdnn.io.dense import dense_network
from tests.io.damaged_files import check_read_or_refused, damaged

RNG = np.random.default_rng(5)
ARRAYS = {
    "2.weight": RNG.standard_normal((7, 5)).astype(np.float32),
    "2.bias": RNG.standard_normal(7).astype(np.float32),
    "10.weight": RNG.standard_normal((3, 7)).astype(np.float32),
}


def write_file(folder: Path, suffix: str, arrays: dict[str, Any]) -> Path:
    path = folder / f"net.{suffix}"
    if suffix == "npz":
        np.savez(path, **arrays)
    elif suffix == "safetensors":
        pytest.importorskip("safetensors")
        from safetensors.numpy import save_file

        save_file(arrays, path)
    else:
        torch = pytest.importorskip("torch")
        torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, path)
    return path


def check_network(net: kk.Network) -> None:
    assert [(layer.inputs, layer.outputs) for layer in net.layers] == [(5, 7), (7, 3)]
    for layer, name in zip(net.layers, ("2", "10"), strict=True):
        assert (layer.weights().toarray() == ARRAYS[f"{name}.weight"].T).all()
        assert layer.bias_to == "all"
    assert (net.layers[0].bias == ARRAYS["2.bias"]).all()
    assert not net.layers[1].bias.any()
    assert [layer.activation for layer in net.layers] == ["relu", "linear"]
    assert net.ymax is None


@pytest.mark.parametrize("suffix", ["npz", "safetensors", "pt", "pth"])
def test_all_formats_have_the_same_network(tmp_path: Path, suffix: str) -> None:
    check_network(kk.read_dense_network(write_file(tmp_path, suffix, ARRAYS)))


def test_kernels_are_inputs_x_outputs_and_order_is_by_number(tmp_path: Path) -> None:
    transposed = {
        "10.kernel": ARRAYS["10.weight"].T,
        "2.bias": ARRAYS["2.bias"],
        "2.weight": ARRAYS["2.weight"],
    }
    check_network(kk.read_dense_network(write_file(tmp_path, "npz", transposed)))


def test_one_matrix(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.arange(6.0).reshape(2, 3))
    net = kk.read_dense_network(tmp_path / "w.npy")
    assert net.layers[0].weights().toarray().tolist() == [[0, 1, 2], [3, 4, 5]]
    assert net.dtype == np.float64


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "no array is named X.weight or X.kernel"),
    ({"a.weight": np.ones((2, 2)), "b.weight": np.ones((2, 2))}, "layers a, b are not numbered"),
    ({"1.weight": np.ones((2, 2)), "01.weight": np.ones((2, 2))}, "layers 1 and 01 have the same"),
    ({"0.weight": np.ones((2, 2)), "0.kernel": np.ones((2, 2))}, "0 has a weight and a kernel"),
    (
        {"0.weight": np.ones((2, 2, 3, 3))},
        "0.weight has 4 dimensions; that of a Linear layer has 2",
    ),
    (
        {"0.weight": np.ones((2, 2)), "1.weight": np.ones(2), "1.running_mean": np.ones(2)},
        "1.running_mean: a state_dict with BatchNorm cannot be converted without its model",
    ),
    ({"0.weight": np.ones(2)}, "0.weight has 1 dimension; that of a Linear layer has 2"),
    ({"0.weight": np.ones((2, 2)), "0.running_median": np.ones(2)}, "0.running_median is neither"),
    ({"0.weight": np.ones((2, 2)), "1.bias": np.ones(2)}, "1.bias is neither the weight"),
    ({"0.weight": np.full((2, 2), np.nan)}, "0: weights: row 0, column 0 is nan"),
    ({"0.weight": np.ones((2, 2)), "0.bias": np.array([1, np.inf])}, "0: bias inf of output 1"),
    ({"0.weight": np.ones((2, 2)), "0.bias": np.ones(3)}, "0: the bias has shape (3,)"),
    ({"0.weight": np.ones((3, 2)), "1.weight": np.ones((2, 2))}, "layer 1 has 3 outputs but"),
    ({"0.weight": np.array([["a"]])}, "0: weights: <U1 values are not real numbers"),
    ({"0.weight_orig": np.ones((2, 2))}, "0.weight_orig: give either 0.weight, 0.weight_orig with"),
    (
        {"0.weight": np.ones((2, 2)), "0.weight_mask": np.ones((2, 2))},
        "0.weight, 0.weight_mask: give either 0.weight,",
    ),
    (
        {"0.weight_orig": np.ones((2, 2)), "0.weight_mask": np.ones((2, 1))},
        "0.weight_mask has shape (2, 1), 0.weight_orig (2, 2)",
    ),
    (
        {"0.weight_v": np.ones((2, 2)), "0.weight_g": np.ones((3, 1))},
        "0.weight_g has shape (3, 1), which does not match 0.weight_v (2, 2)",
    ),
    (
        {"0.weight_v": np.ones((2, 2)), "0.weight_g": np.ones((1, 1))},
        "0.weight_g has shape (1, 1), which does not match 0.weight_v (2, 2)",
    ),
    (
        {"0.weight_v": np.array([["a"]]), "0.weight_g": np.ones((1, 1))},
        "0.weight_v: <U1 values are not real numbers",
    ),
    ({"0.weight_scale": np.ones(2), "0.weight": np.ones((2, 2))}, "0.weight_scale is neither"),
]


@pytest.mark.parametrize(("arrays", "message"), REFUSED, ids=[each[1] for each in REFUSED])
def test_invalid_arrays_are_refused(arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        dense_network(arrays, ordered=False)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.h5", "ends in one of .npy, .npz, .safetensors, .pt, .pth, .onnx, or a network folder"),
        ("a.npz", "no such file"),
    ],
)
def test_unknown_suffixes_and_missing_files_are_refused(
    tmp_path: Path, name: str, message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        kk.read_dense_network(tmp_path / name)


def test_a_single_linear_layer_has_no_name(tmp_path: Path) -> None:
    arrays = {"weight": ARRAYS["2.weight"], "bias": ARRAYS["2.bias"]}
    for suffix in ("npz", "pt"):
        net = kk.read_dense_network(write_file(tmp_path, suffix, arrays))
        assert (net.layers[0].weights().toarray() == ARRAYS["2.weight"].T).all()
        assert (net.layers[0].bias == ARRAYS["2.bias"]).all()


def save_state_dict(folder: Path, model: Any) -> Path:
    torch = pytest.importorskip("torch")
    torch.save(model.state_dict(), folder / "model.pt")
    return folder / "model.pt"


def check_outputs(net: kk.Network, model: Any, inputs: int) -> None:
    torch = pytest.importorskip("torch")
    rows = np.random.default_rng(1).standard_normal((4, inputs)).astype(np.float32)
    with torch.no_grad():
        expected = model.eval()(torch.from_numpy(rows)).numpy()
    assert np.abs(kk.Predictor(net)(rows) - expected).max() <= 1e-5


def test_the_state_dict_of_a_pruned_model(tmp_path: Path) -> None:
    """With all layers pruned, and with the pruning of one layer made permanent."""
    torch = pytest.importorskip("torch")
    from torch.nn.utils import prune

    nn = torch.nn
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 5))
    for layer in (model[0], model[2]):
        prune.l1_unstructured(layer, "weight", amount=0.75)
    prune.random_unstructured(model[0], "bias", amount=3)
    for change in (lambda: None, lambda: prune.remove(model[2], "weight")):
        change()
        net = kk.read_dense_network(save_state_dict(tmp_path, model))
        assert [layer.edges for layer in net.layers] == [27, 11]
        assert (net.layers[0].bias == 0).sum() == 3
        check_outputs(net, model, 12)
    arrays = {name: value.numpy() for name, value in model.state_dict().items()}
    for suffix in ("npz", "safetensors"):
        check_outputs(kk.read_dense_network(write_file(tmp_path, suffix, arrays)), model, 12)


@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("sizes", [(4, 3), (1, 3), (4, 1), (1, 1)])
def test_the_state_dict_of_a_weight_normed_model(
    tmp_path: Path, dim: int | None, sizes: tuple[int, int]
) -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        linear = nn.utils.weight_norm(nn.Linear(*sizes), dim=dim)
    with torch.no_grad():
        linear.weight_g *= 1.5
    model = nn.Sequential(linear, nn.ReLU(), nn.Linear(sizes[1], 2))
    check_outputs(kk.read_dense_network(save_state_dict(tmp_path, model)), model, sizes[0])


def test_ambiguous_state_dicts_are_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        spectral = nn.Sequential(nn.utils.spectral_norm(nn.Linear(4, 3)))
    with pytest.raises(InputError, match=r"model.pt: 0.weight_u: 0 was saved with spectral_norm"):
        kk.read_dense_network(save_state_dict(tmp_path, spectral))
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))
    message = "{}: {} was saved with a parametrization of its weight, .*remove_parametrizations"
    for model, key, layer in (
        (nn.Sequential(normed), "0.parametrizations.weight.original0", "0"),
        (normed, "parametrizations.weight.original0", "the layer"),
    ):
        with pytest.raises(InputError, match=message.format(key, layer)):
            kk.read_dense_network(save_state_dict(tmp_path, model))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_exact_in_float32(tmp_path: Path, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    torch_files = pytest.importorskip("safetensors.torch")
    tensors = {
        name: torch.from_numpy(array).to(getattr(torch, dtype)) for name, array in ARRAYS.items()
    }
    torch_files.save_file(tensors, tmp_path / "net.safetensors")
    torch.save({name: tensors[name] for name in tensors}, tmp_path / "net.pt")
    for name in ("net.safetensors", "net.pt"):
        net = kk.read_dense_network(tmp_path / name)
        assert net.dtype == np.float32
        for layer, stem in zip(net.layers, ("2", "10"), strict=True):
            expected = tensors[f"{stem}.weight"].float().numpy().T
            assert (layer.weights().toarray() == expected).all()
        assert (net.layers[0].bias == tensors["2.bias"].float().numpy()).all()


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2", "complex64"])
def test_unsupported_dtypes_are_named(tmp_path: Path, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    torch_files = pytest.importorskip("safetensors.torch")
    weight = torch.ones(3, 2).to(getattr(torch, dtype))
    torch.save({"0.weight": weight}, tmp_path / "net.pt")
    with pytest.raises(InputError, match=rf"net.pt: 0.weight: {dtype} values; convert them"):
        kk.read_dense_network(tmp_path / "net.pt")
    torch_files.save_file({"0.weight": weight}, tmp_path / "net.safetensors")
    short = {"float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "complex64": "C64"}[dtype]
    with pytest.raises(InputError, match=rf"net.safetensors: 0.weight: {short} values; convert"):
        kk.read_dense_network(tmp_path / "net.safetensors")


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
def test_integers_are_exact(tmp_path: Path, dtype: str) -> None:
    values = np.array([[1, 0, 2**24 + 1 if dtype in ("int64", "int32") else 1]]).astype(dtype)
    for suffix in ("npz", "safetensors", "pt"):
        net = kk.read_dense_network(write_file(tmp_path, suffix, {"0.weight": values}))
        assert np.array_equal(net.layers[0].weights().toarray().T, values)


def test_quantized_and_sparse_tensors_are_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"0.weight": torch.eye(3).to_sparse()}, tmp_path / "net.pt")
    with pytest.raises(InputError, match=r"net.pt: (0.weight: torch.sparse_coo|not a state_dict)"):
        kk.read_dense_network(tmp_path / "net.pt")
    torch.save({"0.weight": torch.ones(3, 2, device="meta")}, tmp_path / "net.pt")
    # Versions of PyTorch differ in whether meta tensors are loaded to the CPU.
    with pytest.raises(InputError, match=r"net.pt: "):
        kk.read_dense_network(tmp_path / "net.pt")


@pytest.mark.slow
def test_sizes_are_checked_before_memory_is_allocated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"0.weight": torch.ones(1).expand(10**6, 10**6)}, tmp_path / "net.pt")
    assert (tmp_path / "net.pt").stat().st_size < 10**4
    with pytest.raises(InputError, match=r"net.pt: its tensors need 4000.00 GB of memory"):
        kk.read_dense_network(tmp_path / "net.pt")
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb/data/0", bytes(10**8))
    np.savez_compressed(tmp_path / "bomb.npz", **{"0.weight": np.zeros((10**4, 10**3))})
    monkeypatch.setattr(memory, "free_memory", lambda: 5 * 10**7)
    for name in ("bomb.pt", "bomb.npz"):
        assert (tmp_path / name).stat().st_size < 10**6
        with pytest.raises(InputError, match=f"{name}: its (tensors|arrays) need [0-9.]+ .B of"):
            kk.read_dense_network(tmp_path / name)


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.pt", "a.safetensors"])
def test_the_actual_type_of_a_file_is_named(tmp_path: Path, name: str) -> None:
    if name.endswith(("pt", "safetensors")):
        pytest.importorskip("torch")
        pytest.importorskip("safetensors")
    for content, message in (
        (b"<!DOCTYPE html><html>", "it is an HTML or XML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "it is a pointer of Git LFS"),
        (b"", "it is empty"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=message):
            kk.read_dense_network(tmp_path / name)


def sample(suffix: str, folder: Path) -> bytes:
    """The content of a valid file."""
    if suffix == "npy":
        buffer = io.BytesIO()
        np.save(buffer, ARRAYS["2.weight"])
        return buffer.getvalue()
    return write_file(folder, suffix, ARRAYS).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["npy", "npz", "safetensors", "pt"])
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(tmp_path: Path, suffix: str, data: Any) -> None:
    """Files with changed bytes, truncated files, and random bytes."""
    content = damaged(sample(suffix, tmp_path), data)
    if data.draw(st.integers(0, 9)) == 0:
        content = data.draw(st.binary(max_size=200))
    file = tmp_path / f"damaged.{suffix}"
    file.write_bytes(content)
    check_read_or_refused(kk.read_dense_network, file)
