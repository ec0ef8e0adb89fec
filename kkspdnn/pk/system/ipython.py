"""The running IPython of a notebook or a terminal, found without importing IPython."""

from __future__ import annotations

import sys
from typing import Any


def running_shell() -> Any:
    """Return the InteractiveShell of this process; None if there is none."""
    # Whoever runs in IPython has imported it.
    return getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
