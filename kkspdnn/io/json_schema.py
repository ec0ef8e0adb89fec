"""JSON into frozen dataclasses: every field is checked, and a wrong one is told by its name."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from kkspdnn.errors import InputError

_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}

T = TypeVar("T")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; InputError with `file` or `file:line` where there is none."""
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text; give a record in JSON") from error
    try:
        found = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: not JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: not a JSON object; give a record")
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def decode(kind: type[T], given: Mapping[str, Any], where: str, *, strict: bool = True) -> T:
    """
    A dataclass of type `kind` from a JSON object.

    Fields may be str, int, float, bool, Literal, None (in a union), tuple[X, ...], dict[str, X] and
    dataclasses; a whole number is taken as a float. A field with a default may be absent; where
    `strict` is false, unknown fields are passed over. InputError `where: field: …` for all else.
    """
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    unknown = [name for name in given if name not in known]
    if unknown and strict:
        raise InputError(f"{where}: {unknown[0]}: no such field in this schema")
    made = {}
    for name, field in known.items():
        if name in given:
            made[name] = _value(hints[name], given[name], f"{where}: {name}", strict)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise InputError(f"{where}: {name}: this field is missing")
    return kind(**made)


def _value(hint: Any, given: Any, where: str, strict: bool) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if given is None and type(None) in inner:
            return None
        (hint,) = (each for each in inner if each is not type(None))
        return _value(hint, given, where, strict)
    if origin is Literal:
        if given not in inner:
            raise InputError(f"{where}: {given!r} is not one of {', '.join(inner)}")
        return given
    if origin is tuple:
        if not isinstance(given, list):
            raise InputError(f"{where}: {given!r} is not a list")
        return tuple(
            _value(inner[0], each, f"{where}[{place}]", strict) for place, each in enumerate(given)
        )
    if origin is dict or is_dataclass(hint):
        if not isinstance(given, dict):
            raise InputError(f"{where}: {given!r} is not an object")
        if origin is dict:
            return {k: _value(inner[1], v, f"{where}: {k}", strict) for k, v in given.items()}
        return decode(hint, given, where, strict=strict)
    if hint is float and type(given) is int:
        return float(given)
    if type(given) is not hint:
        raise InputError(f"{where}: {given!r} is not {_NAMES[hint]}")
    return given
