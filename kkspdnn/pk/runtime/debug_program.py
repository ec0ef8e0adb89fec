"""Launches in debug mode: failed checks raise exceptions, and new NaNs are logged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NoReturn

from kkspdnn.errors import IntegerDivisionError, KkspdnnError, OutOfBoundsError, SpaceError
from kkspdnn.pk.codegen.scratch_sizes import CHECK
from kkspdnn.pk.policy import Policy
from kkspdnn.pk.runtime.nan_tracing import FloatArguments, warn_of_new_nans
from kkspdnn.pk.runtime.program import NOT_LAUNCHED, Program

_CHECKS: Final[dict[str, type[KkspdnnError]]] = {
    "check index": OutOfBoundsError,
    "check division": IntegerDivisionError,
}
"""The exceptions by the beginning of an error that `kkspdnn_checks.hpp` writes."""


class DebugProgram(Program):
    """A workunit that checks its indices and divisors."""

    def run(self, label: bytes, policy: Policy, fields: Sequence[Any]) -> Any:
        """Launch the workunit as `Program.run` does, and log the arrays that got a NaN.

        Raises OutOfBoundsError or IntegerDivisionError if a check fails.
        """
        parameters = [parameter for parameter, _ in self.packers]
        try:
            arguments = FloatArguments.of(parameters, fields, self._device)
        except TypeError:  # not a number
            return NOT_LAUNCHED
        written = self.generated.written
        before = arguments.with_nan(written)
        result = super().run(label, policy, fields)
        if result is not NOT_LAUNCHED:
            launch = f"{self.generated.path}: {self.generated.name}, launch {label.decode()!r}"
            warn_of_new_nans(launch, arguments, written, before)
        return result

    def raise_launch_error(self) -> NoReturn:
        error = self.runtime.error_line()
        check, _, text = error.partition(": ")
        if check in _CHECKS:
            for file, path in ((self.generated.file, self.generated.path), *self.generated.cells):
                if text.startswith(f"{file}:"):
                    text = f"{path}{text.removeprefix(file)}"
                    break
            raise _CHECKS[check](text)
        if self.runtime.device is not None and check != CHECK:
            raise SpaceError(
                f"{self.generated.name}: {error} (device {self.runtime.device.number}); a failed "
                "check of debug mode has printed its line to standard output"
            )
        super().raise_launch_error()
