"""The machine code that a compiled workunit spends its time in."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.toolchain import run

_BEGIN = re.compile(r"^[0-9a-f]+ <(.+)>:$", re.MULTILINE)


def hot_function(library: Path, name: str) -> str:
    """The disassembly of workunit `name`'s hot function, its demangled name in the first line.

    The compiler inlines a workunit's body into Kokkos' loop over the work items; that function is
    the largest of those whose name has the functor in it. Where even the loop is inlined into the
    launch, it is the launch. Raises ToolchainError where objdump is missing or fails.
    """
    objdump = shutil.which("objdump")
    if objdump is None:
        raise ToolchainError(
            "no objdump on the PATH; install the GNU binutils (Debian: apt-get install binutils)"
        )
    text = run(
        [objdump, "-d", "--demangle", "--no-show-raw-insn", library], f"disassembling {library}"
    )
    blocks = {b[1]: text[b.start() :].partition("\n\n")[0] for b in _BEGIN.finditer(text)}
    loops = {
        symbol: block
        for symbol, block in blocks.items()
        if f"{name}_functor" in symbol and "~" not in symbol
    }
    chosen = max(loops.values(), key=len) if loops else blocks["kkspdnn_launch"]
    return chosen.rstrip("\n") + "\n"
