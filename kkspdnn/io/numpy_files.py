"""
Safe readers of .npy and .npz files from untrusted sources.

A header of 100 bytes can declare 10^12 numbers. So the readers first check the type of the file,
then compare the declared sizes with the bytes of the file and the free memory, and only then
allocate. Pickled objects are never loaded.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import scipy.sparse as sp
from numpy.lib import format as npy
from numpy.typing import NDArray

from kkspdnn.device.memory import Budget
from kkspdnn.errors import InputError, first_line

_SPARSE = "a file of scipy.sparse.save_npz"
_DENSE = "a file of numpy.save"
_ARCHIVE = "a file of numpy.savez"
_LARGEST_RATIO = 1032
"""The maximum compression ratio of Deflate."""

_CONTENTS: tuple[tuple[bytes, str], ...] = (
    (b"\x93NUMPY", "one array of numpy.save"),
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x1f\x8b", "packed with gzip; unpack it first"),
    (b"BZh", "packed with bzip2; unpack it first"),
    (b"\xfd7zXZ\x00", "packed with xz; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd; unpack it first"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"MATLAB ", "a MATLAB file"),
    (b"%%MatrixMarket", "a Matrix Market file; read it with scipy.io.mmread"),
    (b"version https://git-lfs", "a pointer of Git LFS; get the file itself with git lfs pull"),
    (b"\x80", "a Python pickle, which could run code; save the arrays with NumPy"),
)
"""The first bytes of file types, and their names for messages."""


@dataclass(frozen=True)
class _Header:
    """The shape and dtype in the header of an array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def bytes(self) -> int:
        """The number of bytes of the array."""
        return math.prod(self.shape) * self.dtype.itemsize


def describe_content(head: bytes) -> str | None:
    """The type of a file with these first bytes, as text for a message, or None if unknown."""
    if not head:
        return "empty"
    if head.lstrip()[:9].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "an HTML or XML page, perhaps of a failed download"
    return next((text for magic, text in _CONTENTS if head.startswith(magic)), None)


def read_npy(path: Path, budget: Budget) -> NDArray[Any]:
    """
    The array in a .npy file.

    InputError, beginning with the path, if the file is missing or of another type, contains Python
    objects, is smaller than its header declares, or needs more memory than the budget.
    """
    header = _npy_header(path)
    budget.require(header.bytes, f"{path}: its numbers")
    try:
        with path.open("rb") as file:
            return npy.read_array(file, allow_pickle=False)
    except MemoryError:
        raise
    except Exception as error:
        raise _read_error(path, _DENSE, error) from error


def npy_shape(path: Path) -> tuple[int, ...]:
    """The shape in the header of a .npy file. InputError as in `read_npy`."""
    return _npy_header(path).shape


def _npy_header(path: Path) -> _Header:
    """The header of a .npy file, checked against the size of the file."""
    try:
        with path.open("rb") as file:
            _check_content(path, file, (b"\x93NUMPY",), _DENSE)
            header = _read_header(file)
            available = path.stat().st_size - file.tell()
    except InputError:
        raise
    except Exception as error:
        raise _read_error(path, _DENSE, error) from error
    if header.bytes > available:
        raise InputError(
            f"{path}: not {_DENSE}: its header declares {header.bytes} bytes of numbers, but it "
            f"has {available}"
        )
    return header


def read_npz(path: Path, budget: Budget) -> dict[str, NDArray[Any]]:
    """The arrays in a .npz file by name. InputError as in `read_npy`."""
    return _read_arrays(path, budget, _ARCHIVE)


def read_sparse(path: Path, budget: Budget) -> Any:
    """
    The sparse matrix in a .npz file, in any of SciPy's formats. Its indices are not checked.

    The memory depends on the arrays in the file, not on the shape of the matrix. InputError as in
    `read_npy`.
    """
    with _open_archive(path, _SPARSE) as (_, headers):
        budget.require(_total(headers), f"{path}: its arrays")
    try:
        # NumPy does not close a file that it opened itself if the content is invalid.
        with path.open("rb") as file:
            matrix = sp.load_npz(file)
        # Without blocks their size has no effect, but SciPy would compute indices from it.
        empty = matrix.format == "bsr" and matrix.data.size == 0
        return sp.coo_array(matrix.shape, dtype=matrix.dtype) if empty else matrix
    except MemoryError:
        raise
    except Exception as error:
        raise _read_error(path, _SPARSE, error) from error


def sparse_shape(path: Path) -> tuple[int, int]:
    """The shape of the sparse matrix in a .npz file, without reading its other arrays."""
    arrays = _read_arrays(path, Budget(), _SPARSE, names=("shape",))
    shape = arrays.get("shape")
    if shape is None:
        raise InputError(f"{path}: not {_SPARSE}: it has no array named shape")
    if shape.shape != (2,) or shape.dtype.kind not in "iu" or (shape.astype(object) < 0).any():
        raise InputError(f"{path}: not {_SPARSE}: its shape is {shape.tolist()!r:.60}")
    return int(shape[0]), int(shape[1])


def single_array_shape(path: Path) -> tuple[int, ...] | None:
    """
    The shape of the array in a .npz file with one array only, else None.

    Such a file is one of numpy.savez, since every sparse matrix of SciPy takes several arrays.
    InputError as in `read_npy`, and for several arrays without that of the shape of a matrix.
    """
    with _open_archive(path, _SPARSE) as (_, headers):
        if len(headers) != 1 and "shape" not in headers:
            names = f" ({', '.join(headers):.60})" if headers else ""
            raise InputError(
                f"{path}: has {len(headers)} arrays{names}; one dense array, or {_SPARSE}, is "
                "needed"
            )
        return next(iter(headers.values())).shape if len(headers) == 1 else None


def _read_arrays(
    path: Path, budget: Budget, expected: str, names: Iterable[str] | None = None
) -> dict[str, NDArray[Any]]:
    """The arrays of an archive, all or those with `names`.

    expected: the type of file, for messages
    """
    arrays = dict[str, NDArray[Any]]()
    with _open_archive(path, expected, names) as (archive, headers):
        budget.require(_total(headers), f"{path}: its arrays")
        for member in headers:
            with archive.open(f"{member}.npy") as opened:
                arrays[member] = npy.read_array(opened, allow_pickle=False)
    return arrays


def _total(headers: dict[str, _Header]) -> int:
    """The number of bytes of all arrays."""
    return sum(header.bytes for header in headers.values())


@contextmanager
def _open_archive(
    path: Path, expected: str, names: Iterable[str] | None = None
) -> Iterator[tuple[zipfile.ZipFile, dict[str, _Header]]]:
    """
    An archive, and the headers of its arrays by name, all or those with `names`.

    expected: the type of file, for messages

    InputError if the file is not such an archive, also for errors while the block reads it.
    """
    try:
        with path.open("rb") as file:
            _check_content(path, file, (b"PK\x03\x04", b"PK\x05\x06"), expected)
            size = path.stat().st_size
            with zipfile.ZipFile(file) as archive:
                headers = dict[str, _Header]()
                for member in archive.infolist():
                    name = member.filename.removesuffix(".npy")
                    if names is not None and name not in names:
                        continue
                    if name in headers:
                        raise ValueError("two arrays have the same name")
                    headers[name] = _member_header(archive, member, size)
                yield archive, headers
    except (InputError, MemoryError):
        raise
    except Exception as error:
        raise _read_error(path, expected, error) from error


def _member_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo, size: int) -> _Header:
    """
    The header of an array in an archive of `size` bytes.

    ValueError if the member is not an array, or if its sizes do not agree.
    """
    name = member.filename
    if not name.endswith(".npy"):
        raise ValueError(f"its member {name!r:.60} is not an array")
    stored = member.compress_type == zipfile.ZIP_STORED
    max_size = member.compress_size * (1 if stored else _LARGEST_RATIO)
    if member.compress_size > size or (
        member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        and member.file_size > max_size
    ):
        raise ValueError(
            f"{name} declares {member.file_size} bytes, more than the file can contain"
        )
    with archive.open(member) as opened:
        header = _read_header(opened)
        available = member.file_size - opened.tell()
    if header.bytes != available:
        raise ValueError(f"{name} declares {header.bytes} bytes of numbers, but it has {available}")
    return header


def _read_header(file: Any) -> _Header:
    """The header at the position of `file`. ValueError or other exceptions if it is invalid."""
    version = npy.read_magic(file)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        # Version 3 is for structured dtypes with field names that are not Latin 1.
        raise ValueError(f"version {version} of the .npy format; save plain numbers")
    try:
        shape, _, dtype = readers[version](file)
    except MemoryError as error:
        # Python's parser raises MemoryError for brackets that are nested too deeply.
        raise ValueError("its header cannot be read") from error
    if dtype.hasobject:
        raise ValueError("Python objects, which could run code; save numbers")
    if any(not isinstance(length, int) or length < 0 for length in shape):
        raise ValueError(f"shape {shape!r:.60} in its header")
    return _Header(tuple(shape), dtype)


def _check_content(path: Path, file: BinaryIO, magics: tuple[bytes, ...], expected: str) -> None:
    """Raise InputError unless the file begins with one of `magics`."""
    head = file.read(64)
    file.seek(0)
    if not head.startswith(magics):
        if expected == _DENSE and head.startswith(b"PK"):
            raise InputError(f"{path}: an .npz archive; save one array with numpy.save")
        content = describe_content(head)
        reason = f"it is {content}" if content else "its first bytes are those of another format"
        raise InputError(f"{path}: not {expected}: {reason}")


def _read_error(path: Path, expected: str, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path}: no such file")
    if isinstance(error, OSError) and error.strerror:
        return InputError(f"{path}: cannot be read: {error.strerror}")
    # The readers of NumPy, zipfile and SciPy raise many exceptions for a damaged file.
    reason = first_line(error)
    return InputError(f"{path}: not {expected}: {reason:.200}")
