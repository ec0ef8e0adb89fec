"""Launches of one workunit that share most of their arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kkspdnn.pk.arrays import shared_array
from kkspdnn.pk.dispatch import current_trace, is_tracing, pack_launch, parallel_for
from kkspdnn.pk.frontend.workunit import Workunit
from kkspdnn.pk.launch_sequence import Launch
from kkspdnn.pk.runtime.program import NOT_LAUNCHED
from kkspdnn.pk.runtime.template import LaunchTemplate


class PreparedLaunch:
    """A `parallel_for` with fixed arguments, which are checked and converted once.

    Later launches check and pack only the arguments that change. No array, fixed or not, may be
    resized or change its shape, dtype or flags in place. Another array as a changing argument is
    noticed.

    Several threads may launch it at the same time. It can be pickled if its arguments can.
    """

    def __init__(
        self, label: str, workunit: Workunit, fixed: Mapping[str, Any], changing: tuple[str, ...]
    ) -> None:
        """fixed: arguments of all launches, by name; changing: the names of all other arguments.

        Of a fixed `pk.View`, all launches use the array that it has now.
        """
        fixed = {name: shared_array(value) for name, value in fixed.items()}
        self.arguments = label, workunit, fixed, changing
        self._label = label.encode()
        # Replaced as a whole, so that threads share it.
        self._template: LaunchTemplate | None = None
        # Of the real PyKokkos: its launcher, and the function that launches.
        self._prepared: tuple[Any, Callable[[Any, Sequence[Any]], None]] | None = None

    def __call__(self, pk: Any, policy: Any, *values: Any) -> None:
        """Launch the workunit.

        pk: the module of PyKokkos, or the launcher of the real package
        values: of the changing arguments, in the order of their names

        Raises the errors of `parallel_for`.
        """
        template, prepared = self._template, self._prepared
        if current_trace.get() is None:
            if template is not None and pk.parallel_for is parallel_for:
                if template.launch(self._label, policy, values):
                    return
            elif prepared is not None and prepared[0] is pk:
                prepared[1](policy, values)
                return
        self._launch_all(pk, policy, values)

    def with_values(self, policy: Any, *values: Any) -> Launch:
        """Return the launch with these values of the changing arguments, for a LaunchSequence."""
        label, workunit, fixed, changing = self.arguments
        arguments = {**fixed, **dict(zip(changing, values, strict=True))}
        return Launch(label, policy, workunit, arguments, {})

    def _launch_all(self, pk: Any, policy: Any, values: Sequence[Any]) -> None:
        """Launch with all arguments, and make a template of them."""
        label, workunit, fixed, changing = self.arguments
        arguments = {**fixed, **dict(zip(changing, values, strict=True))}
        if pk.parallel_for is not parallel_for or is_tracing():
            pk.parallel_for(label, policy, workunit, **arguments)
            if hasattr(pk, "prepare") and not is_tracing():
                self._prepared = pk, pk.prepare(label, workunit, arguments, changing)
            return
        program, fields = pack_launch("for", policy, workunit, arguments)
        if program.run(self._label, policy, fields) is NOT_LAUNCHED:
            pk.parallel_for(label, policy, workunit, **arguments)
        else:
            self._template = LaunchTemplate(program, policy.space, fields, changing, values)

    def __reduce__(self) -> Any:
        return PreparedLaunch, self.arguments
