"""Checks of what a caller gives, each with an InputError of one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np

from kkspdnn.errors import InputError

T = TypeVar("T")

MAX_NEURONS = 2**30
"""Neurons of a layer, at most: twice as many still have numbers of 32 bits in the kernels."""


def check_size(shape: Sequence[int], what: str) -> None:
    """Raise InputError, beginning with `what`, for more than `MAX_NEURONS`."""
    if max(shape, default=0) > MAX_NEURONS:
        size = " x ".join(map(str, shape))
        raise InputError(f"{what} of {size} neurons: a layer has at most {MAX_NEURONS}")


def check_kind(given: object, kind: type, what: str) -> None:
    """Raise InputError, beginning with `what`, unless `given` is of a class of this package."""
    if not isinstance(given, kind):
        raise InputError(f"{what}: {type(given).__name__}; give a kkspdnn.{kind.__name__}")


def tuple_of(given: Iterable[T], kind: type[T], what: str) -> tuple[T, ...]:
    """The members of `given` as a tuple; InputError unless all are of a class of this package."""
    # A matrix is iterable too, or says that it is.
    if not isinstance(given, Iterable) or hasattr(given, "shape"):
        raise InputError(f"{what}s: {type(given).__name__}; give a list of kkspdnn.{kind.__name__}")
    members = tuple(given)
    for number, member in enumerate(members, start=1):
        check_kind(member, kind, f"{what} {number}")
    return members


def is_positive(number: object) -> bool:
    """Whether it is a real number above 0, and finite."""
    if not isinstance(number, int | float | np.integer | np.floating):
        return False
    return bool(np.isfinite(float(number)) and number > 0)
