"""Packing of the arguments of a launch in one pass, by the classes of an earlier launch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from kkspdnn.pk.runtime.packers import Packer


class PackingPlan:
    """Packs arguments that have the classes of those of an earlier launch.

    The class of a number decides how it is packed, so that most numbers go to `struct.pack` without
    a call of Python; `struct.pack` checks the range of an integer. Each array is read again in each
    launch, because its dtype, its shape and its address may have changed in place.

    A plan keeps no arguments and no packed bytes. It does not change, so that threads share it.
    """

    def __init__(
        self, names: Sequence[str], classes: Sequence[type], packers: Sequence[Packer | None]
    ) -> None:
        """names: of the parameters, in their order; classes: of their arguments

        packers: the fast packers of the arguments of these classes
        """
        self._values = _selector(names)
        self._classes = tuple(classes)
        converted = [(i, pack) for i, pack in enumerate(packers) if pack is not None]
        # From the last one, because the fields of an array move those after them.
        self._converted = tuple(reversed(converted))

    def pack(self, arguments: Mapping[str, Any]) -> list[Any] | None:
        """Return the values for `struct.pack`; None if an argument has another class or may have
        another type."""
        try:
            values = self._values(arguments)
            if len(arguments) != len(values) or tuple(map(type, values)) != self._classes:
                return None
            fields = list(values)
            for position, pack in self._converted:
                fields[position : position + 1] = pack(values[position])
        except (KeyError, TypeError):
            return None
        return fields


def _selector(names: Sequence[str]) -> Callable[[Mapping[str, Any]], Sequence[Any]]:
    """Return a function that returns the values of these names, in this order."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda arguments: [arguments[name] for name in names]
