"""The C++ compiler that nvcc compiles the host's part with: one that nvcc takes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build.nvcc import Nvcc
from kkspdnn.pk.build.toolchain import Compiler, compiler_at, run

_REFUSAL = re.compile(r"#error -- (unsupported .*?)[ .!]*The nvcc flag")
"""As NVIDIA's host_config.h words it, in CUDA 12 and 13."""


def nvcc_host(nvcc: Nvcc, host: Compiler) -> Compiler:
    """This host compiler if nvcc takes it, else the newest older g++-N on the PATH that it takes.

    Every nvcc refuses compilers that are newer than itself. A compiler that the user names with
    CXX gets no substitute. Raises ToolchainError where there is none.
    """
    reason = refusal(nvcc, host)
    if reason is None:
        return host
    if os.environ.get("CXX"):
        raise ToolchainError(f"{reason}; set CXX to a compiler that it takes, or unset CXX")
    for path in _versioned():
        other = compiler_at(path, host.extra)
        if refusal(nvcc, other) is None:
            return other
    raise ToolchainError(
        f"{reason}; install an older g++ (Debian: apt-get install g++-N), "
        "or set CXX to a compiler that it takes"
    )


def refusal(nvcc: Nvcc, host: Compiler) -> str | None:
    """Why nvcc does not take this host compiler, in one line; None where it does. Tried."""
    options = ["-Xcompiler", ",".join(host.extra)] if host.extra else []
    try:
        run(
            [nvcc.path, "-ccbin", host.path, *options, "-E", "-x", "cu", os.devnull],
            f"{nvcc.path} ({nvcc.version}) with {host.path}",
        )
    except ToolchainError as error:
        said = _REFUSAL.search(str(error))
        if said is None:
            return str(error)
        return f"{nvcc.path} ({nvcc.version}) refuses {host.path} ({host.version}): {said[1]}"
    return None


def _versioned() -> Iterator[str]:
    """Every g++-N on the PATH, the newest first; of two with one number, the first on the PATH."""
    found: dict[int, str] = {}
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        try:
            names = os.listdir(folder or ".")
        except OSError:  # Not there, or not for this user.
            continue
        for name in names:
            named = re.fullmatch(r"g\+\+-([0-9]{1,3})", name, re.ASCII)
            path = os.path.join(folder, name)
            if named is not None and os.access(path, os.X_OK):
                found.setdefault(int(named[1]), path)
    for number in sorted(found, reverse=True):
        yield found[number]
