"""Launches in debug mode: a failed check of a workunit raises an exception."""

from __future__ import annotations

from typing import Final, NoReturn

from kkspdnn.errors import IntegerDivisionError, KkspdnnError, OutOfBoundsError, SpaceError
from kkspdnn.pk.runtime.program import Program

_CHECKS: Final[dict[str, type[KkspdnnError]]] = {
    "check index": OutOfBoundsError,
    "check division": IntegerDivisionError,
}
"""The exceptions by the beginning of an error that `kkspdnn_checks.hpp` writes."""


class DebugProgram(Program):
    """A workunit that checks its indices and divisors."""

    def _raise_launch_error(self) -> NoReturn:
        error = self.runtime.error_line()
        check, _, text = error.partition(": ")
        if check in _CHECKS:
            text = text.removeprefix(self.generated.file)
            raise _CHECKS[check](f"{self.generated.path}{text}")
        if self.runtime.device is not None:
            raise SpaceError(
                f"{self.generated.name}: {error} (device {self.runtime.device.number}); a failed "
                "check of debug mode has printed its line to standard output"
            )
        super()._raise_launch_error()
