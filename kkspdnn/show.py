"""`python -m kkspdnn show`: the C++ that the built-in compiler makes of a workunit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import shorten

import numpy as np

from kkspdnn.choices import SPACES, SpaceName
from kkspdnn.errors import InputError
from kkspdnn.options import Parser
from kkspdnn.pk.disassemble import hot_function
from kkspdnn.pk.dispatch import Launched, generate
from kkspdnn.pk.locate import complete, locate, read_types
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.runtime_library import toolkit
from kkspdnn.pk.types import Scalar, View
from kkspdnn.rehearsal import engine_launches
from kkspdnn.spaces import EXECUTION_SPACES


def parser() -> Parser:
    """The options of `python -m kkspdnn show`."""
    made = Parser(
        prog="kkspdnn show",
        description="Print the C++ that the built-in compiler makes of a workunit.",
        epilog="Without WORKUNIT: the list of the engines' workunits.",
        allow_abbrev=False,
    )
    add = made.add_argument
    own = "one of the engines', or your own as FILE.py:NAME or MODULE:NAME"
    add("workunit", nargs="?", metavar="WORKUNIT", help=own)
    add("--space", choices=SPACES, default="openmp", help="execution space (openmp)")
    dtype = "what the engines compute in (float32)"
    add("--dtype", choices=("float32", "float64"), default="float32", help=dtype)
    types = "of parameters without annotation: x=float32[3],index=uint16[2],zero=float32"
    add("--types", default="", metavar="LIST", help=types)
    assembly = "compile it, and print the machine code of its loop (needs objdump)"
    add("--assembly", action="store_true", help=assembly)
    return made


def show(given: Sequence[str]) -> Iterator[str]:
    """The text that the command prints for these arguments, in parts.

    Raises InputError for a workunit or types that are none, WorkunitError for what the language
    does not take, SpaceError, ToolchainError and CacheError.
    """
    options = parser()
    options.refuse_unknown(given)
    arguments = options.parse_args(given)
    space: SpaceName = arguments.space
    if arguments.assembly and space == "cuda":
        raise InputError(
            "--assembly shows a CPU's machine code; for a GPU's run kkspdnn compile, and cuobjdump "
            "-sass on the workunit.so in the cache"
        )
    types = read_types(arguments.types)
    if arguments.workunit is None:
        yield from _listed(engine_launches(space, np.dtype(arguments.dtype)))
        return
    workunit, where, complete_types = _launched(
        arguments.workunit, space, np.dtype(arguments.dtype), types
    )
    generated = generate(workunit, where, complete_types)
    if arguments.assembly:
        yield hot_function(toolkit(where).workunit(generated), generated.name)
    else:
        yield generated.text


def _launched(
    name: str, space: SpaceName, dtype: np.dtype[np.floating], types: Mapping[str, Scalar | View]
) -> Launched:
    """The workunit, its space and the types of its parameters without annotation."""
    if ":" in name:
        workunit, known = locate(name), {}
    else:
        engines = engine_launches(space, dtype)
        if name not in engines:
            raise InputError(
                f"no workunit {name!r}; choose one of {', '.join(sorted(engines))}, or give your "
                "own as FILE.py:NAME or MODULE:NAME"
            )
        workunit, _, inferred = engines[name]
        known = dict(zip(workunit.generic, inferred, strict=True))
    where = ExecutionSpace[EXECUTION_SPACES[space]]
    return workunit, where, complete(workunit, {**known, **types})


def _listed(launches: Mapping[str, Launched]) -> Iterator[str]:
    for name in sorted(launches):
        workunit = launches[name][0]
        said = shorten(workunit.__doc__ or "", 75, placeholder=" …")
        yield f"{name:<18}{workunit.__module__:<22}{said}\n"
