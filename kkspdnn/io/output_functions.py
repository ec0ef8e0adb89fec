"""Functions at the end of a model that the caller applies to the outputs of the network."""

from __future__ import annotations

from collections.abc import Iterable

_FUNCTIONS = ("softmax", "logsoftmax", "sigmoid", "argmax")


def are_output_functions(names: Iterable[str]) -> bool:
    """Return whether all are functions that networks do not compute, such as softmax.

    names: of modules, functions or operators, in any spelling: LogSoftmax or log_softmax
    """
    return all(name.lower().replace("_", "") in _FUNCTIONS for name in names)
