"""Launches of a compiled workunit: checks and packs the arguments, and calls its library."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Collection, Mapping, Sequence
from ctypes import addressof
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np

from kkspdnn.errors import InputError, SpaceError, ToolchainError
from kkspdnn.pk.argument_names import describe_wrong_names
from kkspdnn.pk.arrays import ArrayHolder
from kkspdnn.pk.codegen.emit import Generated, policy_fields
from kkspdnn.pk.codegen.scratch_sizes import CHECK
from kkspdnn.pk.policy import ExecutionSpace, Policy, TeamPolicy
from kkspdnn.pk.runtime.fast_packers import fast_packer
from kkspdnn.pk.runtime.kokkos_runtime import Runtime
from kkspdnn.pk.runtime.packers import Packer, packer, struct_codes
from kkspdnn.pk.runtime.packing_plan import FieldsFunction, PlannedArgument, plan_packing
from kkspdnn.pk.signature import Parameter
from kkspdnn.pk.types import View

_MAX_HOST_TEAM = 64
"""Kokkos::Impl::HostThreadTeamData::max_team_members, the same in Kokkos 3.4 to 5.x."""

NOT_LAUNCHED: Final = object()
"""The result of `Program.run` if `pack` must check the arguments."""


class Program:
    """A loaded workunit, compiled for an execution space and the types of its arguments."""

    def __init__(
        self,
        generated: Generated,
        library: Path,
        runtime: Runtime,
        generic: Collection[str] = (),
    ) -> None:
        """generic: the names of the parameters without annotation.

        Raises ToolchainError if the library cannot be loaded.
        """
        self.generated = generated
        self.runtime = runtime
        try:
            loaded = ctypes.CDLL(str(library))
        except OSError as error:
            raise ToolchainError(f"cannot load {library}: {error}") from error
        self._library = loaded  # keeps the library loaded
        self._launch = ctypes.cast(loaded.kkspdnn_launch, ctypes.c_void_p)
        self._team = generated.signature.team
        self._rank = 0 if self._team else len(generated.signature.items)
        self._device = runtime.device.number if runtime.device is not None else None
        parameters = generated.signature.parameters
        self.packers = [(p, packer(generated, p, self._device)) for p in parameters]
        codes = "".join(struct_codes(p) for p in parameters)
        self._policy_codes = f"{len(policy_fields(generated.signature))}qP"
        self._pack = struct.Struct(f"@{self._policy_codes}{codes}").pack
        result = generated.signature.result
        self._result_type = np.ctypeslib.as_ctypes_type(result.numpy) if result else None
        self._generic = generic
        # Team size and vector length of a policy that passed all checks.
        self._team_shape = 1, 1
        self._plans: dict[tuple[type, ...], FieldsFunction] = {}
        # Like `pack`, but faster, for keyword arguments of the classes of those that `pack` packed
        # last, of which `run` may refuse the values. Raises TypeError if they may have other types.
        self.pack_again: FieldsFunction = _raise_type_error
        # Of templates, by the names and classes of the arguments that change.
        self.layouts: dict[tuple[tuple[str, ...], tuple[type, ...]], Any] = {}

    @cached_property
    def registers(self) -> int | None:
        """The 32-bit registers of a thread of a team's parallel_for on a GPU, else None."""
        count = getattr(self._library, "kkspdnn_registers", None)
        return int(count()) if count is not None else None

    def __call__(self, label: bytes, policy: Policy, arguments: Mapping[str, Any]) -> Any:
        """Check all arguments and launch the workunit. Return as `run`, and raise the errors of
        `pack` and `run`."""
        return self.run(label, policy, self.pack(arguments))

    def pack(self, arguments: Mapping[str, Any]) -> list[Any]:
        """Check all arguments; return their values for `struct.pack`, in order.

        Raises TypeError with the name of an argument that does not match.
        """
        if len(arguments) != len(self.packers):
            self._raise_wrong_names(arguments)
        fields: list[Any] = []
        for parameter, pack in self.packers:
            try:
                value = arguments[parameter.name]
            except KeyError:
                self._raise_wrong_names(arguments)
            fields += pack(value)
        self.pack_again = self._plan_for(arguments)
        return fields

    def run(self, label: bytes, policy: Policy, fields: Sequence[Any]) -> Any:
        """Launch the workunit; return the result of a reduction or scan, NOT_LAUNCHED if
        `struct.pack` refuses a value, else None.

        fields: the values of all arguments for `struct.pack`

        Raises TypeError if the policy does not match, ValueError if a team is too large,
        InputError if its scratch views have a negative extent or are too large, and RuntimeError or
        SpaceError if the launch fails.
        """
        if policy.rank != self._rank or self._team:
            self._check_policy(policy)
        try:
            if self._result_type is None:
                result = None
                packed = self._pack(*policy.fields, 0, *fields)
            else:
                result = self._result_type()
                packed = self._pack(*policy.fields, addressof(result), *fields)
        except (struct.error, OverflowError):
            return NOT_LAUNCHED
        if not self.runtime.launch(self._launch, label, packed, policy.single_thread):
            self.raise_launch_error()
        return result.value if result is not None else None

    @property
    def launcher(self) -> int:
        """The address of the function that launches the workunit with packed arguments."""
        address = self._launch.value
        assert address is not None
        return address

    def packed_arguments(self, policy: Policy, fields: Sequence[Any]) -> bytes:
        """Return the arguments of a launch that was made, packed for `launcher`."""
        return self._pack(*policy.fields, 0, *fields)

    def field_of(self, name: str, cls: type) -> tuple[Packer, int, struct.Struct]:
        """Return the packer of a parameter for arguments of a class, and the offset and the format
        of its fields in `packed_arguments`."""
        before = self._policy_codes
        for parameter, pack in self.packers:
            codes = struct_codes(parameter)
            if parameter.name == name:
                own = struct.Struct(f"@{codes}")
                # Fields begin at a multiple of the size of the first one.
                first = struct.calcsize(f"@{codes[0]}")
                pack = self.fast_packer(parameter, pack, cls) or pack
                return pack, struct.calcsize(f"@{before}{codes[0]}") - first, own
            before += codes
        raise KeyError(name)

    def fast_packer(self, parameter: Parameter, pack: Packer, cls: type) -> Packer | None:
        """Return the packer of a parameter for arguments of this class, see `fast_packer`."""
        return fast_packer(parameter.type, cls, pack, parameter.name in self._generic, self._device)

    def _plan_for(self, arguments: Mapping[str, Any]) -> FieldsFunction:
        """Return the packing of arguments of the classes of these, which passed all checks."""
        classes = tuple(type(arguments[parameter.name]) for parameter, _ in self.packers)
        plan = self._plans.get(classes)
        if plan is None:
            planned = [
                self._planned(parameter, pack, cls)
                for (parameter, pack), cls in zip(self.packers, classes, strict=True)
            ]
            plan = plan_packing(planned, [each.name for each in planned])()
            self._plans[classes] = plan
        return plan

    def _planned(self, parameter: Parameter, pack: Packer, cls: type) -> PlannedArgument:
        view = parameter.type if isinstance(parameter.type, View) else None
        on_host = self._device is None and (cls is np.ndarray or issubclass(cls, ArrayHolder))
        fast = self.fast_packer(parameter, pack, cls)
        return PlannedArgument(parameter.name, cls, fast, view if on_host else None)

    def raise_launch_error(self) -> NoReturn:
        """Raise the error of a failed launch: InputError for scratch views, else RuntimeError, or
        SpaceError on a GPU."""
        check, _, problem = self.runtime.error_line().partition(": ")
        if check == CHECK:
            raise InputError(f"{self.generated.name}: {problem}")
        message = f"{self.generated.name}: {self.runtime.last_error()}"
        if self.runtime.device is None:
            raise RuntimeError(message)
        raise SpaceError(f"{message} (device {self.runtime.device.number})")

    def _check_policy(self, policy: Policy) -> None:
        """Raise TypeError if the policy does not match, and ValueError if a team is too large."""
        if policy.rank != self._rank:
            self._raise_wrong_policy()
        if isinstance(policy, TeamPolicy):
            team_size, vector_length = policy.team_size, policy.vector_length
            if team_size > 1 and (team_size, vector_length) != self._team_shape:
                self._check_team_size(policy)
                self._team_shape = team_size, vector_length

    def _raise_wrong_policy(self) -> NoReturn:
        if self._rank == 0:
            raise TypeError(f"{self.generated.name} takes a team: launch it with a TeamPolicy")
        name = "a RangePolicy" if self._rank == 1 else f"an MDRangePolicy of rank {self._rank}"
        indices = "an index" if self._rank == 1 else f"{self._rank} indices"
        raise TypeError(f"{self.generated.name} takes {indices}: launch it with {name}")

    def _check_team_size(self, policy: TeamPolicy) -> None:
        """Raise ValueError if a team is too large.

        Kokkos would end the process; on a GPU, its exception would not name the limit.
        """
        maximum = min(self.runtime.threads, _MAX_HOST_TEAM)
        if policy.space is ExecutionSpace.Serial:
            maximum = 1
        elif policy.space is ExecutionSpace.Cuda:
            maximum = self.generated.max_block // policy.vector_length
        if policy.team_size > maximum:
            raise ValueError(
                f"TeamPolicy team_size = {policy.team_size}, but {policy.space.value} supports "
                f"teams of at most {maximum} here: use pk.AUTO"
            )

    def _raise_wrong_names(self, arguments: Mapping[str, Any]) -> NoReturn:
        names = [parameter.name for parameter, _ in self.packers]
        raise TypeError(describe_wrong_names(self.generated.name, names, arguments))


def _raise_type_error(**_: Any) -> NoReturn:
    raise TypeError
