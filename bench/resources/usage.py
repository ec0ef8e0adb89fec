"""Parse the output of `cuobjdump -res-usage`: registers and memory of each kernel."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from kkspdnn.errors import ToolchainError

OWN = "own"
"""The value of `Kernel.launch` for a kernel that Kokkos does not launch."""

_KERNEL = re.compile(r"^\s*Function (\S+):\s*\n\s*(REG:\S.*)$", re.MULTILINE)
_FIELD = re.compile(r"(\w+)(?:\[\d+\])?:(\d+)")
_LAUNCH = re.compile(r"cuda_parallel_launch_(local|constant|global)_memory")
_BOUNDS = re.compile(r"LaunchBoundsILj(\d+)ELj(\d+)E")


@dataclass(frozen=True)
class Usage:
    """The registers and memory that ptxas allocates for a kernel.

    registers: 32-bit registers per thread
    stack_bytes: stack frame per thread, in local memory; contains spilled registers
    local_bytes: other local memory per thread; shared_bytes: static shared memory per block
    """

    registers: int
    stack_bytes: int
    local_bytes: int
    shared_bytes: int


def usages(text: str) -> dict[str, Usage]:
    """Return the kernels in the output of `cuobjdump -res-usage`, by their mangled names."""
    kernels = {}
    for kernel in _KERNEL.finditer(text):
        fields = {name: int(value) for name, value in _FIELD.findall(kernel[2])}
        names = ("REG", "STACK", "LOCAL", "SHARED")
        kernels[kernel[1]] = Usage(*(fields[name] for name in names))
    return kernels


def functor_kernel(symbols: Iterable[str], workunit: str) -> str:
    """Return the symbol of the kernel that Kokkos launches for the functor of a workunit.

    Kokkos 3.4 chooses at compile time by the total size of functor and policy. Below 512 bytes they
    are a kernel parameter, which Kokkos calls local memory; below 32 KB they are copied to constant
    memory, otherwise to global memory. Only the chosen kernel is instantiated.

    Raises ToolchainError unless the library has exactly one kernel of the functor.
    """
    # A mangled name contains the length of an identifier before the identifier.
    functor = f"{workunit}_functor"
    matches = [symbol for symbol in symbols if f"{len(functor)}{functor}" in symbol]
    if len(matches) != 1:
        raise ToolchainError(
            f"{workunit}: the library has {len(matches)} kernels of its functor instead of one"
            + (f": {', '.join(matches)}" if matches else "")
        )
    return matches[0]


def launch_of(symbol: str) -> str:
    """Return the memory of the functor, and the LaunchBounds if set; OWN without Kokkos."""
    memory = _LAUNCH.search(symbol)
    bounds = _BOUNDS.search(symbol)
    launch = f"functor in {memory[1]} memory" if memory is not None else OWN
    if bounds is None or bounds.groups() == ("0", "0"):
        return launch
    return f"{launch}, LaunchBounds<{bounds[1]}, {bounds[2]}>"
