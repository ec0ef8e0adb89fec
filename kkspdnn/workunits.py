"""The workunits: the modules of the folder `workunits/` beside this package.

The engines import them from here, `from kkspdnn.workunits import fused`. The name `workunits` alone
may mean another package: `python -m` looks in the working folder first.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from kkspdnn.pk import provide_pykokkos

__path__ = [str(Path(__file__).absolute().parents[1] / "workunits")]


def __getattr__(name: str) -> Any:
    """A module of the folder, imported when it is first asked for."""
    full = f"{__name__}.{name}"
    if not name.startswith("_"):
        provide_pykokkos()
        try:
            return import_module(full)
        except ModuleNotFoundError as error:
            if error.name != full:
                raise
    raise AttributeError(f"no workunits {name}.py in {__path__[0]}")
