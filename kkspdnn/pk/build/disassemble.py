"""The machine code of compiled workunits: of a CPU with objdump, of a GPU with cuobjdump."""

from __future__ import annotations

import glob
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build.nvcc import find_nvcc, nvcc_path
from kkspdnn.pk.build.toolchain import run

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


@dataclass(frozen=True)
class CudaDisassembler:
    """cuobjdump, and nvdisasm, which it runs."""

    cuobjdump: str
    nvdisasm: str

    @property
    def version(self) -> str:
        """The releases of both, `cuobjdump V13.0.85, nvdisasm V13.0.85`."""
        return ", ".join(
            f"{os.path.basename(tool)} {_release(tool)}" for tool in (self.cuobjdump, self.nvdisasm)
        )

    def machine_code(self, file: Path) -> str:
        """The machine code of all kernels in a cubin or a shared library, as `cuobjdump -sass`
        prints it. Raises ToolchainError where cuobjdump fails."""
        return self._run("-sass", file)

    def resource_usage(self, file: Path) -> str:
        """Registers and memory of all kernels, as `cuobjdump -res-usage` prints them. Raises
        ToolchainError where cuobjdump fails."""
        return self._run("-res-usage", file)

    def _run(self, option: str, file: Path) -> str:
        path = f"{os.path.dirname(self.nvdisasm)}:{os.environ.get('PATH', '')}"
        return run(
            [self.cuobjdump, option, file],
            f"disassembling {file}",
            environment={"PATH": path},
        )


def cuda_disassembler() -> CudaDisassembler:
    """cuobjdump and nvdisasm: those of the CUDA toolkit, else those on the PATH, else those of
    NVIDIA's packages on PyPI. Raises ToolchainError where one is missing."""
    return CudaDisassembler(_cuda_tool("cuobjdump"), _cuda_tool("nvdisasm"))


def _cuda_tool(name: str) -> str:
    for folder in _cuda_folders():
        found = shutil.which(name, path=folder)
        if found is not None:
            return os.path.abspath(found)
    raise ToolchainError(
        f"no {name}: run pip install nvidia-cuda-{name}, or put the bin folder of a CUDA toolkit "
        "that has it on the PATH"
    )


def _cuda_folders() -> Iterator[str]:
    """Where a tool of CUDA may be, the best place first."""
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        if home := os.environ.get(variable):
            yield str(Path(home) / "bin")
    if (nvcc := nvcc_path()) is not None:
        yield os.path.dirname(nvcc)
        # The nvcc on the PATH may be a script or a link into the toolkit.
        with suppress(ToolchainError):
            yield str(find_nvcc().home / "bin")
    yield os.environ.get("PATH", "")
    for folder in sys.path:
        yield from sorted(glob.glob(f"{glob.escape(folder or '.')}/nvidia/cu*/bin"), reverse=True)


def _release(tool: str) -> str:
    found = re.search(r"V\d[\w.]*", run([tool, "--version"], f"asking {tool} for its version"))
    return found[0] if found is not None else "unknown"
