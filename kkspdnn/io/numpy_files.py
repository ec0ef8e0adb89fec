"""
Arrays from .npy and .npz files of others, which may be anything and claim anything.

A header of 100 bytes can claim 10^12 numbers. So what a file really is is looked at first, then the
sizes that headers claim are compared with the bytes that are there and with the memory that is
free, and only then is anything allocated. Pickled objects are never loaded.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import scipy.sparse as sp
from numpy.lib import format as npy
from numpy.typing import NDArray

from kkspdnn.device.memory import Budget
from kkspdnn.errors import InputError

_SPARSE = "a file of scipy.sparse.save_npz"
_DENSE = "a file of numpy.save"
_ARCHIVE = "a file of numpy.savez"
_LARGEST_RATIO = 1032
"""Deflate packs at most so many bytes into one."""
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


@dataclass(frozen=True)
class _Claim:
    """What the header of an array says: its shape, its type and the bytes that both need."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def describe_content(head: bytes) -> str | None:
    """What a file with these first bytes is, in words, or None where they do not tell."""
    if not head:
        return "empty"
    if head.lstrip()[:9].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "an HTML or XML page, perhaps of a failed download"
    return next((text for magic, text in _CONTENTS if head.startswith(magic)), None)


def read_npy(path: Path, budget: Budget) -> NDArray[Any]:
    """
    The array in a .npy file.

    InputError, beginning with the path, for a file that is not there or is something else, for
    objects, for a size that the file does not have, and for more memory than is free.
    """
    claim = _npy_claim(path)
    budget.require(claim.bytes, f"{path}: its numbers")
    try:
        with path.open("rb") as file:
            return npy.read_array(file, allow_pickle=False)
    except MemoryError:
        raise
    except Exception as error:
        raise _unreadable(path, _DENSE, error) from error


def npy_shape(path: Path) -> tuple[int, ...]:
    """The shape that a .npy file claims, and has the bytes for; InputError as in `read_npy`."""
    return _npy_claim(path).shape


def _npy_claim(path: Path) -> _Claim:
    try:
        with path.open("rb") as file:
            _check_content(path, file, (b"\x93NUMPY",), _DENSE)
            claim = _header(file)
            there = path.stat().st_size - file.tell()
    except InputError:
        raise
    except Exception as error:
        raise _unreadable(path, _DENSE, error) from error
    if claim.bytes > there:
        raise InputError(
            f"{path}: not {_DENSE}: it claims {claim.bytes} bytes of numbers, {there} are there"
        )
    return claim


def read_npz(path: Path, budget: Budget) -> dict[str, NDArray[Any]]:
    """The arrays in a .npz file by name; InputError as in `read_npy`."""
    return _arrays(path, budget, _ARCHIVE)


def read_sparse(path: Path, budget: Budget) -> Any:
    """
    The sparse matrix in a .npz file, of whichever of SciPy's formats.

    InputError as in `read_npy`. Memory is needed for what the file holds, not for the shape that it
    claims; indices are not checked.
    """
    _arrays(path, budget, _SPARSE, check_only=True)
    try:
        # NumPy leaves a file that it opened itself open where the content is bad.
        with path.open("rb") as file:
            matrix = sp.load_npz(file)
        # Blocks of any size are the same where there are none, but SciPy would number their cells.
        empty = matrix.format == "bsr" and matrix.data.size == 0
        return sp.coo_array(matrix.shape, dtype=matrix.dtype) if empty else matrix
    except MemoryError:
        raise
    except Exception as error:
        raise _unreadable(path, _SPARSE, error) from error


def sparse_shape(path: Path) -> tuple[int, int]:
    """The shape that a sparse matrix in a .npz file claims; nothing else is read."""
    arrays = _arrays(path, Budget(), _SPARSE, names=("shape",))
    shape = arrays.get("shape")
    if shape is None:
        raise InputError(f"{path}: not {_SPARSE}: no array is called shape")
    if shape.shape != (2,) or shape.dtype.kind not in "iu" or (shape.astype(object) < 0).any():
        raise InputError(f"{path}: not {_SPARSE}: its shape is {shape.tolist()!r:.60}")
    return int(shape[0]), int(shape[1])


def _arrays(
    path: Path,
    budget: Budget,
    wanted: str,
    *,
    names: Iterable[str] | None = None,
    check_only: bool = False,
) -> dict[str, NDArray[Any]]:
    """The arrays of an archive, or those with `names`, or none of them but their sizes checked."""
    try:
        with path.open("rb") as file:
            _check_content(path, file, (b"PK\x03\x04", b"PK\x05\x06"), wanted)
            size = path.stat().st_size
            with zipfile.ZipFile(file) as archive:
                members = [
                    each
                    for each in archive.infolist()
                    if names is None or each.filename.removesuffix(".npy") in names
                ]
                if len({each.filename for each in members}) < len(members):
                    raise ValueError("an array is in it twice")
                claims = [_member_claim(archive, each, size) for each in members]
                total = sum(claim.bytes for claim in claims)
                budget.require(total, f"{path}: its arrays")
                if check_only:
                    return {}
                found = dict[str, NDArray[Any]]()
                for each in members:
                    with archive.open(each) as opened:
                        name = each.filename.removesuffix(".npy")
                        found[name] = npy.read_array(opened, allow_pickle=False)
                return found
    except (InputError, MemoryError):
        raise
    except Exception as error:
        raise _unreadable(path, wanted, error) from error


def _member_claim(archive: zipfile.ZipFile, member: zipfile.ZipInfo, size: int) -> _Claim:
    """ValueError where a member is no array, or claims what its bytes cannot hold."""
    name = member.filename
    if not name.endswith(".npy"):
        raise ValueError(f"{name!r:.60} in it is no array; is it an archive of something else?")
    stored = member.compress_type == zipfile.ZIP_STORED
    most = member.compress_size * (1 if stored else _LARGEST_RATIO)
    if member.compress_size > size or (
        member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        and member.file_size > most
    ):
        raise ValueError(f"{name} claims {member.file_size} bytes, which the file cannot hold")
    with archive.open(member) as opened:
        claim = _header(opened)
        there = member.file_size - opened.tell()
    if claim.bytes != there:
        raise ValueError(f"{name} claims {claim.bytes} bytes of numbers, {there} are there")
    return claim


def _header(file: Any) -> _Claim:
    """The header at the place where a file is; ValueError, or nearly anything, where it is none."""
    version = npy.read_magic(file)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        # Version 3 is for names of fields that are not Latin 1: no numbers.
        raise ValueError(f"version {version} of the .npy format; save plain numbers")
    try:
        shape, _, dtype = readers[version](file)
    except MemoryError as error:
        # Python's parser says so of brackets that are nested too deeply.
        raise ValueError("its header cannot be read") from error
    if dtype.hasobject:
        raise ValueError("Python objects, which could run code; save numbers")
    if any(not isinstance(each, int) or each < 0 for each in shape):
        raise ValueError(f"shape {shape!r:.60} in its header")
    return _Claim(tuple(shape), dtype)


def _check_content(path: Path, file: BinaryIO, magics: tuple[bytes, ...], wanted: str) -> None:
    head = file.read(64)
    file.seek(0)
    if not head.startswith(magics):
        if wanted == _DENSE and head.startswith(b"PK"):
            raise InputError(f"{path}: an .npz archive; numpy.save of one array is needed")
        is_it = describe_content(head)
        said = f": it is {is_it}" if is_it else ": it does not begin as one does"
        raise InputError(f"{path}: not {wanted}{said}")


def _unreadable(path: Path, wanted: str, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path}: no such file")
    if isinstance(error, OSError) and error.strerror:
        return InputError(f"{path}: cannot be read: {error.strerror}")
    # NumPy's, zipfile's and SciPy's readers raise nearly anything where a file is damaged.
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    return InputError(f"{path}: not {wanted}: {said:.200}")
