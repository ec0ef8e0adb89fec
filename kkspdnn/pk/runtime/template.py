"""The packed arguments of a launch as a template for later launches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kkspdnn.pk.policy import ExecutionSpace, Policy
from kkspdnn.pk.runtime.fast_packers import remember_last
from kkspdnn.pk.runtime.packers import field_count
from kkspdnn.pk.runtime.packing_plan import FieldsFunction, PlannedArgument, plan_packing
from kkspdnn.pk.runtime.program import NOT_LAUNCHED, Program
from kkspdnn.pk.types import View


class _Layout:
    """The fields of the changing arguments among those of all arguments.

    fixed: slices of the fields of the other arguments; plan: see `plan_packing`
    """

    def __init__(self, program: Program, changing: Sequence[str], classes: Sequence[type]) -> None:
        self.fixed: list[slice] = []
        arguments: list[PlannedArgument | None] = []
        begin = 0
        for parameter, pack in program.packers:
            end = begin + field_count(parameter)
            if parameter.name in changing:
                cls = classes[changing.index(parameter.name)]
                fast = program.fast_packer(parameter, pack, cls)
                if fast is not None and isinstance(parameter.type, View):
                    fast = remember_last(fast, cls)
                arguments.append(PlannedArgument(parameter.name, cls, fast))
            elif arguments and arguments[-1] is None:
                self.fixed[-1] = slice(self.fixed[-1].start, end)
            else:
                arguments.append(None)
                self.fixed.append(slice(begin, end))
            begin = end
        self.plan: Callable[..., FieldsFunction] = plan_packing(arguments, changing)


class LaunchTemplate:
    """The fields of all arguments of one launch, of which a later launch replaces some.

    Templates do not change, and threads share them. Those of one program share the packers of
    changing arguments, which remember the last array.
    """

    def __init__(
        self,
        program: Program,
        space: ExecutionSpace,
        fields: Sequence[Any],
        changing: tuple[str, ...],
        values: Sequence[Any],
    ) -> None:
        """fields: of the launch; changing, values: the names and values of what changes later."""
        self._run = program.run
        self._space = space
        classes = tuple(map(type, values))
        layout: _Layout | None = program.layouts.get((changing, classes))
        if layout is None:
            layout = program.layouts[changing, classes] = _Layout(program, changing, classes)
        self._fields = layout.plan(*(tuple(fields[each]) for each in layout.fixed))

    def launch(self, label: bytes, policy: Policy, values: Sequence[Any]) -> bool:
        """Launch the workunit with these values of the changing arguments. Return False if it was
        not launched, because a class or type may differ from that of the template."""
        if policy.space is not self._space:
            return False
        try:
            fields = self._fields(*values)
        except TypeError:
            return False
        return self._run(label, policy, fields) is not NOT_LAUNCHED
