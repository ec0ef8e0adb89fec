"""The text of `cuobjdump -res-usage`: registers and memory of each kernel."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from kkspdnn.errors import ToolchainError

OWN = "own"
"""The launch of a kernel that is not Kokkos'."""

_KERNEL = re.compile(r"^\s*Function (\S+):\s*\n\s*(REG:\S.*)$", re.MULTILINE)
_FIELD = re.compile(r"(\w+)(?:\[\d+\])?:(\d+)")
_LAUNCH = re.compile(r"cuda_parallel_launch_(local|constant|global)_memory")
_BOUNDS = re.compile(r"LaunchBoundsILj(\d+)ELj(\d+)E")


@dataclass(frozen=True)
class Usage:
    """What ptxas gives a kernel.

    registers: 32-bit registers a thread
    stack_bytes: of local memory a thread, for the stack frame, in which spilled registers are
    local_bytes: of other local memory a thread; shared_bytes: static shared memory of a block
    """

    registers: int
    stack_bytes: int
    local_bytes: int
    shared_bytes: int


def usages(text: str) -> dict[str, Usage]:
    """The kernels in the output of `cuobjdump -res-usage`, by their mangled names."""
    found = {}
    for kernel in _KERNEL.finditer(text):
        fields = {name: int(value) for name, value in _FIELD.findall(kernel[2])}
        found[kernel[1]] = Usage(*(fields[each] for each in ("REG", "STACK", "LOCAL", "SHARED")))
    return found


def functor_kernel(symbols: Iterable[str], workunit: str) -> str:
    """The symbol of the kernel that Kokkos launches for the functor of a workunit.

    Kokkos 3.4 chooses at compile time, by the size of functor and policy together: below 512 bytes
    they are a parameter of the kernel, which it calls local memory; below 32 KB they are copied to
    constant memory, else to global memory. Only the kernel of that choice is instantiated. Raises
    ToolchainError where the library has no kernel of the functor, or several.
    """
    # A mangled name has the length of each identifier before it.
    functor = f"{workunit}_functor"
    found = [symbol for symbol in symbols if f"{len(functor)}{functor}" in symbol]
    if len(found) != 1:
        raise ToolchainError(
            f"{workunit}: the library has {len(found)} kernels of its functor instead of one"
            + (f": {', '.join(found)}" if found else "")
        )
    return found[0]


def launch_of(symbol: str) -> str:
    """How Kokkos launches a kernel: where the functor is, and LaunchBounds where it has them."""
    memory = _LAUNCH.search(symbol)
    bounds = _BOUNDS.search(symbol)
    where = f"functor in {memory[1]} memory" if memory is not None else OWN
    if bounds is None or bounds.groups() == ("0", "0"):
        return where
    return f"{where}, LaunchBounds<{bounds[1]}, {bounds[2]}>"
