"""The launches of the SpGEMM engine: the interface, and the form with a thread for each row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from kkspdnn.device.space import Space
from kkspdnn.engines.csr import Csr
from kkspdnn.model.layers import Layer
from kkspdnn.workunits import bias, relu, spgemm


class Product(Protocol):
    """The two passes of Y W."""

    def symbolic(self) -> tuple[Any, int]:
        """Return the number of entries of each row of Z, int64, and that of multiplications."""

    def numeric(self, z: Csr) -> None:
        """Write the columns, ascending, and the values of Z, whose offsets are known."""


class SpgemmKernels(Protocol):
    """The workunits of one execution space. Their results do not depend on the form."""

    def pack(self, layer: Layer) -> Any:
        """Return the weights of a layer, with NumPy arrays, in the form that `product` takes.

        Their attributes `columns` and `nbytes` and method `to_device` are those of Csr.
        """

    def product(self, y: Csr, w: Any) -> Product:
        """Return the passes of Y W."""

    def add_bias(self, z: Csr, vector: Any) -> None:
        """Add the bias to the nonzero entries of Z, in place."""

    def relu_symbolic(self, z: Csr, low: Any, size: Any) -> None:
        """Write the number of entries of each row that the ReLU keeps."""

    def relu_numeric(self, z: Csr, y: Csr, limits: dict[str, Any]) -> None:
        """Write the columns and values of Y, whose offsets are known.

        limits: `low` and `ymax`
        """


@dataclass(frozen=True)
class ThreadKernels:
    """A thread computes a row, for a CPU."""

    space: Space

    def pack(self, layer: Layer) -> Csr:
        return Csr.from_scipy(layer.weights())

    def product(self, y: Csr, w: Csr) -> Product:
        stamp = self.space.zeros((self.space.threads, w.columns), np.int32)
        return _ThreadProduct(self.space, y, w, stamp)

    def add_bias(self, z: Csr, vector: Any) -> None:
        self.space.pk.parallel_for(
            "add_bias",
            self.space.range(z.rows),
            bias.add_bias,
            start=z.start,
            index=z.index,
            value=z.value,
            bias=vector,
        )

    def relu_symbolic(self, z: Csr, low: Any, size: Any) -> None:
        self.space.pk.parallel_for(
            "relu_symbolic",
            self.space.range(z.rows),
            relu.relu_symbolic,
            start=z.start,
            value=z.value,
            low=low,
            size=size,
        )

    def relu_numeric(self, z: Csr, y: Csr, limits: dict[str, Any]) -> None:
        self.space.pk.parallel_for(
            "relu_numeric",
            self.space.range(z.rows),
            relu.relu_numeric,
            **relu_arrays(z, y),
            **limits,
        )


@dataclass(frozen=True, eq=False)
class _ThreadProduct:
    """stamp: (threads, columns of W) of zeros"""

    space: Space
    y: Csr
    w: Csr
    stamp: Any

    def symbolic(self) -> tuple[Any, int]:
        space = self.space
        size = space.empty(self.y.rows, np.int64)
        computed_edges = space.pk.parallel_reduce(
            "spgemm_symbolic",
            space.range(space.threads),
            spgemm.spgemm_symbolic,
            size=size,
            stamp=self.stamp,
            **self._factors(),
        )
        return size, int(computed_edges)

    def numeric(self, z: Csr) -> None:
        space = self.space
        self.stamp.fill(0)
        space.pk.parallel_for(
            "spgemm_numeric",
            space.range(space.threads),
            spgemm.spgemm_numeric,
            yvalue=self.y.value,
            wvalue=self.w.value,
            zstart=z.start,
            zindex=z.index,
            zvalue=z.value,
            stamp=self.stamp,
            accumulator=space.zeros(self.stamp.shape, self.w.value.dtype),
            columns=self.w.columns,
            **self._factors(),
        )

    def _factors(self) -> dict[str, Any]:
        return {
            "ystart": self.y.start,
            "yindex": self.y.index,
            "wstart": self.w.start,
            "windex": self.w.index,
            "rows": self.y.rows,
            "workers": self.space.threads,
        }


def relu_arrays(z: Csr, y: Csr) -> dict[str, Any]:
    """Return the arrays of Z and Y as arguments of both forms of relu_numeric."""
    return {
        "zstart": z.start,
        "zindex": z.index,
        "zvalue": z.value,
        "ystart": y.start,
        "yindex": y.index,
        "yvalue": y.value,
    }
