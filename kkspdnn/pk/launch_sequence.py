"""Launches of several workunits, one after the other, that are made many times."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kkspdnn.pk.arrays import shared_array
from kkspdnn.pk.dispatch import current_trace, pack_launch, parallel_for
from kkspdnn.pk.frontend.workunit import Workunit
from kkspdnn.pk.runtime.kokkos_runtime import Runtime, get_runtime
from kkspdnn.pk.runtime.packers import Packer
from kkspdnn.pk.runtime.program import Program
from kkspdnn.pk.system.debug_mode import debug_mode


@dataclass(frozen=True, eq=False)
class Launch:
    """A `parallel_for` with its arguments.

    changing: by the name of an argument, the name of a value of `LaunchSequence.__call__`
    """

    label: str
    policy: Any
    workunit: Workunit
    arguments: Mapping[str, Any]
    changing: Mapping[str, str]


class LaunchSequence:
    """Launches in a fixed order that one native call makes.

    The first call checks and packs all arguments, later calls those that change. No array may be
    resized or change its shape, dtype or flags in place. A call with other types of arguments is
    like the first one. One thread at a time may make a call. The real PyKokkos, and debug mode,
    make one launch after the other.

    As `Space.prepare_thread` does, a call sets the default floating-point mode in all threads.
    """

    def __init__(self, label: str, launches: Sequence[Launch], values: Sequence[str] = ()) -> None:
        """label: of the native call, for `time_launches`
        launches: at least one, all in one execution space
        values: the names of those of a call

        Of a fixed argument that is a `pk.View`, all calls use the array that it has now.
        """
        self._label = label.encode()
        self._values = tuple(values)
        self._launches = [
            (each, {name: shared_array(value) for name, value in each.arguments.items()})
            for each in launches
        ]
        self._native: _NativeCall | None = None

    def __call__(self, pk: Any, *values: Any) -> None:
        """Make the launches.

        pk: the module of PyKokkos, or the launcher of the real package
        values: of the changing arguments, in the order of their names

        Raises the errors of `parallel_for`.
        """
        is_builtin = pk.parallel_for is parallel_for and current_trace.get() is None
        if is_builtin and self._native is not None and self._native.run(self._label, values):
            return
        named = dict(zip(self._values, values, strict=True))
        launches = [
            (launch, {**fixed, **{name: named[key] for name, key in launch.changing.items()}})
            for launch, fixed in self._launches
        ]
        if is_builtin:
            get_runtime(launches[0][0].policy.space).reset_float_modes()
        for launch, arguments in launches:
            pk.parallel_for(launch.label, launch.policy, launch.workunit, **arguments)
        if is_builtin and not debug_mode():
            self._native = self._pack(launches)

    def _pack(self, launches: Sequence[tuple[Launch, Mapping[str, Any]]]) -> _NativeCall:
        packed: list[_PackedLaunch] = []
        for launch, arguments in launches:
            changing = {name: self._values.index(key) for name, key in launch.changing.items()}
            packed.append(_PackedLaunch.of(launch, arguments, changing))
        return _NativeCall(packed)


@dataclass(frozen=True, eq=False)
class _PackedLaunch:
    """A launch that was made once, with its arguments as the launcher reads them.

    changing: for each changing argument the index of its value, its packer, and the offset and
    format of its fields
    """

    program: Program
    label: ctypes.Array[ctypes.c_char]
    arguments: ctypes.Array[ctypes.c_char]
    single_thread: bool | None
    changing: Sequence[tuple[int, Packer, int, struct.Struct]]

    @classmethod
    def of(
        cls, launch: Launch, arguments: Mapping[str, Any], changing: Mapping[str, int]
    ) -> _PackedLaunch:
        program, fields = pack_launch("for", launch.policy, launch.workunit, arguments)
        packed = program.packed_arguments(launch.policy, fields)
        return cls(
            program,
            ctypes.create_string_buffer(launch.label.encode()),
            ctypes.create_string_buffer(packed, len(packed)),
            launch.policy.single_thread,
            [
                (index, *program.field_of(name, type(arguments[name])))
                for name, index in changing.items()
            ],
        )


class _NativeCall:
    """The packed arguments of `kkspdnn_launch_all`."""

    def __init__(self, launches: Sequence[_PackedLaunch]) -> None:
        self._launches = launches  # keeps the buffers whose addresses are packed
        self._runtime: Runtime = launches[0].program.runtime
        self._changing = [
            (index, pack, each.arguments, offset, format_.pack_into)
            for each in launches
            for index, pack, offset, format_ in each.changing
        ]
        singles = [each.single_thread for each in launches]
        self._single_thread = None if None in singles else all(singles)
        fields = [
            field
            for each in launches
            for field in (
                each.program.launcher,
                ctypes.addressof(each.label),
                ctypes.addressof(each.arguments),
            )
        ]
        self._failed = ctypes.c_int64()
        failed = ctypes.addressof(self._failed)
        self._packed = struct.pack(f"@qP{len(fields)}P", len(launches), failed, *fields)

    def run(self, label: bytes, values: Sequence[Any]) -> bool:
        """Make the launches. Return False if none was made, because a value has another type than
        that of the first call, or is missing.

        Raises InputError, RuntimeError or SpaceError if a launch fails.
        """
        try:
            for index, pack, buffer, offset, pack_into in self._changing:
                pack_into(buffer, offset, *pack(values[index]))
        except (AttributeError, IndexError, OverflowError, TypeError, struct.error):
            return False
        runtime = self._runtime
        if not runtime.launch(runtime.launch_all, label, self._packed, self._single_thread):
            self._launches[self._failed.value].program.raise_launch_error()
        return True
