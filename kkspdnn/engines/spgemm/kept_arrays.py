"""Arrays whose memory is kept from layer to layer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from kkspdnn.device.aligned import aligned_empty


@dataclass(eq=False)
class KeptArrays:
    """Arrays by name. The memory of an array grows if necessary and is never given back."""

    _arrays: dict[str, Any] = field(default_factory=dict)

    def take(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
        """Return an uninitialised array. It overwrites the last array of this name, which must have
        had the same dtype."""
        size = int(np.prod(shape, dtype=np.int64))
        if name not in self._arrays or self._arrays[name].size < size:
            self._arrays[name] = aligned_empty(size, dtype)
        return self._arrays[name][:size].reshape(shape)
