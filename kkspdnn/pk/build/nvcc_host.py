"""The host compiler of nvcc: a C++ compiler whose version nvcc supports."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build.nvcc import Nvcc
from kkspdnn.pk.build.toolchain import Compiler, compiler_at, run_tool

_REFUSAL = re.compile(r"#error -- (unsupported .*?)[ .!]*The nvcc flag")
"""The error message in host_config.h of CUDA 12 and 13."""


def find_nvcc_host(nvcc: Nvcc, host: Compiler) -> Compiler:
    """Return `host` if nvcc supports it, else the newest g++-N on the PATH that nvcc supports.

    nvcc refuses compilers that are newer than itself. A compiler that the user set with CXX is not
    replaced. Raises ToolchainError if there is no supported compiler.
    """
    reason = host_refusal(nvcc, host)
    if reason is None:
        return host
    if os.environ.get("CXX"):
        raise ToolchainError(f"{reason}; set CXX to a compiler that it supports, or unset CXX")
    for path in _numbered_compilers():
        candidate = compiler_at(path, host.user_options)
        if host_refusal(nvcc, candidate) is None:
            return candidate
    raise ToolchainError(
        f"{reason}; install an older g++ (Debian: apt-get install g++-N), "
        "or set CXX to a compiler that it supports"
    )


def host_refusal(nvcc: Nvcc, host: Compiler) -> str | None:
    """Preprocess an empty file with both compilers; return nvcc's error in one line, or None."""
    options = ["-Xcompiler", ",".join(host.user_options)] if host.user_options else []
    try:
        run_tool(
            [nvcc.path, "-ccbin", host.path, *options, "-E", "-x", "cu", os.devnull],
            f"{nvcc.path} ({nvcc.version}) with {host.path}",
        )
    except ToolchainError as error:
        match = _REFUSAL.search(str(error))
        if match is None:
            return str(error)
        return f"{nvcc.path} ({nvcc.version}) refuses {host.path} ({host.version}): {match[1]}"
    return None


def _numbered_compilers() -> Iterator[str]:
    """Yield each g++-N on the PATH, the newest first.

    If two have the same number, the first on the PATH counts.
    """
    compilers: dict[int, str] = {}
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        try:
            names = os.listdir(folder or ".")
        except OSError:  # missing, or not readable for this user
            continue
        for name in names:
            match = re.fullmatch(r"g\+\+-([0-9]{1,3})", name, re.ASCII)
            path = os.path.join(folder, name)
            if match is not None and os.access(path, os.X_OK):
                compilers.setdefault(int(match[1]), path)
    for number in sorted(compilers, reverse=True):
        yield compilers[number]
