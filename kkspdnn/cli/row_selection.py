"""The input rows that the options of a run select."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kkspdnn.device.memory import Budget
from kkspdnn.errors import InputError
from kkspdnn.io.input_rows import check_rows_shape, read_rows
from kkspdnn.io.mnist import MNIST_NEURONS, mnist_images
from kkspdnn.io.shipped_images import images
from kkspdnn.model.inputs import Inputs

_SHIPPED_ROWS = 60_000


@dataclass(frozen=True)
class RowSelection:
    """The options that select input rows. At most one of three is set, else InputError.

    rows: the number of rows (--inputs), or None for all
    file: a file of input rows (--rows)
    mnist: a file of raw MNIST images (--mnist)
    shipped: whether the shipped images are asked for (--shipped-images)
    budget: of memory
    """

    rows: int | None
    file: Path | None
    mnist: Path | None
    shipped: bool
    budget: Budget

    def __post_init__(self) -> None:
        given = self._given
        if len(given) > 1:
            raise InputError(f"{given[0]} and {given[1]} both select the input rows; give one")

    @property
    def is_given(self) -> bool:
        """Whether an option selects the input rows."""
        return bool(self._given)

    @property
    def _given(self) -> list[str]:
        options = {
            "--rows": self.file is not None,
            "--mnist": self.mnist is not None,
            "--shipped-images": self.shipped,
        }
        return [option for option, is_set in options.items() if is_set]

    def check(self, neurons: int, network: str) -> None:
        """Raise InputError if it is known before reading that the rows do not fit.

        neurons: of an input row; network: what takes them, for the message
        """
        if self.file is not None:
            check_rows_shape(self.file, neurons, self.rows, network)
        if self.mnist is not None and neurons not in MNIST_NEURONS:
            *sizes, largest = map(str, MNIST_NEURONS)
            raise InputError(
                f"--mnist makes rows of {', '.join(sizes)} or {largest} neurons, but {network} has "
                f"{neurons}; use --rows"
            )

    def read(self, neurons: int) -> Inputs:
        """Read the rows of the file or the images, or generate the shipped images."""
        if self.file is not None:
            return read_rows(self.file, neurons, self.rows, budget=self.budget)
        if self.mnist is not None:
            return mnist_images(self.mnist, neurons, self.rows)
        shipped = _SHIPPED_ROWS if self.rows is None else min(self.rows, _SHIPPED_ROWS)
        what = f"--neurons {neurons}: {shipped} input rows"
        self.budget.require(shipped * (neurons // 8), what)
        return images(neurons, self.rows)
