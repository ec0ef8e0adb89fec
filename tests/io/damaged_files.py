"""Damages files of networks, and checks that a reader reads or refuses them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np

from kkspdnn.errors import InputError
from kkspdnn.model.network import Network


def damaged(content: bytes, data: st.DataObject) -> bytes:
    """The content of a file with up to three other bytes, perhaps truncated."""
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(0, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    return bytes(changed[: data.draw(st.integers(0, len(changed)) | st.just(len(changed)))])


def check_read_or_refused(read: Callable[[Any], Network], path: Path) -> None:
    """Check that a reader returns a valid network, or names the path in an error of one line."""
    message, net = "", None
    try:
        net = read(path)
    except InputError as error:
        message = str(error)
    if net is None:
        assert message.startswith(str(path))
        assert "\n" not in message
    else:
        assert all(np.isfinite(layer.value).all() for layer in net.layers)
        assert all(layer.index.max(initial=0) < layer.inputs for layer in net.layers)
