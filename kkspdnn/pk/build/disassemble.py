"""Disassembly of compiled workunits, with objdump for CPUs and cuobjdump for GPUs."""

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
from kkspdnn.pk.build.toolchain import run_tool

_FUNCTION_START = re.compile(r"^[0-9a-f]+ <(.+)>:$", re.MULTILINE)


def hot_function(library: Path, name: str) -> str:
    """Return the disassembly of the function that contains the loop of workunit `name`.

    The first line is the function's demangled name. The compiler inlines the workunit's body into
    Kokkos's loop over the work items, the largest function whose name contains the functor. If the
    loop is inlined too, the function is the launch. Raises ToolchainError if objdump is
    missing or fails.
    """
    objdump = shutil.which("objdump")
    if objdump is None:
        raise ToolchainError(
            "no objdump on the PATH; install the GNU binutils (Debian: apt-get install binutils)"
        )
    text = run_tool(
        [objdump, "-d", "--demangle", "--no-show-raw-insn", library], f"disassembling {library}"
    )
    blocks = {b[1]: text[b.start() :].partition("\n\n")[0] for b in _FUNCTION_START.finditer(text)}
    loops = {
        symbol: block
        for symbol, block in blocks.items()
        if f"{name}_functor" in symbol and "~" not in symbol
    }
    function = max(loops.values(), key=len) if loops else blocks["kkspdnn_launch"]
    return function.rstrip("\n") + "\n"


@dataclass(frozen=True)
class CudaDisassembler:
    """The paths of cuobjdump and of nvdisasm, which it runs."""

    cuobjdump: str
    nvdisasm: str

    @property
    def version(self) -> str:
        """The versions of both, such as `cuobjdump V13.0.85, nvdisasm V13.0.85`."""
        return ", ".join(
            f"{os.path.basename(tool)} {_tool_version(tool)}"
            for tool in (self.cuobjdump, self.nvdisasm)
        )

    def machine_code(self, file: Path) -> str:
        """Return the machine code of all kernels in a cubin or a shared library.

        It is the output of `cuobjdump -sass`. Raises ToolchainError if cuobjdump fails.
        """
        return self._run("-sass", file)

    def resource_usage(self, file: Path) -> str:
        """Return the registers and the memory of all kernels.

        It is the output of `cuobjdump -res-usage`. Raises ToolchainError if cuobjdump fails.
        """
        return self._run("-res-usage", file)

    def _run(self, option: str, file: Path) -> str:
        path = f"{os.path.dirname(self.nvdisasm)}:{os.environ.get('PATH', '')}"
        return run_tool(
            [self.cuobjdump, option, file],
            f"disassembling {file}",
            environment={"PATH": path},
        )


def cuda_disassembler() -> CudaDisassembler:
    """Find cuobjdump and nvdisasm in the CUDA toolkit, on the PATH, or in NVIDIA's PyPI packages.

    Raises ToolchainError if one is missing.
    """
    return CudaDisassembler(_cuda_tool("cuobjdump"), _cuda_tool("nvdisasm"))


def _cuda_tool(name: str) -> str:
    for folder in _cuda_folders():
        path = shutil.which(name, path=folder)
        if path is not None:
            return os.path.abspath(path)
    raise ToolchainError(
        f"no {name}: run pip install nvidia-cuda-{name}, or put the bin folder of a CUDA toolkit "
        "that has it on the PATH"
    )


def _cuda_folders() -> Iterator[str]:
    """Yield the folders that may contain a tool of CUDA, in the order of preference."""
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


def _tool_version(tool: str) -> str:
    printed = run_tool([tool, "--version"], f"asking {tool} for its version")
    match = re.search(r"V\d[\w.]*", printed)
    return match[0] if match is not None else "unknown"
