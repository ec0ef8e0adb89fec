"""`python -m kkspdnn compile`: build Kokkos and compile all workunits into the cache.

For login nodes and CI, which have a compiler but no GPU, and to warm the cache on a CPU.
"""

from __future__ import annotations

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
        allow_abbrev=False,
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
    options.refuse_unknown(argv)
    arguments = options.parse_args(argv)
    with ending_at_interrupt():
        from kkspdnn.device.space import EXECUTION_SPACES
        from kkspdnn.engines.launch_trace import all_generated
        from kkspdnn.io.tsv_parser import parser_library
        from kkspdnn.pk.build.find_runtime import find_runtime_library
        from kkspdnn.pk.dispatch import compile_workunits
        from kkspdnn.pk.policy import ExecutionSpace

    if arguments.arch is not None and arguments.space != "cuda":
        raise InputError(f"--arch {arguments.arch} is for --space cuda; leave it out")
    if arguments.arch is None and arguments.space == "cuda" and not devices():
        raise InputError("--space cuda: this machine has no device; give --arch, such as sm_90")
    if arguments.cpu is not None and arguments.space == "cuda":
        raise InputError(f"--cpu {arguments.cpu} is for a CPU; leave it out for --space cuda")
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
