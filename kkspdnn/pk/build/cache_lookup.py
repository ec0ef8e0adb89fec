"""Searching the cache for an entry that this machine can use.

The key of an entry has three sections: its content (what is compiled), the processor that it is
compiled for, and the compiler (`compiler_key`: the versions of the compilers and of the C library).
This machine's own entry is equal in all three. Another entry with the same content can be used if
this machine has all instruction sets of its processor, if its C library is not newer than this
machine's, and

- if it was compiled for a named processor, by `kkspdnn compile --cpu NAME`,
- if it was compiled for a GPU, whose architecture is always named and belongs to the content, or
- if it comes from a copied cache and this machine has no compiler.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build.cache import Cache, Key
from kkspdnn.pk.build.nvcc import parse_cuda_version
from kkspdnn.pk.build.toolchain import Compiler
from kkspdnn.pk.system.instruction_sets import Processor, libc_version, native_processor

T = TypeVar("T")

_COMPILER_FIELDS = ("compiler", "nvcc", "libc")
_PROCESSOR_FIELDS = ("march", "processor")


def compiler_key(compiler: Compiler, nvcc: str | None = None) -> dict[str, str]:
    """Return the fields of a key that identify the compilers and the C library.

    nvcc: its version, if it is used
    """
    with_nvcc = {} if nvcc is None else {"nvcc": nvcc}
    return {"compiler": compiler.version, **with_nvcc, "libc": libc_version()}


def compiler_key_of(key: Key) -> dict[str, str]:
    """Return the fields of `compiler_key` in the key of an entry."""
    return {name: key[name] for name in _COMPILER_FIELDS if name in key}


def processor_of(key: Key) -> Processor | None:
    """Return the processor in the key of an entry; None for GPU code."""
    if "march" not in key:
        return None
    return Processor.from_key(*(key[name] for name in _PROCESSOR_FIELDS))


@dataclass(frozen=True)
class CacheQuery:
    """A search for an entry of the cache.

    content: the fields of the key without processor and compiler
    compiler: see `compiler_key`; None if a compiler is missing
    processor: None for GPU code
    driver: the newest CUDA that this machine's driver supports; None accepts any
    """

    category: str
    name: str
    content: Mapping[str, str]
    compiler: Mapping[str, str] | None
    processor: Processor | None
    driver: tuple[int, int] | None = None

    def key(self) -> dict[str, str]:
        """Return the key of this machine's own entry; requires a compiler."""
        assert self.compiler is not None
        processor = self.processor.key if self.processor is not None else {}
        return {**self.content, **processor, **self.compiler}

    def accepts(self, key: Key) -> bool:
        """Return whether this machine can use an entry that is not its own."""
        machine_fields = (*_COMPILER_FIELDS, *_PROCESSOR_FIELDS)
        content = {name: value for name, value in key.items() if name not in machine_fields}
        if content != dict(self.content) or not _libc_is_compatible(key.get("libc", "")):
            return False
        cuda = parse_cuda_version(key.get("nvcc", ""))
        if self.driver is not None and self.driver[0] < cuda[0]:
            return False
        processor = processor_of(key)
        if (processor is None) != (self.processor is None):
            return False
        if processor is not None and not processor.runs_here:
            return False
        return self.compiler is None or processor is None or processor.march != "native"


def find_entry(store: Cache, query: CacheQuery) -> tuple[Path, dict[str, str]] | None:
    """Return the best entry and its key; None if there is none.

    This machine's own entry is preferred, then more instruction sets, then this machine's compiler,
    then the newer CUDA.
    """
    keys = sorted(
        (key for key in store.keys(query.category, query.name) if query.accepts(key)),
        key=lambda key: _preference(key, query.compiler),
        reverse=True,
    )
    if query.compiler is not None:
        keys.insert(0, query.key())
    for key in keys:
        entry = store.find(query.category, query.name, key)
        if entry is not None:
            return entry, key
    return None


def find_or_build(
    store: Cache,
    category: str,
    name: str,
    content: Mapping[str, str],
    get_compiler: Callable[[], Compiler],
    build: Callable[[Path, Compiler, Processor], None],
    processor: Processor | None = None,
) -> Path:
    """Return the entry of a library that this machine can use; build it if there is none.

    content: the fields of its key without processor and compiler
    get_compiler: returns the compiler or raises ToolchainError, which is raised only if a build is
    needed
    processor: to compile for; None accepts any that this machine can run
    """
    compiler, missing = try_find(get_compiler)
    key = compiler_key(compiler) if compiler is not None else None
    target = processor or native_processor()
    query = CacheQuery(category, name, content, key, target)
    match = find_entry(store, query) if processor is None else None
    if match is not None:
        return match[0]
    if compiler is None:
        assert missing is not None
        raise missing
    return store.get_or_build(
        category, name, query.key(), lambda folder: build(folder, compiler, target)
    )


def try_find(find: Callable[[], T]) -> tuple[T | None, ToolchainError | None]:
    """Call `find`; return its result and None, or None and its ToolchainError.

    A missing tool matters only if something must be built.
    """
    try:
        return find(), None
    except ToolchainError as error:
        return None, error


def _preference(key: Key, compiler: Mapping[str, str] | None) -> tuple[int, bool, tuple[int, int]]:
    processor = processor_of(key)
    instruction_sets = len(processor.instruction_sets) if processor is not None else 0
    same_compiler = compiler is not None and compiler_key_of(key) == dict(compiler)
    # An older CUDA may support the architecture as PTX only.
    return instruction_sets, same_compiler, parse_cuda_version(key.get("nvcc", ""))


def _libc_is_compatible(libc: str) -> bool:
    """Return whether a library that was linked with this C library loads with this machine's."""
    name, version = _split_version(libc)
    own_name, own_version = _split_version(libc_version())
    return name == own_name and version <= own_version


def _split_version(text: str) -> tuple[str, tuple[int, ...]]:
    name, _, version = text.partition(" ")
    return name, tuple(int(number) for number in re.findall(r"\d+", version))
