"""Where a progress bar is displayed: in the output of a notebook's cell, or on a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

from kkspdnn.pk.system.ipython import running_shell

if TYPE_CHECKING:
    from rich.console import Console


class Display(Protocol):
    """A bar that is shown, updated and removed. Updates may come before it is shown."""

    def show(self) -> None:
        """Show the bar."""

    def update(self, step: str, done: float) -> None:
        """Set the name of the step and its completed fraction, 0 if unknown."""

    def remove(self) -> None:
        """Remove the bar, which has been shown."""


def find_display() -> Display | None:
    """Return the display of this process: a notebook's, else the terminal's, else None."""
    if is_notebook():
        from kkspdnn.progress.notebook import NotebookDisplay

        return NotebookDisplay()
    # Rich is imported only if there is a terminal.
    if sys.stderr is None or not sys.stderr.isatty():
        return None
    from rich.console import Console

    console = Console(stderr=True)
    return TerminalDisplay(console) if console.is_interactive else None


def is_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    return hasattr(running_shell(), "kernel")


class TerminalDisplay:
    """A bar on a terminal, drawn by Rich."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=None)
        self._step = ""

    def show(self) -> None:
        """Show the bar."""
        self._bar.start()

    def update(self, step: str, done: float) -> None:
        """Set the name of the step and its completed fraction, 0 if unknown."""
        if step != self._step:
            self._step = step
            self._bar.reset(self._task, description=step, total=None)
        if done > 0:
            self._bar.update(self._task, total=1.0, completed=done)

    def remove(self) -> None:
        """Remove the bar, which has been shown."""
        self._bar.stop()
