"""`python -m kkspdnn compile`: everything that a run needs, compiled before there is one.

For login nodes and CI, where there is a compiler but no GPU; on a CPU it warms the cache.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import numpy as np

from kkspdnn.choices import SPACES
from kkspdnn.errors import InputError
from kkspdnn.options import Parser
from kkspdnn.pk.dispatch import generate
from kkspdnn.pk.driver import devices
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.runtime import toolkit
from kkspdnn.pk.toolchain import usable_cores
from kkspdnn.rehearsal import engine_launches
from kkspdnn.spaces import EXECUTION_SPACES


def parser() -> Parser:
    """The options of `python -m kkspdnn compile`."""
    made = Parser(
        prog="kkspdnn compile",
        description="Build Kokkos and compile the workunits into the cache, without running any.",
        allow_abbrev=False,
    )
    add = made.add_argument
    add("--space", choices=SPACES, default="openmp", help="execution space (openmp)")
    arch = "what to compile for with --space cuda (the device's own)"
    add("--arch", metavar="sm_XX", help=arch)
    dtype = "what the engines compute in (both)"
    add("--dtype", choices=("float32", "float64"), action="append", help=dtype)
    return made


def compile_all(given: Sequence[str]) -> Iterator[str]:
    """Compile, and give the text that the command prints for these arguments, line by line.

    Raises InputError, ToolchainError, CacheError, and SpaceError where --space cuda has neither an
    --arch nor a device.
    """
    options = parser()
    options.refuse_unknown(given)
    arguments = options.parse_args(given)
    if arguments.arch is not None and arguments.space != "cuda":
        raise InputError(f"--arch {arguments.arch} is for --space cuda; leave it out")
    if arguments.arch is None and arguments.space == "cuda" and not devices():
        raise InputError("--space cuda: there is no device to ask; give --arch, such as sm_90")
    begun = perf_counter()
    kit = toolkit(ExecutionSpace[EXECUTION_SPACES[arguments.space]], arguments.arch)
    target = "" if kit.gpu is None else f" for {kit.gpu.arch}"
    took = f"{perf_counter() - begun:.1f} s"
    yield f"Kokkos {kit.kokkos.version}{target}, {kit.compiled_by}: {took}\n"
    begun = perf_counter()
    launches = [
        each
        for dtype in arguments.dtype or ("float32", "float64")
        for each in engine_launches(arguments.space, np.dtype(dtype)).values()
    ]
    # Workunits without floats are the same for both.
    texts = list({text.text: text for text in (generate(*each) for each in launches)}.values())
    with ThreadPoolExecutor(max_workers=usable_cores()) as pool:
        for text, library in zip(texts, pool.map(kit.workunit, texts), strict=True):
            size = os.path.getsize(library) / 1024
            yield f"  {text.name}: {size:,.0f} KiB\n"
    yield f"{len(texts)} workunits: {perf_counter() - begun:.1f} s\n"
