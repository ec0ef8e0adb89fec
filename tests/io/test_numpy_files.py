"""The sizes in the headers of .npy and .npz files are checked before memory is allocated."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from kkspdnn.device import memory
from kkspdnn.errors import InputError
from kkspdnn.io.npz import read_npz_inputs, read_npz_network


def put(folder: Path) -> Path:
    """A network of one layer of ones, 3 x 4."""
    sp.save_npz(folder / "layer-1.npz", sp.csr_array(np.ones((3, 4), np.float32)))
    return folder


def write_matrix(path: Path, shape: tuple[int, ...], **arrays: Any) -> None:
    np.savez(path, shape=np.array(shape), **arrays)


def few_weights(form: str, rows: int, columns: int) -> dict[str, Any]:
    """The arrays of a matrix with three weights of 1, in CSC or COO."""
    index = np.arange(3, dtype=np.int32)
    if form == "csc":
        start = np.minimum(np.arange(columns + 1), 3).astype(np.int32)
        return {"data": np.ones(3, "f4"), "indices": index, "indptr": start, "format": b"csc"}
    return {"data": np.ones(3, "f4"), "row": index, "col": index % columns, "format": b"coo"}


@pytest.mark.parametrize("form", ["csc", "coo"])
def test_memory_is_needed_for_weights_and_outputs_not_for_inputs(tmp_path: Path, form: str) -> None:
    write_matrix(tmp_path / "layer-1.npz", (10**9, 5), **few_weights(form, 10**9, 5))
    tracemalloc.start()
    net = read_npz_network(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 10**7
    tracemalloc.stop()
    assert (net.inputs, net.outputs, net.edges) == (10**9, 5, 3)
    assert net.layers[0].index.tolist() == [0, 1, 2]


def test_more_outputs_than_memory_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 10**9)
    write_matrix(tmp_path / "layer-1.npz", (3, 10**8), **few_weights("coo", 3, 10**8))
    with pytest.raises(InputError, match=r"layer-1\.npz: weights and biases need .* of memory"):
        read_npz_network(tmp_path)
    write_matrix(tmp_path / "rows.npz", (10**8, 5), **few_weights("coo", 10**8, 5))
    with pytest.raises(InputError, match=r"rows\.npz: 100000000 input rows need"):
        read_npz_inputs(tmp_path / "rows.npz")
    monkeypatch.setattr(memory, "free_memory", lambda: 10**11)
    with pytest.raises(InputError, match=r"layer-1\.npz: .* of a budget of"):
        read_npz_network(tmp_path, budget=memory.Budget(memory.resident_memory() + 10**7))


@pytest.mark.parametrize(
    "shape", [(-1, 5), (2**63, 5), (3,), (3, 4, 5), (0, 5), (5, 0), (2**33, 5)]
)
def test_invalid_shapes_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    write_matrix(tmp_path / "layer-1.npz", shape, **few_weights("coo", 5, 5))
    with pytest.raises(InputError, match=r"layer-1\.npz: "):
        read_npz_network(tmp_path)


def test_headers_that_declare_more_than_the_file_has(tmp_path: Path) -> None:
    """A header of 128 bytes that declares 10^12 numbers is refused before memory is allocated."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "<f4", "fortran_order": False, "shape": (10**12,)}
    )
    folder = put(tmp_path)
    (folder / "bias-1.npy").write_bytes(head.getvalue())
    with pytest.raises(
        InputError, match=r"bias-1\.npy: .* declares 4000000000000 bytes .*, but it has 0"
    ):
        read_npz_network(folder)
    (folder / "bias-1.npy").unlink()
    for how in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(folder / "layer-1.npz", "w", how) as archive:
            for name, array in few_weights("coo", 3, 4).items():
                with archive.open(f"{name}.npy", "w") as file:
                    np.lib.format.write_array(file, np.asanyarray(array))
            archive.writestr("shape.npy", head.getvalue())
        with pytest.raises(
            InputError, match=r"layer-1\.npz: .*shape.npy declares 4000000000000 byt"
        ):
            read_npz_network(folder)


def test_impossible_compression_ratios_are_refused(tmp_path: Path) -> None:
    """The directory of a zip archive declares gigabytes for a member of a few bytes."""
    folder = put(tmp_path)
    content = bytearray((folder / "layer-1.npz").read_bytes())
    for at in range(len(content)):
        if content[at : at + 4] == b"PK\x01\x02":
            content[at + 24 : at + 28] = (2**31).to_bytes(4, "little")
    (folder / "layer-1.npz").write_bytes(content)
    with pytest.raises(
        InputError, match="declares 2147483648 bytes, more than the file can contain"
    ):
        read_npz_network(folder)


def test_a_zip_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(
        tmp_path / "rows.npz", **few_weights("coo", 5, 5), shape=(5, 5), a=np.zeros(10**7)
    )
    assert (tmp_path / "rows.npz").stat().st_size < 10**6
    monkeypatch.setattr(memory, "free_memory", lambda: 10**7)
    with pytest.raises(InputError, match=r"rows\.npz: its arrays need 80\.01 MB of memory"):
        read_npz_inputs(tmp_path / "rows.npz")


def test_two_arrays_of_one_name_are_refused(tmp_path: Path) -> None:
    folder = put(tmp_path)
    with (
        pytest.warns(UserWarning, match="Duplicate name"),
        zipfile.ZipFile(folder / "layer-1.npz", "a") as archive,
    ):
        archive.writestr("data.npy", b"")
    with pytest.raises(InputError, match=r"layer-1\.npz: .*two arrays have the same name"):
        read_npz_network(folder)


def test_empty_blocks_of_any_size(tmp_path: Path) -> None:
    blocks = np.zeros((0, 10**9, 5), np.float32)
    arrays = {"indices": np.zeros(0, np.int32), "indptr": np.zeros(2, np.int32)}
    write_matrix(tmp_path / "layer-1.npz", (10**9, 5), data=blocks, format=b"bsr", **arrays)
    net = read_npz_network(tmp_path)
    assert (net.inputs, net.outputs, net.edges) == (10**9, 5, 0)
