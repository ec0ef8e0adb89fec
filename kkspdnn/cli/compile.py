"""`python -m kkspdnn compile`: build Kokkos and compile all workunits into the cache.

For login nodes and CI, which have a compiler but no GPU, and to warm the cache on a CPU.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from time import perf_counter

from kkspdnn.choices import DTYPES
from kkspdnn.cli.exit_codes import ending_at_interrupt
from kkspdnn.cli.parser import Parser
from kkspdnn.device.space_names import add_space_option
from kkspdnn.errors import InputError
from kkspdnn.pk.system.cuda_driver import devices
from kkspdnn.pk.system.instruction_sets import LEVELS, parse_processor


def parser() -> Parser:
    """Return the parser of `python -m kkspdnn compile`."""
    options = Parser(
        prog="kkspdnn compile",
        description="Build Kokkos and compile the workunits into the cache, without running any.",
        examples=[
            "kkspdnn compile --space openmp",
            "kkspdnn compile --space cuda --arch sm_90 --dtype float32",
        ],
    )
    add = options.add_argument
    add_space_option(options)
    arch = "GPU architecture to compile for with --space cuda (that of the device)"
    add("--arch", metavar="sm_XX", help=arch)
    cpu = (
        "processor to compile for with --space openmp or serial: native, or a level of x86-64, "
        f"{', '.join(LEVELS)}, for machines with another processor (native)"
    )
    add("--cpu", metavar="NAME", help=cpu)
    dtype = "dtype of weights and activations (both)"
    add("--dtype", choices=DTYPES, action="append", help=dtype)
    return options


def compile_all(argv: Sequence[str]) -> Iterator[str]:
    """Compile every workunit that a run in a space may launch; yields the lines to print.

    Raises InputError for options, also for --space cuda without --arch and without a device;
    ToolchainError and CacheError.
    """
    options = parser()
    arguments = options.parse_args(argv)
    with ending_at_interrupt():
        from kkspdnn.device.space import EXECUTION_SPACES
        from kkspdnn.engines.launch_trace import all_generated
        from kkspdnn.io.tsv_parser import parser_library
        from kkspdnn.pk import active_implementation
        from kkspdnn.pk.build.find_runtime import find_runtime_library
        from kkspdnn.pk.dispatch import compile_workunits
        from kkspdnn.pk.policy import ExecutionSpace

    if arguments.arch is not None and arguments.space != "cuda":
        raise InputError(f"--arch {arguments.arch} is for --space cuda; leave it out")
    if arguments.arch is None and arguments.space == "cuda" and not devices():
        raise InputError("--space cuda: this machine has no device; give --arch, such as sm_90")
    if arguments.cpu is not None and arguments.space == "cuda":
        raise InputError(f"--cpu {arguments.cpu} is for a CPU; leave it out for --space cuda")
    if active_implementation() == "pykokkos":
        yield from _compile_with_pykokkos(arguments)
        return
    # Before the build of Kokkos, which takes a minute: an unknown name is refused at once.
    processor = parse_processor(arguments.cpu or "native")
    start = perf_counter()
    runtime_library = find_runtime_library(
        ExecutionSpace[EXECUTION_SPACES[arguments.space]], arguments.arch, processor.march
    )
    cpu = runtime_library.processor
    target = runtime_library.arch if cpu is None else cpu.march
    elapsed = f"{perf_counter() - start:.1f} s"
    version, compiler = runtime_library.kokkos_version, runtime_library.compiled_by
    yield f"Kokkos {version} for {target}, {compiler}: {elapsed}\n"
    start = perf_counter()
    texts = all_generated(arguments.space, arguments.dtype or DTYPES)
    libraries = compile_workunits([(runtime_library, text) for text in texts])
    for text, library in zip(texts, libraries, strict=True):
        size = os.path.getsize(library) / 1024
        yield f"  {text.name}: {size:,.0f} KiB\n"
    if cpu is not None:
        parser_library(processor)
    yield f"{len(texts)} workunits: {perf_counter() - start:.1f} s\n"


def _compile_with_pykokkos(arguments: argparse.Namespace) -> Iterator[str]:
    """Compile with the real PyKokkos, for this machine."""
    with ending_at_interrupt():
        import numpy as np

        from kkspdnn.device.space import open_space
        from kkspdnn.engines.launch_trace import all_launches

    for option, value in (("--arch", arguments.arch), ("--cpu", arguments.cpu)):
        if value is not None:
            raise InputError(
                f"{option} {value} is for the built-in compiler: leave it out, or set "
                "KKSPDNN_PK=builtin; PyKokkos compiles for this machine"
            )
    start = perf_counter()
    space = open_space(arguments.space)
    if space.implementation == "builtin":
        # It said why. The next call finds the same.
        raise InputError(
            "PyKokkos cannot be used here: set KKSPDNN_PK=builtin to compile with the built-in "
            "compiler"
        )
    elapsed = f"{perf_counter() - start:.1f} s"
    yield f"Kokkos {space.kokkos_version} of PyKokkos, {space.compiler}: {elapsed}\n"
    start = perf_counter()
    dtypes = [np.dtype(name) for name in arguments.dtype or DTYPES]
    launches = [each for dtype in dtypes for each in all_launches(space.name, dtype)]
    modules = space.pk.compile_all(launches)
    for source, module in modules.items():
        yield f"  {source.name}: {os.path.getsize(module) / 1024:,.0f} KiB\n"
    yield f"{len(modules)} workunits: {perf_counter() - start:.1f} s\n"
