"""Launches of workunits with the real PyKokkos.

`pykokkos.parallel_for` takes 3 ms: it infers types, looks for optional packages and makes the views
of all arrays again. `PyKokkosFront.parallel_for` calls the compiled function itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NoReturn

from kkspdnn.pk.codegen.pykokkos_source import PyKokkosSource
from kkspdnn.pk.compiler import generate_pykokkos
from kkspdnn.pk.dispatch import (
    compile_in_parallel,
    infer_types,
    record_launch,
    trace_launches,
)
from kkspdnn.pk.frontend.workunit import Workunit
from kkspdnn.pk.policy import Policy, RangePolicy, TeamPolicy
from kkspdnn.pk.real.modules import PyKokkosModules, load_wrapper
from kkspdnn.pk.real.views import Views
from kkspdnn.pk.signature import Types
from kkspdnn.pk.types import View, infer_type


class PyKokkosFront:
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

    def parallel_for(
        self, label: str, policy: Policy, workunit: Workunit, /, **arguments: Any
    ) -> None:
        """Run `workunit` once for each work item of `policy`.

        arguments: the parameters by name. Arrays are passed without a copy.

        Raises TypeError naming the argument that is missing, unknown or of another type.
        """
        self._launch(label, policy, workunit, arguments)

    def parallel_reduce(
        self, label: str, policy: Policy, workunit: Workunit, /, **arguments: Any
    ) -> Any:
        """Like parallel_for, and return the sum of the `pk.Acc` of all work items."""
        return self._launch(label, policy, workunit, arguments)

    def parallel_scan(
        self, label: str, policy: Policy, workunit: Workunit, /, **arguments: Any
    ) -> Any:
        """Run a workunit that computes a prefix sum, and return the total."""
        return self._launch(label, policy, workunit, arguments)

    def compile_ahead(self, function: Callable[[], object]) -> None:
        """Compile all workunits that `function()` launches, in parallel on all cores."""
        sources = [self._source(each[0], each[2]) for each in trace_launches(function)]
        missing = [each for each in sources if self.modules.find(each) is None]
        compile_in_parallel(self.modules.compile, missing)

    def _source(self, workunit: Workunit, types: Types) -> PyKokkosSource:
        return generate_pykokkos(workunit, self.modules.space, types)

    def _launch(
        self, label: str, policy: Policy, workunit: Workunit, arguments: Mapping[str, Any]
    ) -> Any:
        if record_launch(workunit, policy.space, arguments):
            return 0
        key = workunit, infer_types(workunit, arguments)
        kernel = self._kernels.get(key)
        if kernel is None:
            source = self._source(*key)
            wrapper = load_wrapper(self.modules.compile(source), source.function)
            kernel = self._kernels[key] = _Kernel(source, wrapper, self._views, self._instance)
        return kernel.launch(label, policy, arguments)


class _Kernel:
    """A loaded workunit."""

    def __init__(
        self, source: PyKokkosSource, wrapper: Callable[..., Any], views: Views, instance: Any
    ) -> None:
        """instance: PyKokkos's object of the execution space."""
        self._source = source
        self._wrapper = wrapper
        self._view_of = views.of
        parameters = source.signature.parameters
        self._views = [p.name for p in parameters if isinstance(p.type, View)]
        self._count = len(parameters)
        self._fixed = {
            "pk_exec_space_instance": instance,
            "pk_randpool_seed": 0,
            "pk_randpool_num_states": 0,
        }

    def launch(self, label: str, policy: Policy, arguments: Mapping[str, Any]) -> Any:
        """Launch the workunit; return the result of a reduction or scan, else None.

        Raises TypeError naming the argument that is missing, unknown or of another type.
        """
        values = {**arguments, **self._fixed, "pk_kernel_name": label}
        if len(arguments) != self._count:
            self._raise_wrong_argument(arguments)
        try:
            for name in self._views:
                values[name] = self._view_of(arguments[name])
        except (KeyError, AttributeError):
            self._raise_wrong_argument(arguments)
        if isinstance(policy, TeamPolicy):
            values["pk_league_size"] = policy.league_size
            values["pk_team_size"] = policy.team_size or -1  # -1 lets Kokkos choose
            values["pk_vector_length"] = policy.vector_length
        else:
            values["pk_threads_begin"] = policy.begin
            values["pk_threads_end"] = max(policy.begin, policy.end)
        try:
            return self._wrapper(**values)
        except RuntimeError:
            # pybind11's message names no argument.
            self._check_arguments(arguments)
            raise

    def _raise_wrong_argument(self, arguments: Mapping[str, Any]) -> NoReturn:
        self._check_arguments(arguments)
        raise AssertionError("all arguments match")

    def _check_arguments(self, arguments: Mapping[str, Any]) -> None:
        """Raise TypeError naming the first argument that does not match its parameter."""
        name, parameters = self._source.name, self._source.signature.parameters
        for parameter in parameters:
            if parameter.name not in arguments:
                raise TypeError(f"{name}: argument `{parameter.name}` is missing")
            value = arguments[parameter.name]
            if isinstance(parameter.type, View) and infer_type(value) != parameter.type:
                raise TypeError(
                    f"{name}: argument `{parameter.name}` must be an array of "
                    f"{parameter.type.rank} dimension(s) of {parameter.type.element.dtype}, "
                    f"not {type(value).__name__}"
                )
        unknown = arguments.keys() - {p.name for p in parameters}
        if unknown:
            raise TypeError(f"{name} has no argument `{min(unknown)}`")
