"""The source of a decorated function: in its file, in a cell of a notebook, or at a prompt."""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kkspdnn.errors import KkspdnnError
from kkspdnn.pk.system.ipython import running_shell

_TIMED_CELL = "<timed exec>"
"""The file name of the code that IPython's `%%time` runs, whose text IPython does not keep."""


@dataclass(frozen=True)
class SourceText:
    """The text that defines a function.

    path: of the file; of a cell, its name in IPython, such as `Cell In[3]`
    line: the first line of the function, or of its first decorator
    """

    path: str
    text: str
    line: int


def read_source(function: Callable[..., Any], name: str) -> SourceText:
    """Return the text that defines a function.

    name: of the function, for an error

    Raises KkspdnnError if there is none.
    """
    path = inspect.getsourcefile(function) or function.__code__.co_filename
    linecache.checkcache(path)
    text = "".join(linecache.getlines(path))
    if not text:
        raise KkspdnnError(f"workunit {name}: {_missing(path)}")
    return SourceText(_cell_name(path) or path, text, function.__code__.co_firstlineno)


def read_timed_cell(function: Callable[..., Any]) -> SourceText | None:
    """Return the text of the cell that runs now if its `%%time` hides it, else None.

    To be called when the function is defined: later, another cell is the last one.
    """
    if function.__code__.co_filename != _TIMED_CELL:
        return None
    shell = running_shell()
    try:
        lines = shell.history_manager.input_hist_raw[-1].splitlines(keepends=True)
    except (AttributeError, IndexError):  # no IPython, or one that keeps no history
        return None
    # IPython drops the magics and the empty lines after them. Other empty lines take their place
    # here, so that line numbers are those of the cell.
    is_code = [bool(line.strip()) and not line.startswith("%%") for line in lines]
    dropped = is_code.index(True) if True in is_code else len(lines)
    body = shell.transform_cell("".join(lines[dropped:]))
    return SourceText(
        f"Cell In[{shell.execution_count}]",
        "\n" * dropped + body,
        function.__code__.co_firstlineno + dropped,
    )


def _missing(path: str) -> str:
    """Return why the source of a file or of other code is missing, and what to do."""
    remedy = "define workunits in a .py file or in a notebook"
    if path == "<stdin>":
        return f"the prompt of Python before 3.13 keeps no source; use IPython, or {remedy}"
    if path.startswith("<"):
        return f"no source: {path} is code of exec, or of a magic that hides it; {remedy}"
    return f"cannot read {path}; {remedy}"


def _cell_name(path: str) -> str | None:
    """Return IPython's name of the cell that it compiled under a file name; None for a file."""
    compiler = getattr(running_shell(), "compile", None)
    named = getattr(compiler, "format_code_name", lambda _: None)(path)
    return None if named is None else " ".join(named)
