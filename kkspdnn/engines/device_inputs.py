"""Dense input rows that are in the memory of the GPU already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kkspdnn.device.space import Space
from kkspdnn.model.foreign_arrays import refuse_conversion, torch_of
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.matrices import checked_dtype


@dataclass(frozen=True, eq=False)
class DeviceInputs(Inputs):
    """Dense input rows as a CuPy array of the dtype of the run, for the fused engine.

    largest: an upper limit of the magnitudes of the values
    """

    largest: float = 0.0

    @classmethod
    def from_array(cls, space: Space, rows: Any, dtype: np.dtype[Any]) -> DeviceInputs:
        """Return the rows of a CuPy array, or of a tensor with DLPack, on the device of the space.

        dtype: of the run

        An array that is C-contiguous and of this dtype is not copied. Raises InputError as
        `Inputs.from_any`.
        """
        xp, array = space.xp, _as_cupy(space, rows)
        array = array.astype(checked_dtype(array, "inputs"), copy=False)
        # NaN if any value is. CuPy's reductions need at least one value.
        largest = float(xp.maximum(array.max(), -array.min())) if array.size else 0.0
        if not largest <= float(np.finfo(dtype).max):
            # The checks on the host name the value, or find that it is rounded to a finite one.
            Inputs.from_any(space.to_host(array)).to_dense(dtype)
        dense = xp.ascontiguousarray(array.astype(dtype, copy=False))
        count, neurons = array.shape
        return cls(rows=count, neurons=neurons, source="device", dense=dense, largest=largest)


def _as_cupy(space: Space, rows: Any) -> Any:
    """Return the CuPy array that shares the memory of an array of any library."""
    if isinstance(rows, space.xp.ndarray):
        return rows
    torch, given = torch_of(rows), rows
    try:
        if torch is not None:
            given = rows.detach().resolve_neg()
            if given.dtype is torch.bfloat16:
                given = given.float()
        return space.xp.from_dlpack(given)
    except Exception as error:  # of any type, raised by the other library
        refuse_conversion(rows, error, "inputs")
