"""Checks of arguments. A failed check raises an InputError with a one-line message."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np

from kkspdnn.errors import InputError, is_whole, short_repr

T = TypeVar("T")

MAX_NEURONS = 2**30
"""The maximum number of neurons of a layer. The kernels use 32-bit indices up to twice as many."""


def check_size(shape: Sequence[int], label: str) -> None:
    """Raise InputError if a dimension of `shape` is above `MAX_NEURONS`.

    label: the beginning of the message
    """
    if max(shape, default=0) > MAX_NEURONS:
        size = " x ".join(map(str, shape))
        raise InputError(f"{label} of {size} neurons: a layer has at most {MAX_NEURONS}")


def check_type(value: object, expected: type, label: str) -> None:
    """Raise InputError unless `value` is an instance of `expected`, a class of this package.

    label: the beginning of the message
    """
    if not isinstance(value, expected):
        raise InputError(f"{label}: {type(value).__name__}; give a kkspdnn.{expected.__name__}")


def check_whole(name: str, value: object, minimum: int = 1) -> int:
    """Return a whole number as an int. Raise InputError for another object or a smaller number.

    name: of the parameter
    """
    if not is_whole(value) or value < minimum:
        raise InputError(f"{name}={short_repr(value)}: give a whole number from {minimum}")
    return int(value)


def check_flags(**flags: object) -> None:
    """Raise InputError for a parameter that is neither True nor False."""
    for name, value in flags.items():
        if not isinstance(value, bool | np.bool_):
            raise InputError(f"{name}={short_repr(value)}: give True or False")


def as_tuple(values: Iterable[T], expected: type[T], label: str) -> tuple[T, ...]:
    """Convert `values` to a tuple. Raise InputError unless all are instances of `expected`.

    label: the name of one value in the message, such as "layer"
    """
    # Matrices are iterable or claim to be. They have a shape.
    if not isinstance(values, Iterable) or hasattr(values, "shape"):
        raise InputError(
            f"{label}s: {type(values).__name__}; give a list of kkspdnn.{expected.__name__}"
        )
    members = tuple(values)
    for number, member in enumerate(members, start=1):
        check_type(member, expected, f"{label} {number}")
    return members


def is_positive(number: object) -> bool:
    """Whether `number` is a real number, finite and above 0."""
    if not isinstance(number, int | float | np.integer | np.floating):
        return False
    return bool(np.isfinite(float(number)) and number > 0)
