"""The kernels that are reported on: all fused workunits as the engines launch them, and the
hand-written ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.ceiling.cuda import compile_kernels
from bench.resources.usage import functor_kernel
from kkspdnn.engines.launch_trace import engine_launches
from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build.runtime_library import toolkit
from kkspdnn.pk.codegen.emit import Generated
from kkspdnn.pk.compiler import generate
from kkspdnn.pk.dispatch import compile_workunits
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.types import Scalar, View

HAND = ("kkspdnn_hand_equal", "kkspdnn_hand_fan_in")
"""The kernels of bench/ceiling/ceiling.cu."""

_MODULE = "fused"


@dataclass(frozen=True)
class Compiled:
    """A compiled kernel with a loop over edges.

    dtype, index: the types of activations and of the numbers of input neurons, as NumPy names them
    file: a cubin or shared library; functor: whether the name is that of a workunit, else of the
    kernel itself
    """

    name: str
    arch: str
    dtype: np.dtype[np.generic]
    index: np.dtype[np.generic]
    file: Path
    functor: bool

    def symbol(self, found: Sequence[str]) -> str:
        """Which of the kernels in the file it is. Raises ToolchainError where it is not there."""
        if self.functor:
            return functor_kernel(found, self.name)
        if self.name not in found:
            raise ToolchainError(f"{self.file}: has no kernel {self.name}")
        return self.name


def workunits(arch: str, dtypes: Sequence[str]) -> list[Compiled]:
    """The fused workunits for layers of at most 65,536 neurons, whose indices are uint16, compiled
    for an architecture where the cache lacks them.

    Raises ToolchainError and CacheError.
    """
    launches = [each for d in dtypes for each in engine_launches("cuda", np.dtype(d)).values()]
    units = [
        generate(*launched)
        for launched in dict.fromkeys(launches)  # counts are bytes with every dtype
        if launched[0].__module__.rpartition(".")[2] == _MODULE
    ]
    kit = toolkit(ExecutionSpace.Cuda, arch)
    files = compile_workunits([(kit, unit) for unit in units])
    return [_compiled(unit, arch, file) for unit, file in zip(units, files, strict=True)]


def hand_written(arch: str) -> Iterator[Compiled]:
    """The hand-written kernels, compiled for an architecture; raises as `workunits`."""
    file = compile_kernels(arch)
    for name in HAND:
        yield Compiled(name, arch, np.dtype("float32"), np.dtype("uint16"), file, functor=False)


def compiled_by(arch: str) -> str:
    """The compiler of the workunits and its version, `nvcc release 13.0, V13.0.88`."""
    return toolkit(ExecutionSpace.Cuda, arch).compiled_by


def kokkos_version(arch: str) -> str:
    """The version of the Kokkos whose headers are compiled."""
    return toolkit(ExecutionSpace.Cuda, arch).kokkos_version


def _compiled(unit: Generated, arch: str, file: Path) -> Compiled:
    types = {each.name: each.type for each in unit.signature.parameters}
    # Counts of edges are made of bytes, x; all others have activations, a.
    value = _element(types, ("a", "x"), unit)
    index = _element(types, ("index", "next_index"), unit)
    return Compiled(unit.name, arch, value.numpy, index.numpy, file, functor=True)


def _element(types: Mapping[str, object], names: Sequence[str], unit: Generated) -> Scalar:
    for name in names:
        found = types.get(name)
        if isinstance(found, View):
            return found.element
    raise ToolchainError(
        f"{unit.name}: no array parameter {' or '.join(names)}; "
        "bench/resources/kernels.py must learn what it is called"
    )
