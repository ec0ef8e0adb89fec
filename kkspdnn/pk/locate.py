"""Workunits and types by name, as a command line gives them."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Final

from kkspdnn.errors import InputError, KkspdnnError
from kkspdnn.pk import provide_pykokkos
from kkspdnn.pk.frontend.workunit import Workunit
from kkspdnn.pk.signature import Types
from kkspdnn.pk.types import SCALARS, Scalar, View

_NAMES: Final = {scalar.dtype: scalar for scalar in SCALARS.values()}


def locate(text: str) -> Workunit:
    """The workunit `path/to/file.py:name` or `module:name`; imports, and so runs, that file.

    Raises InputError where there is no such file, module or workunit, or importing it fails.
    """
    where, _, name = text.rpartition(":")
    module = _import(where)
    found = getattr(module, name, None)
    if not isinstance(found, Workunit):
        names = [key for key, value in vars(module).items() if isinstance(value, Workunit)]
        there = f"choose one of {', '.join(names)}" if names else "it has none"
        raise InputError(f"{where}: no workunit {name!r}; {there}")
    return found


def read_types(text: str) -> dict[str, Scalar | View]:
    """Types from `x=float32[3],n=int32`: a NumPy dtype, for an array with its rank.

    Raises InputError naming the part that is none.
    """
    types: dict[str, Scalar | View] = {}
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"\s*(\w+)=(\w+)(?:\[([123])\])?\s*", part)
        scalar = _NAMES.get(match[2]) if match else None
        if match is None or scalar is None or (scalar.name == "bool" and match[3]):
            raise InputError(
                f"--types: {part.strip()!r}: write NAME=TYPE for a number and NAME=TYPE[RANK] for "
                f"an array of 1 to 3 dimensions, TYPE one of {', '.join(_NAMES)}"
            )
        types[match[1]] = View(scalar, int(match[3])) if match[3] else scalar
    return types


def complete(workunit: Workunit, given: Mapping[str, Scalar | View]) -> Types:
    """The types of the parameters without annotation, in their order.

    Raises InputError for one that is not given, or given and not there.
    """
    name, generic = workunit.__name__, workunit.generic
    unknown = [n for n in given if n not in generic]
    if unknown:
        there = f"those are {', '.join(generic)}" if generic else "it has none"
        raise InputError(f"{name}: no parameter `{unknown[0]}` without annotation; {there}")
    missing = [n for n in generic if n not in given]
    if missing:
        raise InputError(
            f"{name}: the launch decides the types of {', '.join(missing)}; give them, for example "
            f"--types {','.join(f'{n}=float32[1]' for n in missing)}"
        )
    return tuple(given[n] for n in generic)


def _import(where: str) -> ModuleType:
    """A module by its name, or by its file's."""
    provide_pykokkos()
    is_file = where.endswith(".py")
    path = Path(where).absolute()
    if is_file and not path.is_file():
        raise InputError(f"{where}: there is no such file")
    # As `python path/to/file.py` and `python -m module` find what else is imported there.
    sys.path.insert(0, str(path.parent if is_file else Path.cwd()))
    try:
        return _from_file(path) if is_file else importlib.import_module(where)
    except KkspdnnError:
        raise
    except (Exception, SystemExit) as error:
        said = str(error).partition("\n")[0]
        raise InputError(f"{where}: importing it failed: {type(error).__name__}: {said}") from error
    finally:
        del sys.path[0]


def _from_file(path: Path) -> ModuleType:
    name = f"_located_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
