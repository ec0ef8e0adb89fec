"""Input rows from files of all formats, against the arrays that were written."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

import kkspdnn as kk
from kkspdnn.device.memory import Budget, resident_memory
from kkspdnn.errors import InputError
from kkspdnn.io.input_rows import check_rows_shape, read_rows
from tests.io.idx_files import idx

ROWS = np.array([[0, 0.5, 1], [0, 0, 0], [0.25, 0, -2], [1, 1, 0]])


def lines(rows: np.ndarray) -> bytes:
    return "".join(
        f"{row + 1}\t{column + 1}\t{rows[row, column]}\n" for row, column in np.argwhere(rows)
    ).encode()


def written(folder: Path, name: str) -> Path:
    """Write ROWS to a file of this name."""
    path = folder / name
    if name.endswith(".npy"):
        np.save(path, ROWS)
    elif name.startswith("dense"):
        np.savez(path, ROWS)
    elif name.endswith(".npz"):
        sp.save_npz(path, sp.coo_array(ROWS))
    else:
        path.write_bytes(gzip.compress(lines(ROWS)) if name.endswith(".gz") else lines(ROWS))
    return path


@pytest.mark.parametrize("name", ["a.npy", "dense.npz", "sparse.npz", "a.tsv", "a.tsv.gz"])
def test_the_rows_of_every_format(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name)
    inputs = kk.read_rows(path)
    assert inputs.source == f"file {name}"
    assert (inputs.to_dense(np.float64) == ROWS).all()
    assert (kk.read_rows(str(path), 3, 2).to_dense(np.float64) == ROWS[:2]).all()
    assert read_rows(path, rows=0).shape == (0, 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.bool_, np.float16, np.float64, ">f4"])
def test_dense_rows_of_other_types(tmp_path: Path, dtype: str) -> None:
    values = np.arange(6).reshape(2, 3).astype(dtype)
    np.save(tmp_path / "a.npy", np.asfortranarray(values))
    assert (read_rows(tmp_path / "a.npy").to_dense(np.float64) == values.astype(float)).all()


def test_images(tmp_path: Path) -> None:
    raw = np.random.default_rng(0).integers(0, 256, (4, 3, 5), np.uint8)
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx(raw)))
    assert read_rows(path).shape == (4, 15)
    assert read_rows(path, 15, 3).shape == (3, 15)
    with pytest.raises(InputError, match="has rows of 15 neurons, but the network has 16 inputs"):
        read_rows(path, 16)


def test_lines_of_ones_are_bits(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("1\t2\t1\n3\t9\t1\n")
    inputs = read_rows(tmp_path / "a.tsv")
    assert inputs.bits is not None
    assert inputs.shape == (3, 9)
    assert read_rows(tmp_path / "a.tsv", 20).shape == (3, 20)
    # Rows without a line are zero.
    assert read_rows(tmp_path / "a.tsv", 20, 5).shape == (5, 20)


@pytest.mark.parametrize("name", ["a.npy", "dense.npz", "sparse.npz"])
def test_rows_that_do_not_fit(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name)
    with pytest.raises(InputError, match=f"{name}: has rows of 3 neurons, but x has 4 inputs"):
        check_rows_shape(path, 4, None, "x")
    for rows in (5, -1):
        with pytest.raises(InputError, match=rf"rows={rows}: .*{name} has 4 rows; use at most"):
            read_rows(path, 3, rows)
    tight = Budget(resident_memory() + 10)
    with pytest.raises(InputError, match=f"{name}: .* at least memory="):
        read_rows(path, budget=tight)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\t5\t1\n", r"a\.tsv:1: neuron '5' is outside 1\.\.4"),
        ("1\t1\t1\n 2\t1\t1\n", r"a\.tsv:2: image ' 2' is not a whole number"),
        ("1\t1\t1\n1\t1\t2\n", r"a\.tsv:2: neuron 1 of image 1 occurs twice"),
        ("1\t1\tnan\n", r"a\.tsv:1: value 'nan' is not finite"),
        ("1,1,1\n", r"a\.tsv:1: 1 columns; 3 are needed"),
        ("", r"a\.tsv: the file is empty"),
        ("99999999\t1\t1\n", r"a\.tsv:1: image '99999999' is outside 1\.\."),
    ],
)
def test_invalid_lines(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.tsv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_rows(tmp_path / "a.tsv", 4)


def test_other_files_are_refused(tmp_path: Path) -> None:
    for ndim, count in ((1, "1 dimension"), (3, "3 dimensions")):
        np.save(tmp_path / "a.npy", np.ones((2,) * ndim))
        message = rf"a\.npy: has an array of {count}; .* 2: reshape them to \(rows, neurons\)$"
        with pytest.raises(InputError, match=message):
            read_rows(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", [[1.0], [np.inf]])
    with pytest.raises(InputError, match=r"a\.npy: inputs: row 1, column 0 is inf"):
        read_rows(tmp_path / "a.npy")
    np.savez(tmp_path / "b.npz", x=ROWS, y=ROWS)
    message = (
        r"b\.npz: has 2 arrays \(x, y\); one dense array, or a file of scipy\.sparse\.save_npz"
    )
    with pytest.raises(InputError, match=message):
        read_rows(tmp_path / "b.npz")
    np.savez(tmp_path / "b.npz")
    with pytest.raises(InputError, match=r"b\.npz: has 0 arrays; one dense array"):
        read_rows(tmp_path / "b.npz")
    np.save(tmp_path / "c.npy", np.array([[None]]), allow_pickle=True)
    with pytest.raises(InputError, match=r"c\.npy: .*Python objects"):
        read_rows(tmp_path / "c.npy")
    (tmp_path / "rows.csv").write_text("1,2,3\n")
    with pytest.raises(InputError, match=r"rows\.csv: .*input rows are read from \.npy, \.npz"):
        read_rows(tmp_path / "rows.csv")
    for name in ("none.npy", "none.npz", "none.tsv", "none"):
        with pytest.raises(InputError, match=rf"{name}: no such file$"):
            read_rows(tmp_path / name)
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_rows(tmp_path)


def test_an_archive_that_declares_more_than_it_has(tmp_path: Path) -> None:
    """As `huge`, a layer file of 2 KB that declares 10^9 rows."""
    write = {"data": np.ones(3, "f4"), "indices": np.zeros(3, "i4"), "indptr": np.arange(4)}
    np.savez(tmp_path / "a.npz", shape=np.array([10**15, 3]), format=b"csr", **write)
    with pytest.raises(InputError, match=r"a\.npz"):
        read_rows(tmp_path / "a.npz")
