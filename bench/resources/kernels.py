"""The kernels of the report: all fused workunits of the engines, and the hand-written kernels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.ceiling.cuda import compile_kernels
from bench.resources.usage import functor_kernel
from kkspdnn.engines.launch_trace import engine_launches
from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build.find_runtime import find_runtime_library
from kkspdnn.pk.codegen.emit import Generated
from kkspdnn.pk.compiler import generate
from kkspdnn.pk.dispatch import compile_workunits
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.types import Scalar, View

HAND_WRITTEN = ("kkspdnn_hand_equal", "kkspdnn_hand_fan_in")
"""The kernels of bench/ceiling/ceiling.cu."""

_MODULES = ("first_layer", "fused", "groups")


@dataclass(frozen=True)
class Compiled:
    """A compiled kernel with a loop over edges.

    dtype, index: NumPy dtypes of activations and indices
    file: cubin or shared library
    functor: `name` is that of a workunit; otherwise it is that of the kernel itself
    """

    name: str
    arch: str
    dtype: np.dtype[np.generic]
    index: np.dtype[np.generic]
    file: Path
    functor: bool

    def symbol(self, symbols: Sequence[str]) -> str:
        """Return its symbol among those of the file. Raises ToolchainError if it is missing."""
        if self.functor:
            return functor_kernel(symbols, self.name)
        if self.name not in symbols:
            raise ToolchainError(f"{self.file}: no kernel {self.name}")
        return self.name


def workunits(arch: str, dtypes: Sequence[str]) -> list[Compiled]:
    """Return the fused workunits for an architecture, compiled if they are not in the cache.

    They are the variants for layers of at most 65,536 neurons, whose indices are uint16. Raises
    ToolchainError and CacheError.
    """
    launches = [
        launch for dtype in dtypes for launch in engine_launches("cuda", np.dtype(dtype)).values()
    ]
    units = [
        generate(*launch)
        for launch in dict.fromkeys(launches)  # counts are bytes for each dtype
        if launch[0].__module__.rpartition(".")[2] in _MODULES
    ]
    runtime_library = find_runtime_library(ExecutionSpace.Cuda, arch)
    files = compile_workunits([(runtime_library, unit) for unit in units])
    return [_compiled(unit, arch, file) for unit, file in zip(units, files, strict=True)]


def hand_written(arch: str) -> Iterator[Compiled]:
    """Return the hand-written kernels for an architecture; raises as `workunits`."""
    file = compile_kernels(arch)
    for name in HAND_WRITTEN:
        yield Compiled(name, arch, np.dtype("float32"), np.dtype("uint16"), file, functor=False)


def compiled_by(arch: str) -> str:
    """Return the compiler of the workunits, such as `nvcc release 13.0, V13.0.88`."""
    return find_runtime_library(ExecutionSpace.Cuda, arch).compiled_by


def kokkos_version(arch: str) -> str:
    """Return the version of Kokkos."""
    return find_runtime_library(ExecutionSpace.Cuda, arch).kokkos_version


def _compiled(unit: Generated, arch: str, file: Path) -> Compiled:
    types = {parameter.name: parameter.type for parameter in unit.signature.parameters}
    # The input array is `a` for activations, and `x` (bytes) for counts of edges.
    value = _element(types, ("a", "x"), unit)
    index = _element(types, ("index", "next_index"), unit)
    return Compiled(unit.name, arch, value.numpy, index.numpy, file, functor=True)


def _element(types: Mapping[str, object], names: Sequence[str], unit: Generated) -> Scalar:
    for name in names:
        array = types.get(name)
        if isinstance(array, View):
            return array.element
    raise ToolchainError(
        f"{unit.name}: no array parameter {' or '.join(names)}; "
        "add its name to bench/resources/kernels.py"
    )
