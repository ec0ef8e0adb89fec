"""Import a Python file or an extension module by its path."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType


def import_file(name: str, path: Path, *, register: bool = False) -> ModuleType:
    """Import the file at a path as a new module with this name.

    register: whether `sys.modules` keeps the module, so that its classes can find it by name

    Raises what the file raises, and ImportError if an extension module cannot be loaded.
    """
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    if register:
        sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
