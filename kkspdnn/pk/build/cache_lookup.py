"""
Which entry of the cache serves this machine: its own, or one made for others.

A key has three parts: what is compiled (`content`), the processor that it is compiled for, and who
compiled it (`maker`: the compilers' versions and the C library's). This machine's own entry agrees
in all three. Besides, any entry of the same content serves whose processor's instruction sets this
machine has and whose C library is no newer,

- if it was made for a named processor, by `kkspdnn compile --cpu NAME`;
- if it was made for a GPU, whose architecture is always named, and is part of the content;
- if it was made for another machine, copied with its cache, and there is no compiler here.
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

_MAKER = ("compiler", "nvcc", "libc")
_PROCESSOR = ("march", "processor")


def maker(compiler: Compiler, nvcc: str | None = None) -> dict[str, str]:
    """The part of a key that says who compiles; nvcc: its version, where it compiles too."""
    with_nvcc = {} if nvcc is None else {"nvcc": nvcc}
    return {"compiler": compiler.version, **with_nvcc, "libc": libc_version()}


def maker_of(key: Key) -> dict[str, str]:
    """The same part of an entry's key."""
    return {name: key[name] for name in _MAKER if name in key}


def processor_of(key: Key) -> Processor | None:
    """The processor that an entry is for, from its key; None for code for a GPU."""
    return Processor.from_key(*(key[name] for name in _PROCESSOR)) if "march" in key else None


@dataclass(frozen=True)
class Wanted:
    """What to look for in the cache.

    made_by: see `maker`; None where a compiler is missing
    processor: None for code for a GPU
    driver: the newest CUDA that this machine's driver runs; None: any will do
    """

    kind: str
    name: str
    content: Mapping[str, str]
    made_by: Mapping[str, str] | None
    processor: Processor | None
    driver: tuple[int, int] | None = None

    def key(self) -> dict[str, str]:
        """The key of this machine's own entry; there must be a compiler."""
        assert self.made_by is not None
        own = self.processor.key if self.processor is not None else {}
        return {**self.content, **own, **self.made_by}

    def serves(self, key: Key) -> bool:
        """May an entry with this key be used, though it is not this machine's own?"""
        free = (*_MAKER, *_PROCESSOR)
        content = {name: value for name, value in key.items() if name not in free}
        if content != dict(self.content) or not _loads_with(key.get("libc", "")):
            return False
        if self.driver is not None and self.driver[0] < parse_cuda_version(key.get("nvcc", ""))[0]:
            return False
        made_for = processor_of(key)
        if (made_for is None) != (self.processor is None):
            return False
        if made_for is not None and not made_for.runs_here:
            return False
        return self.made_by is None or made_for is None or made_for.march != "native"


def find(store: Cache, wanted: Wanted) -> tuple[Path, dict[str, str]] | None:
    """The entry that serves best, and its key; None where none does.

    This machine's own comes first, then those with the most instruction sets, of these those of
    this machine's compiler, then those of the newest CUDA.
    """
    candidates = sorted(
        (key for key in store.keys(wanted.kind, wanted.name) if wanted.serves(key)),
        key=lambda key: _rank(key, wanted.made_by),
        reverse=True,
    )
    if wanted.made_by is not None:
        candidates.insert(0, wanted.key())
    for key in candidates:
        place = store.find(wanted.kind, wanted.name, key)
        if place is not None:
            return place, key
    return None


def find_or_build(
    store: Cache,
    kind: str,
    name: str,
    content: Mapping[str, str],
    compiler: Callable[[], Compiler],
    build: Callable[[Path, Compiler, Processor], None],
    processor: Processor | None = None,
) -> Path:
    """The entry of a library that runs here, found, or built with this machine's compiler.

    content: of its key, without compiler and processor; compiler: gives the compiler, or raises
    ToolchainError where there is none, which is raised only if no entry serves. processor: for
    which the library must be made; None: any that this machine runs.
    """
    own, missing = attempt(compiler)
    made_by = maker(own) if own is not None else None
    made_for = processor or native_processor()
    wanted = Wanted(kind, name, content, made_by, made_for)
    found = find(store, wanted) if processor is None else None
    if found is not None:
        return found[0]
    if own is None:
        assert missing is not None
        raise missing
    return store.entry(kind, name, wanted.key(), lambda folder: build(folder, own, made_for))


def attempt(get: Callable[[], T]) -> tuple[T | None, ToolchainError | None]:
    """What `get` gives, or why it cannot: a tool that is missing matters only to a build."""
    try:
        return get(), None
    except ToolchainError as error:
        return None, error


def _rank(key: Key, made_by: Mapping[str, str] | None) -> tuple[int, bool, tuple[int, int]]:
    made_for = processor_of(key)
    sets = len(made_for.instruction_sets) if made_for is not None else 0
    own = made_by is not None and maker_of(key) == dict(made_by)
    # An older CUDA may know the architecture through PTX only.
    return sets, own, parse_cuda_version(key.get("nvcc", ""))


def _loads_with(built: str) -> bool:
    """Does a library that was built with this C library load with this machine's?"""
    name, numbers = _version(built)
    own_name, own_numbers = _version(libc_version())
    return name == own_name and numbers <= own_numbers


def _version(text: str) -> tuple[str, tuple[int, ...]]:
    name, _, number = text.partition(" ")
    return name, tuple(int(each) for each in re.findall(r"\d+", number))
