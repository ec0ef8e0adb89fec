"""parallel_for, parallel_reduce and parallel_scan, with PyKokkos's arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from contextvars import ContextVar
from itertools import count
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

from kkspdnn.errors import KkspdnnError
from kkspdnn.pk.argument_names import check_names
from kkspdnn.pk.build.find_runtime import find_runtime_library
from kkspdnn.pk.build.runtime_library import RuntimeLibrary
from kkspdnn.pk.build.toolchain import usable_cores
from kkspdnn.pk.codegen.emit import Generated
from kkspdnn.pk.compiler import generate
from kkspdnn.pk.frontend.workunit import Workunit
from kkspdnn.pk.launch_form import read_launch
from kkspdnn.pk.policy import ExecutionSpace, Policy, RangePolicy
from kkspdnn.pk.runtime.debug_program import DebugProgram
from kkspdnn.pk.runtime.kokkos_runtime import Runtime, get_runtime
from kkspdnn.pk.runtime.program import NOT_LAUNCHED, Program
from kkspdnn.pk.signature import Form, Pattern, Types
from kkspdnn.pk.system.debug_mode import debug_mode
from kkspdnn.pk.system.fork import kokkos_process
from kkspdnn.pk.system.progress_log import log_progress
from kkspdnn.pk.system.termination import map_in_threads
from kkspdnn.pk.types import infer_type

Specialization = tuple[Workunit, ExecutionSpace, Types]
"""A workunit, the execution space and the types that it is compiled for."""

_Job = TypeVar("_Job")

_Trace = dict[Specialization, None]
current_trace: ContextVar[_Trace | None] = ContextVar("trace", default=None)


def parallel_for(*positional: Any, **arguments: Any) -> None:
    """`parallel_for([label, ]policy, workunit, **arguments)`: run `workunit` once for each work
    item of `policy`.

    label: for profilers; the workunit's name without it or if None
    policy: an integer n is a RangePolicy over 0 … n - 1 in the default space
    arguments: the parameters by name. Arrays are passed without a copy.

    Raises TypeError if the positional arguments are others, or naming the argument that is missing,
    unknown or of another type.
    """
    _launch("for", positional, arguments)


def parallel_reduce(*positional: Any, **arguments: Any) -> Any:
    """Like parallel_for, and return the sum of the `pk.Acc` of all work items.

    An initial value after the workunit must be 0.
    """
    return _launch("reduce", positional, arguments)


def parallel_scan(*positional: Any, **arguments: Any) -> Any:
    """Run a workunit that computes a prefix sum, and return the total.

    An initial value after the workunit must be 0.
    """
    return _launch("scan", positional, arguments)


def trace_launches(function: Callable[[], object]) -> tuple[Specialization, ...]:
    """Return the distinct specializations that `function()` launches, in order of first launch.

    Nothing is compiled or launched: reductions and scans return 0, arrays are not changed.
    """
    trace: _Trace = {}
    token = current_trace.set(trace)
    try:
        function()
    finally:
        current_trace.reset(token)
    return tuple(trace)


def record_launch(
    pattern: Pattern, policy: Policy, workunit: Workunit, arguments: Mapping[str, Any]
) -> bool:
    """Record a launch inside `trace_launches` and return True; elsewhere return False."""
    trace = current_trace.get()
    if trace is None:
        return False
    workunit = workunit.in_form(Form(pattern, policy.rank))
    trace[workunit, policy.space, infer_types(workunit, arguments)] = None
    return True


def compile_ahead(function: Callable[[], object]) -> None:
    """Compile and load all workunits that `function()` launches, in parallel on all cores.

    The function is called once, to trace its launches. Raises the error of the first compile that
    fails.
    """
    todo = [s for s in trace_launches(function) if (s[1], s[2]) not in s[0].programs]
    texts = [generate(*each, debug=debug_mode()) for each in todo]
    libraries = {space: find_runtime_library(space) for _, space, _ in todo}
    jobs = [(libraries[space], text) for (_, space, _), text in zip(todo, texts, strict=True)]
    for (workunit, space, types), text, library in zip(
        todo, texts, compile_workunits(jobs), strict=True
    ):
        workunit.programs[space, types] = _load(text, library, get_runtime(space), workunit.generic)


def compile_workunits(jobs: Sequence[tuple[RuntimeLibrary, Generated]]) -> list[Path]:
    """Return the shared libraries of workunits, in order.

    Those that are not in the cache are compiled in parallel on all cores. Raises the error of the
    first compile that fails.
    """
    cached = [library.find_workunit(text) for library, text in jobs]
    missing = [job for job, library in zip(jobs, cached, strict=True) if library is None]
    compiled = compile_in_parallel(lambda job: job[0].compile_workunit(job[1]), missing)
    return [next(compiled) if each is None else each for each in cached]


def compile_in_parallel(
    compile_job: Callable[[_Job], Path], jobs: Sequence[_Job]
) -> Iterator[Path]:
    """Return the results of compile_job for all jobs, in order, computed on all cores.

    Logs the progress. Raises the error of the first job that fails.
    """
    numbers = count(1)

    def compile_and_log(job: _Job) -> Path:
        result = compile_job(job)
        done = next(numbers)
        log_progress(f"compiling workunits: {done} of {len(jobs)}", done, len(jobs))
        return result

    with closing(map_in_threads(compile_and_log, jobs, usable_cores())) as results:
        return iter(list(results))


def _compile(workunit: Workunit, space: ExecutionSpace, types: Types) -> Program:
    kokkos_process().check()
    generated = generate(workunit, space, types, debug=debug_mode())
    library = find_runtime_library(space).compile_workunit(generated)
    return _load(generated, library, get_runtime(space), workunit.generic)


def _load(
    generated: Generated, library: Path, runtime: Runtime, generic: tuple[str, ...]
) -> Program:
    program = DebugProgram if generated.debug else Program
    return program(generated, library, runtime, generic)


def is_tracing() -> bool:
    """Return whether launches are recorded by `trace_launches`, and not executed."""
    return current_trace.get() is not None


def pack_launch(
    pattern: Pattern, policy: Policy, workunit: Workunit, arguments: Mapping[str, Any]
) -> tuple[Program, Sequence[Any]]:
    """Return the workunit compiled for a launch, and the values of the arguments for its `run`,
    which may refuse them. The first launch with these types compiles the workunit.

    Raises TypeError naming the argument that is missing, unknown or of another type.
    """
    in_form = workunit.in_form(Form(pattern, policy.rank))
    program = _find_program(policy, in_form, arguments)
    fields: Sequence[Any] | None
    try:
        fields = program.pack_again(**arguments)
    except TypeError:
        fields = None
    if fields is None:
        check_names(in_form, arguments)
        fields = program.pack(arguments)
    workunit.last = pattern, policy.rank, policy.space, program
    return program, fields


def _find_program(policy: Policy, workunit: Workunit, arguments: Mapping[str, Any]) -> Program:
    """Return the workunit compiled for a launch; compile it if no launch has done that.

    Raises TypeError if an argument is missing, unknown or has no type in the language.
    """
    types = infer_types(workunit, arguments)
    program: Program | None = workunit.programs.get((policy.space, types))
    if program is None:
        check_names(workunit, arguments)
        program = workunit.programs[policy.space, types] = _compile(workunit, policy.space, types)
    return program


def kernel_registers(workunit: Workunit, space: ExecutionSpace) -> int | None:
    """Return the registers of a thread of a compiled workunit on a GPU: the maximum over the types
    of its arguments. None if it is not compiled, or on a CPU."""
    programs: Any = workunit.programs
    registers = [program.registers for (own, _), program in programs.items() if own is space]
    return max([each for each in registers if each is not None], default=None)


def _launch(pattern: Pattern, positional: tuple[Any, ...], arguments: dict[str, Any]) -> Any:
    """Launch a workunit; at first like its last launch, which takes less time."""
    try:
        count = len(positional)
        if count == 3:
            label, policy, workunit = positional
        elif count == 2:
            (policy, workunit), label = positional, None
        else:
            label, policy, workunit, initial = positional
            if pattern == "for" or type(initial) is not int or initial:
                raise ValueError
        encoded = workunit.label if label is None else label.encode()
        if type(policy) is int:
            policy = RangePolicy(0, policy)
        last_pattern, rank, space, program = workunit.last
        same = rank == policy.rank and space is policy.space and last_pattern == pattern
        fields = program.pack_again(**arguments) if same else None
    except (AttributeError, TypeError, ValueError):
        fields = None
    if fields is None or current_trace.get() is not None:
        return _launch_checked(pattern, positional, arguments)
    result = program.run(encoded, policy, fields)
    if result is NOT_LAUNCHED:
        result = program(encoded, policy, arguments)
    return result


def _launch_checked(
    pattern: Pattern, positional: tuple[Any, ...], arguments: dict[str, Any]
) -> Any:
    label, policy, workunit = read_launch(pattern, positional)
    try:
        if record_launch(pattern, policy, workunit, arguments):
            return 0
        program, fields = pack_launch(pattern, policy, workunit, arguments)
        result = program.run(label.encode(), policy, fields)
        if result is NOT_LAUNCHED:
            result = program(label.encode(), policy, arguments)
        return result
    except KkspdnnError as error:
        # The frames of the compiler would hide the line of the launch.
        raise error.with_traceback(None) from None


def infer_types(workunit: Workunit, arguments: Mapping[str, Any]) -> Types:
    """The types of the parameters without annotation, from the arguments of a launch."""
    if any(name not in arguments for name in workunit.generic):
        check_names(workunit, arguments)
    types = [infer_type(arguments[name]) for name in workunit.generic]
    if None in types:
        _refuse(workunit, workunit.generic[types.index(None)], arguments)
    return cast(Types, tuple(types))


def _refuse(workunit: Workunit, name: str, arguments: Mapping[str, Any]) -> NoReturn:
    value = arguments[name]
    dtype = f" of {value.dtype}" if hasattr(value, "dtype") else ""
    remedy = ": pass .view(numpy.uint8) of it" if dtype == " of bool" else ""
    rank = getattr(value, "ndim", None)
    if isinstance(rank, int) and not 1 <= rank <= 3:
        dtype += f" with {rank} dimensions"
        remedy = ": merge some of them with reshape" if rank else ": pass a number"
    raise TypeError(
        f"{workunit.__name__}: argument `{name}` must be a number or an array of 1 to 3 "
        f"dimensions, of a supported dtype, not {type(value).__name__}{dtype}{remedy}"
    )
