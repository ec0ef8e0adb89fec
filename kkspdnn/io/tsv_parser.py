"""
Parser and writer of lines of three numbers in C++, with NumPy as fallback.

The library is compiled on first use, in less than a second, and kept in the cache. Its results are
those of the functions in `kkspdnn.io.tsv_lines`: the same lines are valid, and numbers are equal.
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
from kkspdnn.io.tsv_lines import Triples, format_lines, parse_lines
from kkspdnn.model.matrices import Floats
from kkspdnn.pk.build.cache import default_cache
from kkspdnn.pk.build.cache_lookup import find_or_build
from kkspdnn.pk.build.compiler_flags import user_options
from kkspdnn.pk.build.toolchain import COMPILER_OPTIONS, Compiler, host_compiler, run_tool
from kkspdnn.pk.system.instruction_sets import Processor

MIN_COMPILED_BYTES = 1 << 16
"""NumPy parses and writes texts of fewer bytes, because that is faster than to compile."""

_SOURCES = tuple(
    Path(__file__).parent / "cpp" / name for name in ("tsv_parser.cpp", "content_hash.cpp")
)
_TYPICAL_LINE_BYTES, _MAX_LINE_BYTES = 16, 72  # of a line that is written


def parse_triples(
    text: bytes, lines: int, largest: tuple[int, int], dtype: np.dtype[Any]
) -> tuple[Triples, int]:
    """
    The three columns of the lines before the first invalid one, and the number of these lines.

    text: `lines` complete lines, each ending in LF
    largest: the largest value of each integer column, below 2^31; the smallest is 1
    dtype: of the third column, float32 or float64
    """
    library = compiled_library(len(text))
    if library is None:
        return parse_lines(text, largest, dtype)
    first, second = np.empty(lines, np.int32), np.empty(lines, np.int32)
    value = np.empty(lines, dtype)
    parse = library[f"kkspdnn_parse_{dtype.name}"]
    parse.restype = ctypes.c_int64
    sizes = (ctypes.c_int64(len(text)), *map(ctypes.c_int32, largest))
    valid = parse(text, *sizes, *map(_pointer, (first, second, value)))
    return (first[:valid], second[:valid], value[:valid]), valid


def format_triples(
    first: NDArray[np.int64], second: NDArray[np.int64], value: Floats | None
) -> bytes:
    """
    Lines `first TAB second TAB value`, as bytes.

    value: finite numbers, written with the fewest digits that are read back as the same number of
    their dtype; None to write 1 in each line
    """
    library = compiled_library(first.size * _TYPICAL_LINE_BYTES)
    if library is None:
        return format_lines(first, second, value)
    out = np.empty(first.size * _MAX_LINE_BYTES, np.uint8)
    write = library[f"kkspdnn_write_{'float32' if value is None else value.dtype.name}"]
    write.restype = ctypes.c_int64
    columns = [np.ascontiguousarray(first, np.int64), np.ascontiguousarray(second, np.int64)]
    reals = None if value is None else np.ascontiguousarray(value)
    pointer = ctypes.c_void_p(None) if reals is None else _pointer(reals)
    size = write(*map(_pointer, columns), pointer, ctypes.c_int64(first.size), _pointer(out))
    return out[:size].tobytes()


def compiled_library(size: int) -> ctypes.CDLL | None:
    """The library for `size` bytes of text, or None if NumPy is to be used."""
    return _loaded() if size >= MIN_COMPILED_BYTES else None


def parser_library(processor: Processor | None = None) -> Path:
    """
    The path of the compiled library in the cache. Compiles it if it is not cached.

    processor: the processor to compile for; None: any that this machine supports

    ToolchainError if it cannot be compiled, CacheError if it cannot be stored.
    """
    sources = {path.name: path.read_text(encoding="ascii") for path in _SOURCES}
    flags = ("-std=c++17", *COMPILER_OPTIONS, "-shared")

    def build(folder: Path, compiler: Compiler, target: Processor) -> None:
        for name, source in sources.items():
            (folder / name).write_text(source, encoding="ascii")
        step = "compiling the parser of text files"
        command = [compiler.path, *target.compiler_options(flags), *compiler.user_options]
        run_tool([*command, *sources, "-o", "triples.so"], step, cwd=folder)

    content = {**sources, "flags": shlex.join([*flags, *user_options()])}
    folder = find_or_build(
        default_cache(), "parsers", "triples", content, host_compiler, build, processor
    )
    return folder / "triples.so"


def load_parser() -> ctypes.CDLL:
    """
    Load the compiled library. Compiles it if it is not cached.

    ToolchainError if it cannot be compiled or loaded, CacheError if it cannot be stored.
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
