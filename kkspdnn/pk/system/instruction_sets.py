"""
Instruction sets: those of this processor, as the kernel lists them, and those that code needs.

The kernel's list does not depend on the processor's model, so that all nodes of a cluster whose
processors can do the same share what is compiled.
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

_SETS = re.compile(
    r"3dnow\w*|abm|adx|aes|amx\w*|apx\w*|avx\w*|bmi\d|cmpccxadd|cx16|f16c|fma\d?|gfni|lahf_lm|mmx"
    r"|movbe|movdiri|pclmulqdq|pni|popcnt|raoint|sha\w*|sm[34]|sse\w*|ssse3|tbm|vaes|vpclmulqdq|xop"
)
"""The flags of x86 that a compiler may use of its own accord. Others come and go with kernels and
their protections."""

_V2 = frozenset({"cx16", "lahf_lm", "pni", "popcnt", "sse2", "sse4_1", "sse4_2", "ssse3"})
_V3 = _V2 | {"abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"}
_V4 = _V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
LEVELS = {
    "x86-64": frozenset({"sse2"}),
    "x86-64-v2": _V2,
    "x86-64-v3": _V3,
    "x86-64-v4": _V4,
}
"""The levels of the x86-64 psABI, with the flags of the kernel for what they need."""


@dataclass(frozen=True)
class Processor:
    """A processor to compile for.

    march: the value of the compiler's option -march; machine: as `uname -m` says it; needs: the
    instruction sets that the code may use, in the kernel's names
    """

    march: str
    machine: str
    needs: frozenset[str]

    @property
    def key(self) -> dict[str, str]:
        """The part of a cache entry's key that stands for the processor."""
        return {"march": self.march, "processor": " ".join([self.machine, *sorted(self.needs)])}

    def options(self, given: Iterable[str]) -> list[str]:
        """A compiler's options for this processor, from those for `native`."""
        return [f"-march={self.march}" if each == "-march=native" else each for each in given]

    @classmethod
    def of_key(cls, march: str, processor: str) -> Processor:
        """The processor of such a part."""
        machine, *needs = processor.split(" ")
        return cls(march, machine, frozenset(needs))

    @property
    def runs_here(self) -> bool:
        """Does this machine's processor have all that the code needs?"""
        return self.machine == platform.machine() and self.needs <= features()


def native() -> Processor:
    """This machine's processor."""
    return Processor("native", platform.machine(), features())


def named(name: str) -> Processor:
    """The processor of `--cpu NAME`: `native`, or a level of x86-64, which may be another than this
    machine has. Raises InputError for other names."""
    if name == "native":
        return native()
    if name not in LEVELS:
        raise InputError(f"--cpu {name}: choose native or one of {', '.join(LEVELS)}")
    if platform.machine() != "x86_64":
        raise InputError(f"--cpu {name}: this machine is {platform.machine()}; leave out --cpu")
    return Processor(name, platform.machine(), LEVELS[name])


@cache
def features() -> frozenset[str]:
    """The instruction sets of this machine's processor.

    Where the kernel does not list them, the processor's name stands for them.
    """
    fields: dict[str, str] = {}
    try:
        with _CPUINFO.open(encoding="ascii", errors="replace") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                fields.setdefault(name.strip(), value.strip())
                if not line.strip():
                    break  # the next processor of the machine
    except OSError:
        pass
    if "flags" in fields:
        return frozenset(flag for flag in fields["flags"].split() if _SETS.fullmatch(flag))
    listed = fields.get("Features") or fields.get("isa") or fields.get("cpu")
    return frozenset((listed or platform.processor() or "unknown").split())


def libc() -> str:
    """The C library and its version, `glibc 2.36`; empty where it does not say."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        return ""
