"""The stand-in for PyKokkos: environments and sources."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import kkspdnn

FAKE = Path(__file__).parent / "fake"
HOME = Path(kkspdnn.__file__).parents[1]


def environment(tmp_path: Path, **variables: str) -> dict[str, str]:
    """Return the environment of a process in which the stand-in is installed, with its tools."""
    tools = tmp_path / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "patchelf").write_text("#!/bin/sh\n")
    (tools / "patchelf").chmod(stat.S_IRWXU)
    (tools / "pybind11.py").write_text("")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    del kept["KKSPDNN_PK"]
    return {
        **kept,
        "PATH": os.pathsep.join([str(tools), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(FAKE), str(tools), str(HOME)]),
        "PK_KOKKOS_LIB_PATH": str(FAKE / "lib"),
        **variables,
    }
