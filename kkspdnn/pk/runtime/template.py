"""The packed arguments of a launch as a template for later launches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kkspdnn.pk.policy import ExecutionSpace, Policy
from kkspdnn.pk.runtime.fast_packers import remember_last
from kkspdnn.pk.runtime.packers import Packer, field_count
from kkspdnn.pk.runtime.program import NOT_LAUNCHED, Program
from kkspdnn.pk.types import View


class _Layout:
    """The fields of the changing arguments among those of all arguments.

    direct: slices of the fields, and of the values of changing arguments that are such fields
    converted: a slice of the fields, the index of a changing argument, and its packer
    """

    def __init__(self, program: Program, changing: Sequence[str], classes: Sequence[type]) -> None:
        self.converted: list[tuple[slice, int, Packer]] = []
        direct: list[tuple[int, int]] = []
        begin = 0
        for parameter, pack in program.packers:
            end = begin + field_count(parameter)
            if parameter.name in changing:
                position = changing.index(parameter.name)
                cls = classes[position]
                fast = program.fast_packer(parameter, pack, cls)
                if fast is None:
                    direct.append((begin, position))
                elif isinstance(parameter.type, View):
                    self.converted.append((slice(begin, end), position, remember_last(fast, cls)))
                else:
                    self.converted.append((slice(begin, end), position, fast))
            begin = end
        self.direct = _slices(direct)


class LaunchTemplate:
    """The fields of all arguments of one launch, of which a later launch replaces some.

    Templates do not change, and threads share them. Those of one program share the packers of
    changing arguments, which remember the last array.
    """

    def __init__(
        self,
        program: Program,
        space: ExecutionSpace,
        fields: list[Any],
        changing: tuple[str, ...],
        values: Sequence[Any],
    ) -> None:
        """fields: of the launch; changing, values: the names and values of what changes later."""
        self._program = program
        self._space = space
        self._fields = fields
        self._classes = tuple(map(type, values))
        layout: _Layout | None = program.layouts.get((changing, self._classes))
        if layout is None:
            layout = _Layout(program, changing, self._classes)
            program.layouts[changing, self._classes] = layout
        self._direct, self._converted = layout.direct, layout.converted

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
