"""Workunits and types from the text of a command line."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Final

from kkspdnn.errors import InputError, KkspdnnError, did_you_mean
from kkspdnn.pk import language_as_pykokkos
from kkspdnn.pk.frontend.workunit import Workunit
from kkspdnn.pk.signature import Types
from kkspdnn.pk.system.import_file import import_file
from kkspdnn.pk.types import SCALARS, Scalar, View

_SCALARS_BY_DTYPE: Final = {scalar.dtype: scalar for scalar in SCALARS.values()}


def load_workunit(name: str) -> Workunit:
    """Return the workunit `path/to/file.py:name` or `module:name`; the file is imported.

    Raises InputError if there is no such file, module or workunit, or if the import fails.
    """
    module_name, _, attribute = name.rpartition(":")
    module = _import(module_name)
    workunit = getattr(module, attribute, None)
    if not isinstance(workunit, Workunit):
        names = [key for key, value in vars(module).items() if isinstance(value, Workunit)]
        choices = f"choose one of {', '.join(names)}" if names else "it has none"
        close = did_you_mean(attribute, names)
        raise InputError(f"{module_name}: no workunit {attribute!r}{close}; {choices}")
    return workunit


def parse_types(text: str) -> dict[str, Scalar | View]:
    """Return the types of `x=float32[3],n=int32` by name: a NumPy dtype, with the rank of an array.

    Raises InputError naming the item that cannot be parsed.
    """
    types: dict[str, Scalar | View] = {}
    for item in filter(None, text.split(",")):
        match = re.fullmatch(r"\s*(\w+)=(\w+)(?:\[([123])\])?\s*", item)
        scalar = _SCALARS_BY_DTYPE.get(match[2]) if match else None
        if match is None or scalar is None or (scalar.name == "bool" and match[3]):
            raise InputError(
                f"types: {item.strip()!r}: write NAME=TYPE for a number and NAME=TYPE[RANK] for "
                f"an array of 1 to 3 dimensions, TYPE one of {', '.join(_SCALARS_BY_DTYPE)}"
            )
        types[match[1]] = View(scalar, int(match[3])) if match[3] else scalar
    return types


def order_types(workunit: Workunit, types: Mapping[str, Scalar | View]) -> Types:
    """Return the types of the parameters without annotation in the order of the parameters.

    Raises InputError for a type that is missing and for a parameter that does not exist or has an
    annotation.
    """
    name, generic = workunit.__name__, workunit.generic
    unknown = [n for n in types if n not in generic]
    if unknown:
        choices = f"choose from {', '.join(generic)}" if generic else "it has none"
        what = f"`{unknown[0]}` without annotation{did_you_mean(unknown[0], generic)}"
        raise InputError(f"{name}: no parameter {what}; {choices}")
    missing = [n for n in generic if n not in types]
    if missing:
        raise InputError(
            f"{name}: the types of {', '.join(missing)} depend on the launch; set them, for "
            f"example types='{','.join(f'{n}=float32[1]' for n in missing)}'"
        )
    return tuple(types[n] for n in generic)


def _import(name: str) -> ModuleType:
    """Import a module by its name or by the path of its file."""
    is_file = name.endswith(".py")
    path = Path(name).absolute()
    if is_file and not path.is_file():
        raise InputError(f"{name}: there is no such file")
    # `python path/to/file.py` and `python -m module` search these folders for other imports.
    sys.path.insert(0, str(path.parent if is_file else Path.cwd()))
    try:
        # The built-in compiler's, whichever PyKokkos is in use.
        with language_as_pykokkos():
            if is_file:
                return import_file(f"_located_{path.stem}", path, register=True)
            return importlib.import_module(name)
    except KkspdnnError:
        raise
    except (Exception, SystemExit) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{name}: import failed: {type(error).__name__}: {reason}") from error
    finally:
        del sys.path[0]
