"""A progress bar in the output of a notebook's cell.

Rich needs ipywidgets for a bar in a notebook, and prints a warning without them. An HTML element
that is updated in place needs nothing but IPython.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from contextvars import copy_context
from time import monotonic

from IPython.display import DisplayHandle, display

_INTERVAL = 0.1
"""Minimum seconds between two updates of the same step."""


class NotebookDisplay:
    """A bar below a cell, which is created in the thread that runs the cell."""

    def __init__(self) -> None:
        self._step, self._done = "starting", 0.0
        self._began = monotonic()
        self._updated = 0.0
        self._handle: DisplayHandle | None = None
        # The kernel finds the cell of an output in the context of its thread.
        self._context = copy_context()

    def show(self) -> None:
        """Show the bar."""

        def create() -> None:
            self._handle = display(self._content(), raw=True, display_id=True)

        self._run(create)

    def update(self, step: str, done: float) -> None:
        """Set the name of the step and its completed fraction, 0 if unknown."""
        is_due = step != self._step or monotonic() - self._updated > _INTERVAL
        self._step, self._done = step, done
        if is_due and self._handle is not None:
            self._replace(self._content())

    def remove(self) -> None:
        """Remove the bar, which has been shown."""
        self._replace({"text/plain": "", "text/html": ""})

    def _content(self) -> dict[str, str]:
        """Return the bar as HTML, and as text for viewers that show none."""
        self._updated = monotonic()
        seconds = int(self._updated - self._began)
        text = f"{self._step} {seconds // 60}:{seconds % 60:02}"
        # Without a value, the browser shows a bar that moves.
        value = f' value="{min(self._done, 1.0):.3f}"' if self._done > 0 else ""
        bar = f"<progress{value}></progress> {html.escape(text)}"
        return {"text/plain": text, "text/html": bar}

    def _replace(self, content: dict[str, str]) -> None:
        handle = self._handle
        if handle is not None:
            self._run(lambda: handle.update(content, raw=True))

    def _run(self, function: Callable[[], object]) -> None:
        # A copy, because several threads cannot enter the same context at a time.
        self._context.copy().run(function)
