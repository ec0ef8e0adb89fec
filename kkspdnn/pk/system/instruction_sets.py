"""Instruction sets that compiled code needs, and those that this processor has.

The kernel lists the instruction sets of a processor, whatever its model. Nodes of a cluster whose
processors have the same instruction sets therefore share their compiled code.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from kkspdnn.errors import InputError

_CPUINFO = Path("/proc/cpuinfo")

_CODE_FLAGS = re.compile(
    r"3dnow\w*|abm|adx|aes|amx\w*|apx\w*|avx\w*|bmi\d|cmpccxadd|cx16|f16c|fma\d?|gfni|lahf_lm|mmx"
    r"|movbe|movdiri|pclmulqdq|pni|popcnt|raoint|sha\w*|sm[34]|sse\w*|ssse3|tbm|vaes|vpclmulqdq|xop"
)
"""The kernel's x86 flags that name instructions which a compiler may generate by itself. The other
flags depend on the kernel's version and its mitigations."""

_V2 = frozenset({"cx16", "lahf_lm", "pni", "popcnt", "sse2", "sse4_1", "sse4_2", "ssse3"})
_V3 = _V2 | {"abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"}
_V4 = _V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
LEVELS = {
    "x86-64": frozenset({"sse2"}),
    "x86-64-v2": _V2,
    "x86-64-v3": _V3,
    "x86-64-v4": _V4,
}
"""The microarchitecture levels of the x86-64 psABI, and the kernel's flags that each requires."""


@dataclass(frozen=True)
class Processor:
    """A processor to compile for.

    march: the value of the compiler's option -march; machine: the output of `uname -m`
    instruction_sets: those that the code may use, by the kernel's names
    """

    march: str
    machine: str
    instruction_sets: frozenset[str]

    @property
    def key(self) -> dict[str, str]:
        """The fields of a cache key that identify the processor."""
        names = [self.machine, *sorted(self.instruction_sets)]
        return {"march": self.march, "processor": " ".join(names)}

    def compiler_options(self, options: Iterable[str]) -> list[str]:
        """Replace -march=native by the -march of this processor."""
        return [f"-march={self.march}" if each == "-march=native" else each for each in options]

    @classmethod
    def from_key(cls, march: str, processor: str) -> Processor:
        """Create a processor from the fields of `key`."""
        machine, *instruction_sets = processor.split(" ")
        return cls(march, machine, frozenset(instruction_sets))

    @property
    def runs_here(self) -> bool:
        """Whether this machine's processor has all instruction sets that the code may use."""
        return self.machine == platform.machine() and self.instruction_sets <= cpu_features()


def native_processor() -> Processor:
    """Return this machine's processor."""
    return Processor("native", platform.machine(), cpu_features())


def parse_processor(name: str) -> Processor:
    """Return the processor for `--cpu NAME`: `native`, or a level of x86-64.

    The level need not be one that this machine has. Raises InputError for other names.
    """
    if name == "native":
        return native_processor()
    if name not in LEVELS:
        raise InputError(f"cpu={name}: choose native or one of {', '.join(LEVELS)}")
    if platform.machine() != "x86_64":
        raise InputError(f"cpu={name}: this machine is {platform.machine()}; choose native")
    return Processor(name, platform.machine(), LEVELS[name])


@cache
def cpu_features() -> frozenset[str]:
    """Return the instruction sets of this machine's processor.

    If the kernel does not list them, the processor's name is used instead.
    """
    fields: dict[str, str] = {}
    try:
        with _CPUINFO.open(encoding="ascii", errors="replace") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                fields.setdefault(name.strip(), value.strip())
                if not line.strip():
                    break  # the end of the first core
    except OSError:
        pass
    if "flags" in fields:
        return frozenset(flag for flag in fields["flags"].split() if _CODE_FLAGS.fullmatch(flag))
    listed = fields.get("Features") or fields.get("isa") or fields.get("cpu")
    return frozenset((listed or platform.processor() or "unknown").split())


def libc_version() -> str:
    """Return the C library and its version, such as `glibc 2.36`; empty if it is unknown."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        return ""
