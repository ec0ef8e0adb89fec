"""Functions that pack the arguments of a launch at once, by the classes of those of an earlier one.

The class of a number decides how it is packed, so that most numbers go to `struct.pack` as they
are; `struct.pack` checks the range of an integer. Each array is read again in each launch, because
its dtype, its shape and its address may have changed in place.

The text of such a function is made for the launch, as `dataclasses` does for a class: it takes half
the time of a loop over the arguments. For two NumPy arrays and two numbers it is

    def fields(a, b, n, s):
        if type(a) is not class_a or type(b) is not class_b or …:
            raise TypeError
        try:
            at_a = addressof(first_byte(a))
            at_b = addressof(first_byte(b))
            a_0, = a.shape
            b_0, b_1 = b.shape
            if a.dtype is dtype_a and b.dtype is dtype_b and not (at_a | at_b) & 7:
                return at_a, a_0, at_b, b_0, b_1, n, s
        except (TypeError, ValueError):  # for example, an empty array
            pass
        return *pack_a(a), *pack_b(b), n, s

with an underscore before each name that is not of the workunit. The functions keep no arguments.
They do not change, so that threads share them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from ctypes import addressof
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from kkspdnn.pk.arrays import ArrayHolder
from kkspdnn.pk.runtime.packers import Packer, first_byte
from kkspdnn.pk.types import View

FieldsFunction = Callable[..., tuple[Any, ...]]
"""Returns the values of all arguments for `struct.pack`. Raises TypeError if an argument has
another class, or may have another type."""

_NAMES: Final = {
    "_type": type,
    "_TypeError": TypeError,
    "_ValueError": ValueError,
    "_ndarray": np.ndarray,
    "_addressof": addressof,
    "_first_byte": first_byte,
}


@dataclass(frozen=True)
class PlannedArgument:
    """An argument of a class.

    pack: the fast packer of this class; None if `struct.pack` takes the argument as it is
    array: the type of a NumPy array in host memory, or of a `pk.View` of one; it needs no call of
    `pack` in most cases
    """

    name: str
    cls: type
    pack: Packer | None
    array: View | None = None

    @property
    def general(self) -> str:
        """Its fields, in any case."""
        return self.name if self.pack is None else f"*_pack_{self.name}({self.name})"

    @property
    def extents(self) -> list[str]:
        """The names of the extents of an array."""
        rank = self.array.rank if self.array is not None else 0
        return [f"_{self.name}_{dimension}" for dimension in range(rank)]

    @property
    def usual(self) -> str:
        """Its fields in most cases."""
        if self.array is None:
            return self.general
        return ", ".join([f"_at_{self.name}", *self.extents])

    def names(self) -> Iterator[tuple[str, Any]]:
        """Yield what the text needs."""
        yield f"_class_{self.name}", self.cls
        yield f"_pack_{self.name}", self.pack
        if self.array is not None:
            yield f"_dtype_{self.name}", self.array.element.numpy


def plan_packing(
    arguments: Sequence[PlannedArgument | None], names: Sequence[str]
) -> Callable[..., FieldsFunction]:
    """Return a function that makes a FieldsFunction for arguments of these classes.

    It takes the values of the fixed arguments for `struct.pack`, one tuple for each None in
    `arguments`, in order.

    arguments: of the workunit, in the order of its parameters; None: one or more that are fixed
    names: the parameters of the FieldsFunction, in order
    """
    namespace: dict[str, Any] = dict(_NAMES)
    for argument in arguments:
        if argument is not None:
            namespace.update(argument.names())
    exec(compile(_text(arguments, names), "<packing of a launch>", "exec"), namespace)
    plan: Callable[..., FieldsFunction] = namespace["plan"]
    return plan


def _text(arguments: Sequence[PlannedArgument | None], names: Sequence[str]) -> str:
    given = [each for each in arguments if each is not None]
    fixed = [f"_fixed_{number}" for number, each in enumerate(arguments) if each is None]
    classes = [f"_type({each.name}) is not _class_{each.name}" for each in given]
    usual, general = (
        [
            f"*_fixed_{number}" if each is None else getattr(each, case)
            for number, each in enumerate(arguments)
        ]
        for case in ("usual", "general")
    )
    lines = [f"def plan({', '.join(fixed)}):", f"    def fields({', '.join(names)}):"]
    if classes:
        lines += [f"        if {' or '.join(classes)}:", "            raise _TypeError"]
    arrays = [each for each in given if each.array is not None]
    if arrays:
        lines += ["        try:", *_read_arrays(arrays)]
        lines += [f"                return {', '.join(usual)},"]
        lines += ["        except (_TypeError, _ValueError):", "            pass"]
    lines += [f"        return ({', '.join([*general, ''])})", "    return fields"]
    return "\n".join(lines)


def _read_arrays(arrays: Sequence[PlannedArgument]) -> Iterator[str]:
    """Yield the lines that read arrays, and the condition that all are as usual."""
    conditions, by_alignment = list[str](), dict[int, list[str]]()
    for each in arrays:
        assert each.array is not None
        array = each.name
        if issubclass(each.cls, ArrayHolder):
            array = f"_data_{each.name}"
            yield f"            {array} = {each.name}.data"
            conditions.append(f"_type({array}) is _ndarray")
        yield f"            _at_{each.name} = _addressof(_first_byte({array}))"
        yield f"            {', '.join(each.extents)}, = {array}.shape"
        conditions.append(f"{array}.dtype is _dtype_{each.name}")
        by_alignment.setdefault(each.array.element.numpy.alignment, []).append(f"_at_{each.name}")
    for alignment, addresses in by_alignment.items():
        if alignment > 1:
            conditions.append(f"not ({' | '.join(addresses)}) & {alignment - 1}")
    yield f"            if {' and '.join(conditions)}:"
