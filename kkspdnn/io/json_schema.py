"""Conversion of JSON objects to dataclasses. Errors name the invalid field."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from kkspdnn.errors import InputError

_TYPE_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}

T = TypeVar("T")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file. InputError with `file` or `file:line` if it is not one."""
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text; give a JSON file") from error
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: not JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a JSON object; give a file with one object in braces")
    return content


def _refuse_constant(name: str) -> float:
    """Refuse NaN and Infinity, which Python's parser accepts but JSON does not have."""
    raise ValueError(f"{name} is not a JSON number")


def decode(cls: type[T], content: Mapping[str, Any], location: str, *, strict: bool = True) -> T:
    """
    Convert a JSON object to an instance of the dataclass `cls`.

    location: the beginning of the message of an InputError, usually the file
    strict: whether unknown fields are errors or ignored

    Fields may be str, int, float, bool, Literal, None (in a union), tuple[X, ...], dict[str, X] and
    dataclasses. A float may be written as an integer. A field may be absent if it has a default.
    InputError `location: field: reason` if the object does not fit.
    """
    hints = get_type_hints(cls)
    known = {field.name: field for field in fields(cls)}  # type: ignore[arg-type]
    unknown = [name for name in content if name not in known]
    if unknown and strict:
        raise InputError(f"{location}: {unknown[0]}: no such field in this schema")
    arguments = {}
    for name, field in known.items():
        if name in content:
            arguments[name] = _convert(hints[name], content[name], f"{location}: {name}", strict)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise InputError(f"{location}: {name}: this field is missing")
    return cls(**arguments)


def _convert(hint: Any, value: Any, location: str, strict: bool) -> Any:
    """A JSON value as an object of the type `hint`."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        (hint,) = (member for member in inner if member is not type(None))
        return _convert(hint, value, location, strict)
    if origin is Literal:
        if value not in inner:
            raise InputError(f"{location}: {value!r} is not one of {', '.join(inner)}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise InputError(f"{location}: {value!r} is not a list")
        return tuple(
            _convert(inner[0], element, f"{location}[{index}]", strict)
            for index, element in enumerate(value)
        )
    if origin is dict or is_dataclass(hint):
        if not isinstance(value, dict):
            raise InputError(f"{location}: {value!r} is not an object")
        if origin is dict:
            return {k: _convert(inner[1], v, f"{location}: {k}", strict) for k, v in value.items()}
        return decode(hint, value, location, strict=strict)
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise InputError(f"{location}: {value!r} is not {_TYPE_NAMES[hint]}")
    return value
