"""What the user can mend.

Every message is one line that says what is wrong, where (file:line, row, option) and what to do.
The command line prints it and exits with 2; anything else that is raised is a bug of ours.
"""

from __future__ import annotations

from collections.abc import Sequence


class KkspdnnError(Exception):
    """Base of everything the user can mend."""


class InputError(KkspdnnError, ValueError):
    """A file, network, input or option that cannot be used as it is."""


class ToolchainError(KkspdnnError, RuntimeError):
    """No usable compiler, CMake or Kokkos, or a compile that failed."""


class SpaceError(KkspdnnError, RuntimeError):
    """An execution space that this machine or this Kokkos does not have."""


class CacheError(KkspdnnError, OSError):
    """The cache folder cannot be used: not writable, or writable by others."""


def check_choice(option: str, value: object, choices: Sequence[str]) -> None:
    """Raise InputError unless `value` is one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise InputError(
            f"{option} {short_repr(value)} is unknown: choose one of {', '.join(choices)}"
        )


def short_repr(value: object) -> str:
    """A value of the user's as a message shows it: the beginning of its repr, in one line."""
    return " ".join(repr(value).split())[:40]
