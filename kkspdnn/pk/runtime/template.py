"""The packed arguments of a launch as a template for later launches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kkspdnn.pk.policy import ExecutionSpace, Policy
from kkspdnn.pk.runtime.fast_packers import remember_last
from kkspdnn.pk.runtime.packers import Packer
from kkspdnn.pk.runtime.program import NOT_LAUNCHED, Program
from kkspdnn.pk.types import View


class LaunchTemplate:
    """The values for `struct.pack` of one launch, of which a later launch replaces some.

    It does not change, except for the last array of each argument, see `remember_last`. So threads
    share it.
    """

    def __init__(
        self,
        program: Program,
        space: ExecutionSpace,
        arguments: Mapping[str, Any],
        changing: Sequence[str],
    ) -> None:
        """arguments: all, which passed all checks; changing: the names of those to be replaced."""
        self._program = program
        self._space = space
        self._classes = tuple(type(arguments[name]) for name in changing)
        self._fields: list[Any] = []
        self._converted: list[tuple[slice, int, Packer]] = []
        direct: list[tuple[int, int]] = []
        for parameter, pack in program.packers:
            value = arguments[parameter.name]
            begin = len(self._fields)
            # Floats of Python, which have the same values, are packed faster.
            self._fields += [float(f) if isinstance(f, np.floating) else f for f in pack(value)]
            if parameter.name not in changing:
                continue
            position = changing.index(parameter.name)
            fast = program.fast_packer(parameter, pack, type(value))
            if fast is None:
                direct.append((begin, position))
                continue
            if isinstance(parameter.type, View):
                fast = remember_last(fast)
            self._converted.append((slice(begin, len(self._fields)), position, fast))
        self._direct = _slices(direct)

    def launch(self, label: bytes, policy: Policy, values: Sequence[Any]) -> bool:
        """Launch the workunit with these values of the changing arguments. Return False if it was
        not launched, because a class or type may differ from that of the template."""
        if policy.space is not self._space or tuple(map(type, values)) != self._classes:
            return False
        fields = self._fields.copy()
        for target, source in self._direct:
            fields[target] = values[source]
        try:
            for target, position, pack in self._converted:
                fields[target] = pack(values[position])
        except TypeError:
            return False
        return self._program.run(label, policy, fields) is not NOT_LAUNCHED


def _slices(pairs: Sequence[tuple[int, int]]) -> list[tuple[slice, slice]]:
    """Return pairs of target and source indices, both counted up together, as pairs of slices."""
    slices: list[tuple[slice, slice]] = []
    for target, source in pairs:
        if slices and (slices[-1][0].stop, slices[-1][1].stop) == (target, source):
            target_begin, source_begin = slices[-1][0].start, slices[-1][1].start
            slices.pop()
        else:
            target_begin, source_begin = target, source
        slices.append((slice(target_begin, target + 1), slice(source_begin, source + 1)))
    return slices
