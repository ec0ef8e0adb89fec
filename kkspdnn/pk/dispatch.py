"""parallel_for, parallel_reduce and parallel_scan on NumPy arrays, with PyKokkos's arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from contextvars import ContextVar
from itertools import count
from pathlib import Path
from typing import Any, NoReturn, cast

from kkspdnn.pk.build.find_runtime import find_runtime_library
from kkspdnn.pk.build.runtime_library import RuntimeLibrary
from kkspdnn.pk.build.toolchain import usable_cores
from kkspdnn.pk.codegen.emit import Generated
from kkspdnn.pk.compiler import generate
from kkspdnn.pk.frontend.workunit import Workunit
from kkspdnn.pk.policy import ExecutionSpace, Policy, RangePolicy, TeamPolicy
from kkspdnn.pk.runtime.kokkos_runtime import get_runtime
from kkspdnn.pk.runtime.program import Program
from kkspdnn.pk.signature import Types
from kkspdnn.pk.system.fork import kokkos_process
from kkspdnn.pk.system.progress_log import log_progress
from kkspdnn.pk.system.termination import map_in_threads
from kkspdnn.pk.types import type_of_argument

Launched = tuple[Workunit, ExecutionSpace, Types]
"""What one compile is for."""

_Wanted = dict[Launched, None]
_collected: ContextVar[_Wanted | None] = ContextVar("collected", default=None)


def parallel_for(label: str, policy: Policy, workunit: Workunit, **arguments: Any) -> None:
    """Run `workunit` once for every work item of `policy`.

    arguments: by name, NumPy arrays (passed without a copy) and numbers. Raises TypeError naming
    the argument that is missing, unknown or does not fit.
    """
    _launch("for", label, policy, workunit, arguments)


def parallel_reduce(label: str, policy: Policy, workunit: Workunit, **arguments: Any) -> Any:
    """Like parallel_for, and gives the sum over the work items' `pk.Acc`."""
    return _launch("reduce", label, policy, workunit, arguments)


def parallel_scan(label: str, policy: Policy, workunit: Workunit, **arguments: Any) -> Any:
    """Run an exclusive or inclusive prefix sum and give its total."""
    return _launch("scan", label, policy, workunit, arguments)


def rehearse(rehearsal: Callable[[], object]) -> tuple[Launched, ...]:
    """All that `rehearsal()` launches, each once, in its order, without compiling anything.

    Every launch is left out: reductions and scans give 0, arrays stay as they are.
    """
    wanted: _Wanted = {}
    token = _collected.set(wanted)
    try:
        rehearsal()
    finally:
        _collected.reset(token)
    return tuple(wanted)


def compile_ahead(rehearsal: Callable[[], object]) -> None:
    """Compile and load all that `rehearsal()` launches, as many at once as there are cores.

    See `rehearse`. Raises what the first failing compile raises.
    """
    todo = [w for w in rehearse(rehearsal) if (w[1], w[2]) not in w[0].programs]
    texts = [generate(*each) for each in todo]
    libraries = {space: find_runtime_library(space) for _, space, _ in todo}
    jobs = [(libraries[space], text) for (_, space, _), text in zip(todo, texts, strict=True)]
    for (workunit, space, types), text, library in zip(
        todo, texts, compile_workunits(jobs), strict=True
    ):
        workunit.programs[space, types] = Program(text, library, get_runtime(space))


def compile_workunits(jobs: Sequence[tuple[RuntimeLibrary, Generated]]) -> list[Path]:
    """The libraries of these workunits, in order; those that the cache lacks are compiled, as many
    at once as there are cores. Raises what the first failing compile raises."""
    found = [library.find_workunit(text) for library, text in jobs]
    total, made = found.count(None), count(1)

    def compiled(job: tuple[RuntimeLibrary, Generated]) -> Path:
        library = job[0].compile_workunit(job[1])
        done = next(made)
        log_progress(f"compiling workunits: {done} of {total}", done, total)
        return library

    missing = [job for job, library in zip(jobs, found, strict=True) if library is None]
    with closing(map_in_threads(compiled, missing, usable_cores())) as libraries:
        return [next(libraries) if each is None else each for each in found]


def _compiled(workunit: Workunit, space: ExecutionSpace, types: Types) -> Program:
    kokkos_process().check()
    generated = generate(workunit, space, types)
    library = find_runtime_library(space).compile_workunit(generated)
    return Program(generated, library, get_runtime(space))


def _launch(
    pattern: str, label: str, policy: Policy, workunit: Workunit, arguments: dict[str, Any]
) -> Any:
    if not isinstance(label, str):
        raise TypeError(f"pk.parallel_{pattern} needs a label first, not {label!r}")
    if not isinstance(workunit, Workunit):
        raise TypeError(f"pk.parallel_{pattern} needs a @pk.workunit, not {workunit!r}")
    if not isinstance(policy, (RangePolicy, TeamPolicy)):
        raise TypeError(f"pk.parallel_{pattern} needs a RangePolicy or TeamPolicy, not {policy!r}")
    types = _types(workunit, arguments)
    wanted = _collected.get()
    if wanted is not None:
        wanted[workunit, policy.space, types] = None
        return 0
    program: Program | None = workunit.programs.get((policy.space, types))
    if program is None:
        program = workunit.programs[policy.space, types] = _compiled(workunit, policy.space, types)
    if program.generated.signature.pattern != pattern:
        raise TypeError(
            f"{workunit.__name__} is a pk.parallel_{program.generated.signature.pattern} workunit, "
            f"not a pk.parallel_{pattern} one"
        )
    return program(label, policy, arguments)


def _types(workunit: Workunit, arguments: Mapping[str, Any]) -> Types:
    """What this launch makes of the parameters without annotation."""
    try:
        kinds = [type_of_argument(arguments[name]) for name in workunit.generic]
    except KeyError as error:
        raise TypeError(f"{workunit.__name__}: argument `{error.args[0]}` is missing") from None
    if None in kinds:
        _refuse(workunit, workunit.generic[kinds.index(None)], arguments)
    return cast(Types, tuple(kinds))


def _refuse(workunit: Workunit, name: str, arguments: Mapping[str, Any]) -> NoReturn:
    value = arguments[name]
    dtype = f" of {value.dtype}" if hasattr(value, "dtype") else ""
    raise TypeError(
        f"{workunit.__name__}: argument `{name}` must be a number or a NumPy array of 1 to 3 "
        f"dimensions of a type that workunits know, not {type(value).__name__}{dtype}"
    )
