"""A compiled workunit, loaded: checks the arguments of a launch, packs them and calls it."""

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
from kkspdnn.pk.types import Scalar, View, on_gpu

Packer = Callable[[Any], tuple[Any, ...]]

_LARGEST_TEAM = 64
"""Kokkos::Impl::HostThreadTeamData::max_team_members, the same in 3.4 to 5.x."""

_LARGEST_BLOCK = 1024
"""Threads of a CUDA block: team size times vector length."""

_first_byte: Callable[[Any], Any] = ctypes.c_char.from_buffer


class Program:
    """One workunit, compiled for one execution space and one choice of types."""

    def __init__(self, generated: Generated, library: Path, runtime: Runtime) -> None:
        self.generated = generated
        self.runtime = runtime
        try:
            loaded = ctypes.CDLL(str(library))
        except OSError as error:
            raise ToolchainError(f"cannot load {library}: {error}") from error
        self._library = loaded  # which has to stay
        self._launch = ctypes.cast(loaded.kkspdnn_launch, ctypes.c_void_p).value or 0
        self._team = generated.signature.team
        number = runtime.device.number if runtime.device is not None else None
        self._packers = [
            (p.name, _packer(generated, p, number)) for p in generated.signature.parameters
        ]
        codes = "".join(_codes(p) for p in generated.signature.parameters)
        self._pack = struct.Struct(f"@{len(POLICY_FIELDS)}qP{codes}").pack
        result = generated.signature.result
        self._result_type = np.ctypeslib.as_ctypes_type(result.numpy) if result else None

    def __call__(self, label: str, policy: Policy, arguments: Mapping[str, Any]) -> Any:
        """Run it. Raises TypeError naming the argument that does not fit."""
        values = self._policy_fields(policy)
        if len(arguments) != len(self._packers):
            self._refuse_names(arguments)
        result = self._result_type() if self._result_type is not None else None
        values.append(addressof(result) if result is not None else 0)
        for name, packer in self._packers:
            try:
                value = arguments[name]
            except KeyError:
                self._refuse_names(arguments)
            values += packer(value)
        # A team of several needs that many threads.
        divisible = not isinstance(policy, TeamPolicy) or policy.team_size == 1
        packed = self._pack(*values)
        if not self.runtime.launch(self._launch, label.encode(), packed, divisible):
            self._fail()
        return result.value if result is not None else None

    def _fail(self) -> NoReturn:
        said = f"{self.generated.name}: {self.runtime.last_error()}"
        if self.runtime.device is None:
            raise RuntimeError(said)
        raise SpaceError(f"{said} (device {self.runtime.device.number})")

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
        """Kokkos would end the process; on a GPU it raises an exception that says less."""
        largest = min(self.runtime.threads, _LARGEST_TEAM)
        if policy.space is ExecutionSpace.Serial:
            largest = 1
        elif policy.space is ExecutionSpace.Cuda:
            largest = _LARGEST_BLOCK // policy.vector_length
        if policy.team_size > largest:
            raise ValueError(
                f"TeamPolicy team_size = {policy.team_size}, but {policy.space.value} has teams "
                f"of at most {largest} here: use pk.AUTO"
            )

    def _refuse_names(self, arguments: Mapping[str, Any]) -> NoReturn:
        names = [name for name, _ in self._packers]
        missing = [n for n in names if n not in arguments]
        unknown = [n for n in arguments if n not in names]
        if missing:
            raise TypeError(f"{self.generated.name}: argument `{missing[0]}` is missing")
        raise TypeError(f"{self.generated.name} has no argument `{unknown[0]}`")


def _codes(parameter: Parameter) -> str:
    kind = parameter.type
    return "P" + "q" * kind.rank if isinstance(kind, View) else kind.code


def _packer(generated: Generated, parameter: Parameter, device: int | None) -> Packer:
    where = f"{generated.name}: argument `{parameter.name}`"
    if isinstance(parameter.type, View):
        written = parameter.name in generated.written
        if device is not None:
            return _device_packer(where, parameter.type, written, device)
        return _array_packer(where, parameter.type, written)
    return _scalar_packer(where, parameter.type)


def _array_packer(where: str, view: View, written: bool) -> Packer:
    dtype, rank = view.element.numpy, view.rank

    def refuse(value: Any) -> NoReturn:
        if type(value) is not np.ndarray:
            raise TypeError(f"{where} must be a NumPy array, not {type(value).__name__}")
        if value.dtype != dtype or value.ndim != rank:
            raise TypeError(
                f"{where} must be {rank}-dimensional {dtype}, "
                f"not {value.ndim}-dimensional {value.dtype}"
            )
        if not value.flags.c_contiguous:
            raise TypeError(f"{where} is not C-contiguous: pass numpy.ascontiguousarray of it")
        if not value.flags.aligned:
            raise TypeError(f"{where} is not aligned to its dtype: pass a copy of it")
        raise TypeError(f"{where} is written by the workunit but is read-only: pass a copy of it")

    def pack(value: Any) -> tuple[int, ...]:
        if type(value) is not np.ndarray or value.dtype != dtype or value.ndim != rank:
            refuse(value)
        flags = value.flags
        if flags.carray and value.size:
            # Four times as fast as __array_interface__, which makes a dictionary.
            return (addressof(_first_byte(value)), *value.shape)
        if not flags.c_contiguous or not flags.aligned or (written and not flags.writeable):
            refuse(value)
        return (value.__array_interface__["data"][0], *value.shape)

    return pack


def _device_packer(where: str, view: View, written: bool, device: int) -> Packer:
    """For arrays on a GPU, by the CUDA Array Interface, version 3, which CuPy and others offer."""
    dtype, rank = view.element.numpy, view.rank

    def pack(value: Any) -> tuple[int, ...]:
        if not on_gpu(value):
            raise TypeError(
                f"{where} must be an array on the GPU, not {type(value).__name__}: "
                "pass cupy.asarray of it"
            )
        described = value.__cuda_array_interface__
        shape, strides = described["shape"], described.get("strides")
        address, read_only = described["data"]
        if described["typestr"] != dtype.str or len(shape) != rank:
            raise TypeError(
                f"{where} must be {rank}-dimensional {dtype}, "
                f"not {len(shape)}-dimensional {np.dtype(described['typestr'])}"
            )
        if strides is not None and not _contiguous(shape, strides, dtype.itemsize):
            raise TypeError(f"{where} is not C-contiguous: pass cupy.ascontiguousarray of it")
        if (address or 0) % dtype.itemsize:
            raise TypeError(f"{where} is not aligned to its dtype: pass a copy of it")
        if written and read_only:
            raise TypeError(
                f"{where} is written by the workunit but is read-only: pass a copy of it"
            )
        # The interface does not say on which device the array is; CuPy's arrays do.
        place = getattr(getattr(value, "device", None), "id", device)
        if place != device:
            raise TypeError(f"{where} is on device {place}, but Kokkos runs on device {device}")
        return (address or 0, *shape)

    return pack


def _contiguous(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> bool:
    """Are these the strides of a C-contiguous array? Those of empty or single entries are free."""
    expected = itemsize
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size > 1 and stride != expected:
            return 0 in shape
        expected *= size
    return True


def _scalar_packer(where: str, kind: Scalar) -> Packer:
    if kind.is_float:
        largest, own = float(np.finfo(kind.numpy).max), kind.numpy.type

        def pack_float(value: Any) -> tuple[float]:
            if type(value) is own:
                return (value,)
            if type(value) is float and abs(value) <= largest:
                return (value,)
            if isinstance(value, (bool, np.bool_)) or not isinstance(
                value, (int, float, np.integer, np.floating)
            ):
                raise TypeError(f"{where} must be a number, not {type(value).__name__}")
            try:
                number = float(value)
            except OverflowError:
                raise TypeError(f"{where} is too large for {kind.name}") from None
            if abs(number) > largest and abs(number) != float("inf"):
                raise TypeError(f"{where} = {number} does not fit {kind.name}")
            return (number,)

        return pack_float
    if kind.is_int:
        limits = np.iinfo(kind.numpy)
        least, most = int(limits.min), int(limits.max)

        def pack_int(value: Any) -> tuple[int]:
            if type(value) is int and least <= value <= most:
                return (value,)
            if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
                raise TypeError(f"{where} must be a whole number, not {type(value).__name__}")
            number = int(value)
            if not least <= number <= most:
                raise TypeError(f"{where} = {number} does not fit {kind.name} ({least} to {most})")
            return (number,)

        return pack_int

    def pack_bool(value: Any) -> tuple[bool]:
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{where} must be a bool, not {type(value).__name__}")
        return (bool(value),)

    return pack_bool
