"""Launches of workunits with the real PyKokkos.

`pykokkos.parallel_for` takes milliseconds: it infers types, looks for optional packages and makes
the views of all arrays again. `PyKokkosLauncher.parallel_for` calls the compiled function itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from kkspdnn.pk.codegen.pykokkos_source import PyKokkosSource
from kkspdnn.pk.compiler import generate_pykokkos
from kkspdnn.pk.dispatch import (
    Specialization,
    compile_in_parallel,
    infer_types,
    record_launch,
    trace_launches,
)
from kkspdnn.pk.frontend.workunit import Workunit
from kkspdnn.pk.installed.compiled_modules import PyKokkosModules, load_wrapper
from kkspdnn.pk.installed.views import Views
from kkspdnn.pk.policy import ExecutionSpace, Policy, RangePolicy, TeamPolicy
from kkspdnn.pk.runtime.launch_times import Recorders, active_recorders, timed
from kkspdnn.pk.signature import Form, Pattern, Types
from kkspdnn.pk.types import View, infer_type


class PyKokkosLauncher:
    """The part of PyKokkos's API that the engines use, for one execution space.

    Policies are those of the built-in compiler, and workunits its `Workunit` objects.
    """

    RangePolicy = RangePolicy
    TeamPolicy = TeamPolicy

    def __init__(self, modules: PyKokkosModules) -> None:
        """PyKokkos must have been imported."""
        self.modules = modules
        self._views = Views()
        manager = import_module("pykokkos.kokkos_manager")
        space = import_module("pykokkos").ExecutionSpace[modules.space.value]
        self._instance = manager.get_execution_space_instance(space).instance
        self._kernels: dict[tuple[Workunit, Types], _Kernel] = {}
        self._recorders: Recorders = ()
        active_recorders().follow(self._record)

    def parallel_for(
        self, label: str, policy: Policy, workunit: Workunit, /, **arguments: Any
    ) -> None:
        """Run `workunit` once for each work item of `policy`.

        arguments: the parameters by name. Arrays are passed without a copy.

        Raises TypeError naming the argument that is missing, unknown or of another type.
        """
        self._launch("for", label, policy, workunit, arguments)

    def parallel_reduce(
        self, label: str, policy: Policy, workunit: Workunit, /, **arguments: Any
    ) -> Any:
        """Like parallel_for, and return the sum of the `pk.Acc` of all work items."""
        return self._launch("reduce", label, policy, workunit, arguments)

    def parallel_scan(
        self, label: str, policy: Policy, workunit: Workunit, /, **arguments: Any
    ) -> Any:
        """Run a workunit that computes a prefix sum, and return the total."""
        return self._launch("scan", label, policy, workunit, arguments)

    def compile_ahead(self, function: Callable[[], object]) -> None:
        """Compile all workunits that `function()` launches, in parallel on all cores."""
        self.compile_all(trace_launches(function))

    def compile_all(self, launches: Iterable[Specialization]) -> dict[PyKokkosSource, Path]:
        """Compile workunits in parallel on all cores; return their modules by their sources."""
        sources = dict.fromkeys(self._source(each[0], each[2]) for each in launches)
        modules = {source: self.modules.find(source) for source in sources}
        missing = [source for source, module in modules.items() if module is None]
        compiled = zip(missing, compile_in_parallel(self.modules.compile, missing), strict=True)
        return {source: each for source, each in modules.items() if each} | dict(compiled)

    def prepare(
        self, label: str, workunit: Workunit, arguments: Mapping[str, Any], changing: Sequence[str]
    ) -> Callable[[Policy, Sequence[Any]], None]:
        """Return a function that launches a `parallel_for` with these arguments except for
        `changing`, whose values it takes, in order."""
        kernel = self._kernel(workunit, arguments)
        values = kernel.bind(arguments)

        def launch(policy: Policy, new: Sequence[Any]) -> None:
            try:
                kernel.run(label, policy, values | kernel.bind_some(changing, new))
            except TypeError:  # other types than those of the kernel, or an error to report
                every = {**arguments, **dict(zip(changing, new, strict=True))}
                self._launch("for", label, policy, workunit, every)

        return launch

    def close(self) -> None:
        """Release all objects of Kokkos."""
        self._kernels.clear()
        self._views.clear()
        self._instance = None

    def _record(self, recorders: Recorders) -> None:
        """Report the times of launches to these recorders."""
        self._recorders = recorders
        for kernel in list(self._kernels.values()):
            kernel.record(recorders, self._wait)

    @property
    def _wait(self) -> Callable[[], object] | None:
        """A function that waits for the GPU; None on a CPU, where a launch waits."""
        if self.modules.space is not ExecutionSpace.Cuda:
            return None
        wait: Callable[[], object] = import_module("cupy").cuda.runtime.deviceSynchronize
        return wait

    def _source(self, workunit: Workunit, types: Types) -> PyKokkosSource:
        return generate_pykokkos(workunit, self.modules.space, types)

    def _launch(
        self,
        pattern: Pattern,
        label: str,
        policy: Policy,
        workunit: Workunit,
        arguments: Mapping[str, Any],
    ) -> Any:
        if record_launch(pattern, policy, workunit, arguments):
            return 0
        workunit = workunit.in_form(Form(pattern, policy.rank))
        kernel = self._kernel(workunit, arguments)
        values = kernel.bind(arguments)
        try:
            return kernel.run(label, policy, values)
        except TypeError:
            kernel.check_arguments(arguments)
            raise

    def _kernel(self, workunit: Workunit, arguments: Mapping[str, Any]) -> _Kernel:
        """Return a workunit for the types of these arguments; compile it if it is new."""
        key = workunit, infer_types(workunit, arguments)
        kernel = self._kernels.get(key)
        if kernel is None:
            source = self._source(*key)
            wrapper = load_wrapper(self.modules.compile(source), source.function)
            kernel = self._kernels[key] = _Kernel(source, wrapper, self._views, self._instance)
            if self._recorders:
                kernel.record(self._recorders, self._wait)
        return kernel


class _Kernel:
    """A loaded workunit."""

    def __init__(
        self, source: PyKokkosSource, wrapper: Callable[..., Any], views: Views, instance: Any
    ) -> None:
        """instance: PyKokkos's object of the execution space."""
        self._source = source
        self._wrapper = self._launch = wrapper
        self._view_of = views.of
        parameters = source.signature.parameters
        self._views = frozenset(p.name for p in parameters if isinstance(p.type, View))
        self._names = {p.name for p in parameters}
        self._fixed = {
            "pk_exec_space_instance": instance,
            "pk_randpool_seed": 0,
            "pk_randpool_num_states": 0,
        }

    def bind(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of the compiled function: views instead of arrays.

        Raises TypeError naming the argument that is missing, unknown or of another type.
        """
        if arguments.keys() != self._names:
            self.check_arguments(arguments)
        try:
            return self._fixed | self.bind_some(arguments, arguments.values())
        except (AttributeError, TypeError):
            self.check_arguments(arguments)
            raise

    def bind_some(self, names: Iterable[str], values: Iterable[Any]) -> dict[str, Any]:
        """Return some of the arguments of the compiled function, without checks."""
        views, view_of = self._views, self._view_of
        return {
            name: view_of(value) if name in views else value
            for name, value in zip(names, values, strict=True)
        }

    def run(self, label: str, policy: Policy, values: dict[str, Any]) -> Any:
        """Launch the workunit; return the result of a reduction or scan, else None.

        values: of all parameters, from `bind`

        Raises TypeError if an array or a number has another type than its parameter.
        """
        values["pk_kernel_name"] = label
        if isinstance(policy, TeamPolicy):
            values["pk_league_size"] = policy.league_size
            values["pk_team_size"] = policy.team_size or -1  # -1 lets Kokkos choose
            values["pk_vector_length"] = policy.vector_length
        else:
            values["pk_threads_begin"] = policy.begin
            values["pk_threads_end"] = max(policy.begin, policy.end)
        try:
            return self._launch(**values)
        except RuntimeError as error:
            if "Unable to cast" not in str(error):
                raise
            raise TypeError(f"{self._source.name}: {error}") from error

    def record(self, recorders: Recorders, wait: Callable[[], object] | None) -> None:
        """Report the times of launches to these recorders; wait: see `timed`."""
        self._launch = timed(
            self._wrapper, lambda **values: values["pk_kernel_name"], recorders, wait
        )

    def check_arguments(self, arguments: Mapping[str, Any]) -> None:
        """Raise TypeError naming the first argument that does not match its parameter."""
        name, parameters = self._source.name, self._source.signature.parameters
        for parameter in parameters:
            if parameter.name not in arguments:
                raise TypeError(f"{name}: argument `{parameter.name}` is missing")
            value, type_ = arguments[parameter.name], parameter.type
            if isinstance(type_, View) and infer_type(value) != type_:
                dtype, rank = getattr(value, "dtype", None), getattr(value, "ndim", None)
                given = type(value).__name__ if dtype is None else f"{rank} of {dtype}"
                raise TypeError(
                    f"{name}: argument `{parameter.name}` must be an array of {type_.rank} "
                    f"dimension(s) of {type_.element.dtype}, not {given}"
                )
            if isinstance(type_, View) and not value.flags.c_contiguous:
                raise TypeError(
                    f"{name}: argument `{parameter.name}` is not C-contiguous; pass "
                    "numpy.ascontiguousarray of it"
                )
        unknown = arguments.keys() - self._names
        if unknown:
            raise TypeError(f"{name} has no argument `{min(unknown)}`")
