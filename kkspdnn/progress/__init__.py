"""The progress of slow functions: a bar on a terminal or in a notebook, or a callback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from kkspdnn.errors import InputError, short_repr
from kkspdnn.progress.bar import delayed_bar

StepCallback = Callable[[str, float], None]
"""Called with the name of the current step and its completed fraction, 0 to 1."""

Progress = bool | StepCallback | None
"""The parameter `progress`: True shows a bar, a callback is called; None and False show nothing."""

__all__: Final = ["Progress", "StepCallback", "delayed_bar", "open_progress"]


@contextmanager
def open_progress(progress: Progress, enabled: bool = True) -> Iterator[StepCallback]:
    """Yield the callback that reports the progress of the block.

    progress: True for a bar, which is removed after the block. Without a terminal or a notebook
    there is no bar
    enabled: whether this process may show a bar; with several ranks, one of them does

    Raises InputError for anything else than a bool, a function and None.
    """
    if callable(progress):
        yield progress
        return
    if progress is not None and not isinstance(progress, bool):
        raise InputError(
            f"progress={short_repr(progress)}: give True for a bar, or a function of the step and "
            "its fraction"
        )
    with delayed_bar(bool(progress) and enabled) as bar:
        yield _no_progress if bar is None else bar


def _no_progress(_step: str, _fraction: float) -> None:
    """A step callback that does nothing."""
