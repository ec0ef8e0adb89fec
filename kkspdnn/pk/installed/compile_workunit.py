"""Compile one workunit with PyKokkos.

`python -m kkspdnn.pk.installed.compile_workunit FILE NAME SPACE`

PyKokkos names the folder of a compiled workunit after the main script and the working directory,
takes an existing folder for a compiled workunit, and ends the process if something fails. So each
workunit is compiled in a process of its own, in the folder of its file, which is removed if this
fails.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kkspdnn.pk.system.import_file import import_file
from kkspdnn.pykokkos_finder import real_package_only


def compile_workunit(file: Path, name: str, space: str) -> None:
    """Compile the workunit `name` of a Python file into `SPACE/kernel.*.so` beside the file.

    space: the name of an execution space in PyKokkos
    """
    import pykokkos as pk
    from pykokkos.core.module_setup import ModuleSetup
    from pykokkos.runtime import runtime_singleton

    class OwnFolder(ModuleSetup):  # type: ignore[misc]
        """Compiled files in the folder of the workunit's file."""

        def get_output_dir(self, *_: Any) -> Path:
            return file.parent / space

    execution_space = pk.ExecutionSpace[space]
    setup = OwnFolder(getattr(import_file(name, file), name), execution_space)
    setup.name = name
    runtime = runtime_singleton.runtime
    runtime.compiler.compile_object(
        setup,
        execution_space,
        force_uvm=False,
        updated_decorator=None,
        updated_types=None,
        types_signature=None,
        restrict_views=set(),
    )


def main(arguments: Sequence[str]) -> None:
    """Compile the workunit that the command line names."""
    file, name, space = arguments
    with real_package_only():
        compile_workunit(Path(file).absolute(), name, space)


if __name__ == "__main__":
    main(sys.argv[1:])
