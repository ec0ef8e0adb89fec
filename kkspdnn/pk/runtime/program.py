"""Launches of a compiled workunit: checks and packs the arguments, and calls its library."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Mapping
from ctypes import addressof
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from kkspdnn.errors import SpaceError, ToolchainError
from kkspdnn.pk.codegen.emit import POLICY_FIELDS, Generated
from kkspdnn.pk.policy import ExecutionSpace, Policy, RangePolicy, TeamPolicy
from kkspdnn.pk.runtime.kokkos_runtime import Runtime
from kkspdnn.pk.signature import Parameter
from kkspdnn.pk.types import Scalar, View, is_gpu_array

Packer = Callable[[Any], tuple[Any, ...]]
"""Checks an argument and converts it to values for `struct.pack`."""

_MAX_HOST_TEAM = 64
"""Kokkos::Impl::HostThreadTeamData::max_team_members, the same in Kokkos 3.4 to 5.x."""

_MAX_CUDA_BLOCK = 1024
"""The maximum number of threads in a CUDA block: team size times vector length."""

_first_byte: Callable[[Any], Any] = ctypes.c_char.from_buffer


class Program:
    """A loaded workunit, compiled for an execution space and the types of its arguments."""

    def __init__(self, generated: Generated, library: Path, runtime: Runtime) -> None:
        self.generated = generated
        self.runtime = runtime
        try:
            loaded = ctypes.CDLL(str(library))
        except OSError as error:
            raise ToolchainError(f"cannot load {library}: {error}") from error
        self._library = loaded  # keeps the library loaded
        self._launch = ctypes.cast(loaded.kkspdnn_launch, ctypes.c_void_p).value or 0
        self._team = generated.signature.team
        device = runtime.device.number if runtime.device is not None else None
        self._packers = [
            (p.name, _packer(generated, p, device)) for p in generated.signature.parameters
        ]
        codes = "".join(_struct_codes(p) for p in generated.signature.parameters)
        self._pack = struct.Struct(f"@{len(POLICY_FIELDS)}qP{codes}").pack
        result = generated.signature.result
        self._result_type = np.ctypeslib.as_ctypes_type(result.numpy) if result else None

    def __call__(self, label: str, policy: Policy, arguments: Mapping[str, Any]) -> Any:
        """Launch the workunit; return the result of a reduction or scan, else None.

        Raises TypeError with the name of an argument that does not match, ValueError if a team is
        too large, and RuntimeError or SpaceError if the launch fails.
        """
        values = self._policy_fields(policy)
        if len(arguments) != len(self._packers):
            self._raise_wrong_names(arguments)
        result = self._result_type() if self._result_type is not None else None
        values.append(addressof(result) if result is not None else 0)
        for name, packer in self._packers:
            try:
                value = arguments[name]
            except KeyError:
                self._raise_wrong_names(arguments)
            values += packer(value)
        # A team of several threads needs that many.
        single_thread_allowed = not isinstance(policy, TeamPolicy) or policy.team_size == 1
        packed = self._pack(*values)
        if not self.runtime.launch(self._launch, label.encode(), packed, single_thread_allowed):
            self._raise_launch_error()
        return result.value if result is not None else None

    def _raise_launch_error(self) -> NoReturn:
        message = f"{self.generated.name}: {self.runtime.last_error()}"
        if self.runtime.device is None:
            raise RuntimeError(message)
        raise SpaceError(f"{message} (device {self.runtime.device.number})")

    def _policy_fields(self, policy: Policy) -> list[int]:
        if isinstance(policy, RangePolicy):
            if self._team:
                raise TypeError(f"{self.generated.name} takes a team: launch it with a TeamPolicy")
            return [policy.begin, max(policy.end, policy.begin), 0, 0]
        if not self._team:
            raise TypeError(f"{self.generated.name} takes an index: launch it with a RangePolicy")
        if policy.team_size > 1:
            self._check_team_size(policy)
        return [0, policy.league_size, policy.team_size, policy.vector_length]

    def _check_team_size(self, policy: TeamPolicy) -> None:
        """Raise ValueError if a team is too large.

        Kokkos would end the process; on a GPU, its exception would not name the limit.
        """
        maximum = min(self.runtime.threads, _MAX_HOST_TEAM)
        if policy.space is ExecutionSpace.Serial:
            maximum = 1
        elif policy.space is ExecutionSpace.Cuda:
            maximum = _MAX_CUDA_BLOCK // policy.vector_length
        if policy.team_size > maximum:
            raise ValueError(
                f"TeamPolicy team_size = {policy.team_size}, but {policy.space.value} supports "
                f"teams of at most {maximum} here: use pk.AUTO"
            )

    def _raise_wrong_names(self, arguments: Mapping[str, Any]) -> NoReturn:
        names = [name for name, _ in self._packers]
        missing = [n for n in names if n not in arguments]
        unknown = [n for n in arguments if n not in names]
        if missing:
            raise TypeError(f"{self.generated.name}: argument `{missing[0]}` is missing")
        raise TypeError(f"{self.generated.name} has no argument `{unknown[0]}`")


def _struct_codes(parameter: Parameter) -> str:
    """Return the format of a parameter for `struct`: of a view its address and its extents."""
    argument_type = parameter.type
    if isinstance(argument_type, View):
        return "P" + "q" * argument_type.rank
    return argument_type.code


def _packer(generated: Generated, parameter: Parameter, device: int | None) -> Packer:
    """Return the packer of a parameter; device: the GPU's number, None on a CPU."""
    argument = f"{generated.name}: argument `{parameter.name}`"
    if isinstance(parameter.type, View):
        written = parameter.name in generated.written
        if device is not None:
            return _gpu_array_packer(argument, parameter.type, written, device)
        return _array_packer(argument, parameter.type, written)
    return _scalar_packer(argument, parameter.type)


def _array_packer(argument: str, view: View, written: bool) -> Packer:
    """Return the packer of a NumPy array.

    argument: the beginning of its error messages; written: whether the workunit writes to it
    """
    dtype, rank = view.element.numpy, view.rank

    def raise_mismatch(value: Any) -> NoReturn:
        if type(value) is not np.ndarray:
            raise TypeError(f"{argument} must be a NumPy array, not {type(value).__name__}")
        if value.dtype != dtype or value.ndim != rank:
            raise TypeError(
                f"{argument} must be {rank}-dimensional {dtype}, "
                f"not {value.ndim}-dimensional {value.dtype}"
            )
        if not value.flags.c_contiguous:
            raise TypeError(f"{argument} is not C-contiguous: pass numpy.ascontiguousarray of it")
        if not value.flags.aligned:
            raise TypeError(f"{argument} is not aligned to its dtype: pass a copy of it")
        raise TypeError(
            f"{argument} is written by the workunit but is read-only: pass a copy of it"
        )

    def pack(value: Any) -> tuple[int, ...]:
        if type(value) is not np.ndarray or value.dtype != dtype or value.ndim != rank:
            raise_mismatch(value)
        flags = value.flags
        if flags.carray and value.size:
            # Four times as fast as __array_interface__, which creates a dictionary.
            return (addressof(_first_byte(value)), *value.shape)
        if not flags.c_contiguous or not flags.aligned or (written and not flags.writeable):
            raise_mismatch(value)
        return (value.__array_interface__["data"][0], *value.shape)

    return pack


def _gpu_array_packer(argument: str, view: View, written: bool, device: int) -> Packer:
    """Return the packer of an array on a GPU with the CUDA Array Interface, version 3.

    CuPy and other packages offer this interface. Parameters as for `_array_packer`.
    """
    dtype, rank = view.element.numpy, view.rank

    def pack(value: Any) -> tuple[int, ...]:
        if not is_gpu_array(value):
            raise TypeError(
                f"{argument} must be an array on the GPU, not {type(value).__name__}: "
                "pass cupy.asarray of it"
            )
        interface = value.__cuda_array_interface__
        shape, strides = interface["shape"], interface.get("strides")
        address, read_only = interface["data"]
        if interface["typestr"] != dtype.str or len(shape) != rank:
            raise TypeError(
                f"{argument} must be {rank}-dimensional {dtype}, "
                f"not {len(shape)}-dimensional {np.dtype(interface['typestr'])}"
            )
        if strides is not None and not _is_contiguous(shape, strides, dtype.itemsize):
            raise TypeError(f"{argument} is not C-contiguous: pass cupy.ascontiguousarray of it")
        if (address or 0) % dtype.itemsize:
            raise TypeError(f"{argument} is not aligned to its dtype: pass a copy of it")
        if written and read_only:
            raise TypeError(
                f"{argument} is written by the workunit but is read-only: pass a copy of it"
            )
        # The interface has no device number; CuPy's arrays have one.
        own_device = getattr(getattr(value, "device", None), "id", device)
        if own_device != device:
            raise TypeError(
                f"{argument} is on device {own_device}, but Kokkos runs on device {device}"
            )
        return (address or 0, *shape)

    return pack


def _is_contiguous(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> bool:
    """Return whether an array is C-contiguous.

    The stride of a dimension with one entry, and all strides of an empty array, may be any.
    """
    expected = itemsize
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size > 1 and stride != expected:
            return 0 in shape
        expected *= size
    return True


def _scalar_packer(argument: str, scalar: Scalar) -> Packer:
    if scalar.is_float:
        return _float_packer(argument, scalar)
    if scalar.is_int:
        return _int_packer(argument, scalar)

    def pack(value: Any) -> tuple[bool]:
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{argument} must be a bool, not {type(value).__name__}")
        return (bool(value),)

    return pack


def _float_packer(argument: str, scalar: Scalar) -> Packer:
    largest, numpy_type = float(np.finfo(scalar.numpy).max), scalar.numpy.type

    def pack(value: Any) -> tuple[float]:
        if type(value) is numpy_type:
            return (value,)
        if type(value) is float and abs(value) <= largest:
            return (value,)
        if isinstance(value, (bool, np.bool_)) or not isinstance(
            value, (int, float, np.integer, np.floating)
        ):
            raise TypeError(f"{argument} must be a number, not {type(value).__name__}")
        try:
            number = float(value)
        except OverflowError:
            raise TypeError(f"{argument} is too large for {scalar.name}") from None
        if abs(number) > largest and abs(number) != float("inf"):
            raise TypeError(f"{argument} = {number} does not fit {scalar.name}")
        return (number,)

    return pack


def _int_packer(argument: str, scalar: Scalar) -> Packer:
    limits = np.iinfo(scalar.numpy)
    smallest, largest = int(limits.min), int(limits.max)

    def pack(value: Any) -> tuple[int]:
        if type(value) is int and smallest <= value <= largest:
            return (value,)
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"{argument} must be a whole number, not {type(value).__name__}")
        number = int(value)
        if not smallest <= number <= largest:
            raise TypeError(
                f"{argument} = {number} does not fit {scalar.name} ({smallest} to {largest})"
            )
        return (number,)

    return pack
