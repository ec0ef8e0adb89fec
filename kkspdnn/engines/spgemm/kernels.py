"""The interface of the kernels of the SpGEMM engine in an execution space."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from kkspdnn.choices import Epilogue
from kkspdnn.device.double_buffer import ToDevice
from kkspdnn.engines.spgemm.csr import Csr
from kkspdnn.engines.spgemm.layer import SpgemmLayer
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Layer
from kkspdnn.model.matrices import Floats


class Weights(Protocol):
    """The weights of a layer in the form of the kernels."""

    @property
    def index(self) -> Any:
        """The neuron of each edge, or its place, as an array."""

    @property
    def nbytes(self) -> int:
        """The bytes of the arrays."""

    def to_device(self, copy: ToDevice) -> Any:
        """Return these weights with their arrays copied by `copy`."""


class Activations(Protocol):
    """Activations in the form of the kernels."""

    @property
    def rows(self) -> int:
        """The number of rows."""

    @property
    def columns(self) -> int:
        """The number of neurons."""

    @property
    def dense_share(self) -> float:
        """The share of activations that take part in products even if they are zero."""


class SpgemmKernels(Protocol):
    """Products, bias and ReLU of an execution space. Results do not depend on the form."""

    @property
    def zero_rows_cost(self) -> bool:
        """Whether rows of zeros may take part in products."""

    def pack(self, layer: Layer) -> Weights:
        """Return the weights of a layer, with NumPy arrays."""

    def max_rows(self, inputs: Inputs, dense_rows: int) -> int:
        """Return the largest number of input rows to compute together, which fit into memory.

        dense_rows: the number whose activations fit if all of them are nonzero
        """

    def fits(self, y: Any, layer: SpgemmLayer, dense_rows: int) -> bool:
        """Return whether activations fit into memory, and those after a layer too if each
        multiplication makes a nonzero.

        y: activations, or a CSR matrix; dense_rows: see `max_rows`
        """

    def chunk_rows(self, inputs: Inputs) -> int:
        """Return the number of input rows to compute together, if memory allows."""

    def copy_weights(
        self, inputs: Inputs, rows: int, layers: Sequence[SpgemmLayer], spare: int
    ) -> None:
        """Copy the weights of layers into another form, if products are faster with it.

        rows: number of input rows that are computed together
        spare: maximum number of bytes of the layers that are copied
        """

    def allocate(self, inputs: Inputs, rows: int) -> None:
        """Allocate memory for the activations of `rows` input rows, if its size is known."""

    def load(self, y: Csr) -> Activations:
        """Return a CSR matrix, in the memory of the space, as activations."""

    def forms(self, y: Csr) -> Iterable[Activations]:
        """Return activations as `load`, in each of the forms that need workunits of their own.

        Each of them is valid until the next one.
        """

    def select(self, y: Any, selected: NDArray[Any]) -> Activations:
        """Return rows of activations, in the form and grouping that is fast for them.

        selected: int64, the numbers of the rows, ascending
        """

    def regrouped(self, y: Any) -> bool:
        """Return whether `select` would now choose a form or grouping with much faster products."""

    def to_csr(self, y: Any) -> Csr:
        """Return activations as CSR, columns ascending."""

    def compute(self, y: Any, layer: SpgemmLayer) -> tuple[Activations, int]:
        """Return the activations after a layer and the number of multiplications, computed by one
        workunit for product, bias and ReLU."""

    def multiply(self, y: Any, layer: SpgemmLayer) -> tuple[Activations, int]:
        """Return Z = Y W and the number of multiplications."""

    def add_bias(self, z: Any, layer: SpgemmLayer) -> None:
        """Add the bias to the nonzeros of Z, in place."""

    def relu(self, z: Any, layer: SpgemmLayer) -> Activations:
        """Return min(max(Z, low), ymax)."""

    def row_ranges(self, y: Any) -> tuple[Floats, Floats]:
        """Return the smallest and the largest activation of each row, zeros included."""

    def finite(self, y: Any) -> bool:
        """Return whether no activation is infinite or NaN."""


def compute_layer(
    kernels: SpgemmKernels, y: Activations, layer: SpgemmLayer, epilogue: Epilogue
) -> tuple[Activations, int]:
    """Return the activations after a layer and the number of multiplications."""
    if epilogue == "fused":
        return kernels.compute(y, layer)
    z, multiplications = kernels.multiply(y, layer)
    kernels.add_bias(z, layer)
    return kernels.relu(z, layer), multiplications
