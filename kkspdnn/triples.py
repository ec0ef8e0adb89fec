"""
Lines of three plain numbers, parsed by a page of C++ several times as fast as by Polars.

Compiled once, in a quarter of a second, and kept in the cache. Only a shortcut: where there is no
compiler, or a line is anything but plain, the caller parses the text in another way.
"""

from __future__ import annotations

import ctypes
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kkspdnn.errors import CacheError, ToolchainError
from kkspdnn.matrices import Floats
from kkspdnn.pk.cache import default_cache
from kkspdnn.pk.lookup import find_or_build
from kkspdnn.pk.options import extra_options
from kkspdnn.pk.toolchain import OPTIONS, Compiler, host_compiler, run

WORTH_COMPILING = 1 << 16
"""Bytes; a shorter text is parsed in any way before a library is loaded."""

_SOURCE = Path(__file__).parent / "cpp" / "triples.cpp"

Triples = tuple[NDArray[np.int32], NDArray[np.int32], Floats]


def plain_triples(
    text: bytes, lines: int, most: tuple[int, int], dtype: np.dtype[Any]
) -> Triples | None:
    """
    The three columns, each [lines], of `lines` whole lines; the third is float32 or float64.

    None, which says nothing about the text, unless every line is two whole numbers from 1 to `most`
    (below 2^31) without a sign and a finite number that `dtype` holds, a TAB after each of the
    first two and LF at the end. The third is rounded once, to the nearest number of `dtype`.
    """
    if len(text) < WORTH_COMPILING or (library := _loaded()) is None:
        return None
    first, second = np.empty(lines, np.int32), np.empty(lines, np.int32)
    value = np.empty(lines, dtype)
    parse = library[f"kkspdnn_triples_{dtype.name}"]
    parse.restype = ctypes.c_int64
    sizes = (ctypes.c_int64(len(text)), ctypes.c_int64(lines), *map(ctypes.c_int32, most))
    columns = [ctypes.c_void_p(column.ctypes.data) for column in (first, second, value)]
    return (first, second, value) if parse(text, *sizes, *columns) == lines else None


def load_parser() -> ctypes.CDLL:
    """
    The compiled parser, from the cache where it is there.

    ToolchainError or CacheError where it cannot be compiled, kept or loaded.
    """
    source = _SOURCE.read_text(encoding="ascii")
    flags = ("-std=c++17", *OPTIONS, "-shared")

    def build(folder: Path, compiler: Compiler) -> None:
        (folder / _SOURCE.name).write_text(source, encoding="ascii")
        doing = "compiling the parser of text files"
        run(
            [compiler.path, *flags, *compiler.extra, _SOURCE.name, "-o", "triples.so"],
            doing,
            cwd=folder,
        )

    content = {"source": source, "flags": shlex.join([*flags, *extra_options()])}
    place = find_or_build(default_cache(), "parsers", "triples", content, host_compiler, build)
    library = place / "triples.so"
    try:
        return ctypes.CDLL(str(library))
    except OSError as error:
        raise ToolchainError(f"cannot load {library}: {error}") from error


@cache
def _loaded() -> ctypes.CDLL | None:
    try:
        return load_parser()
    except (ToolchainError, CacheError):
        return None
