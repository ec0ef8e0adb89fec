"""
Lines of three numbers, parsed and written by a compiled library where there is one, else by NumPy.

The library is compiled once, in less than a second, and kept in the cache. It accepts the lines
that `kkspdnn.io.tsv_lines` defines, gives the same numbers and names the same first bad line.
"""

from __future__ import annotations

import ctypes
import logging
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kkspdnn.errors import CacheError, ToolchainError
from kkspdnn.io.tsv_lines import Triples, parse_lines, spell_lines
from kkspdnn.model.matrices import Floats
from kkspdnn.pk.build.cache import default_cache
from kkspdnn.pk.build.cache_lookup import find_or_build
from kkspdnn.pk.build.compiler_flags import user_options
from kkspdnn.pk.build.toolchain import COMPILER_OPTIONS, Compiler, host_compiler, run_tool
from kkspdnn.pk.system.instruction_sets import Processor

WORTH_COMPILING = 1 << 16
"""Bytes of text; NumPy reads or writes a shorter one before a library is compiled."""

_SOURCES = tuple(
    Path(__file__).parent / "cpp" / name for name in ("tsv_parser.cpp", "content_hash.cpp")
)
_SHORT_LINE, _LONGEST_LINE = 16, 72  # bytes of a line that is written


def parse_triples(
    text: bytes, lines: int, most: tuple[int, int], dtype: np.dtype[Any]
) -> tuple[Triples, int]:
    """
    The three columns of the lines before the first bad one, and the number of these lines.

    `text` is `lines` whole lines, each with its LF. The first two columns are int32, from 1 to
    `most` (below 2^31), the third is float32 or float64, as `dtype` says.
    """
    library = compiled_library(len(text))
    if library is None:
        return parse_lines(text, most, dtype)
    first, second = np.empty(lines, np.int32), np.empty(lines, np.int32)
    value = np.empty(lines, dtype)
    parse = library[f"kkspdnn_parse_{dtype.name}"]
    parse.restype = ctypes.c_int64
    sizes = (ctypes.c_int64(len(text)), *map(ctypes.c_int32, most))
    good = parse(text, *sizes, *map(_pointer, (first, second, value)))
    return (first[:good], second[:good], value[:good]), good


def spell_triples(
    first: NDArray[np.int64], second: NDArray[np.int64], value: Floats | None
) -> bytes:
    """
    Lines `first TAB second TAB value`, with 1 where `value` is None.

    A finite value is written with the fewest digits that read back as the same number of its type.
    """
    library = compiled_library(first.size * _SHORT_LINE)
    if library is None:
        return spell_lines(first, second, value)
    out = np.empty(first.size * _LONGEST_LINE, np.uint8)
    write = library[f"kkspdnn_write_{'float32' if value is None else value.dtype.name}"]
    write.restype = ctypes.c_int64
    columns = [np.ascontiguousarray(first, np.int64), np.ascontiguousarray(second, np.int64)]
    reals = None if value is None else np.ascontiguousarray(value)
    pointer = ctypes.c_void_p(None) if reals is None else _pointer(reals)
    size = write(*map(_pointer, columns), pointer, ctypes.c_int64(first.size), _pointer(out))
    return out[:size].tobytes()


def compiled_library(size: int) -> ctypes.CDLL | None:
    """The library for `size` bytes of text; None where NumPy is to do the work."""
    return _loaded() if size >= WORTH_COMPILING else None


def parser_library(processor: Processor | None = None) -> Path:
    """
    The compiled library in the cache, compiled where it is not there.

    processor: to compile for; None: any that this machine runs. ToolchainError or CacheError where
    it cannot be compiled or kept.
    """
    sources = {path.name: path.read_text(encoding="ascii") for path in _SOURCES}
    flags = ("-std=c++17", *COMPILER_OPTIONS, "-shared")

    def build(folder: Path, compiler: Compiler, made_for: Processor) -> None:
        for name, source in sources.items():
            (folder / name).write_text(source, encoding="ascii")
        doing = "compiling the parser of text files"
        command = [compiler.path, *made_for.compiler_options(flags), *compiler.user_options]
        run_tool([*command, *sources, "-o", "triples.so"], doing, cwd=folder)

    content = {**sources, "flags": shlex.join([*flags, *user_options()])}
    store, kind, name = default_cache(), "parsers", "triples"
    place = find_or_build(store, kind, name, content, host_compiler, build, processor)
    return place / "triples.so"


def load_parser() -> ctypes.CDLL:
    """
    The compiled library, from the cache where it is there.

    ToolchainError or CacheError where it cannot be compiled, kept or loaded.
    """
    library = parser_library()
    try:
        return ctypes.CDLL(str(library))
    except OSError as error:
        raise ToolchainError(f"cannot load {library}: {error}") from error


@cache
def _loaded() -> ctypes.CDLL | None:
    try:
        return load_parser()
    except (ToolchainError, CacheError) as error:
        logging.getLogger("kkspdnn").warning(
            "text files are read by NumPy, much slower than by the compiled parser: %s", error
        )
        return None


def _pointer(array: NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
