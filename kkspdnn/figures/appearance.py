"""Colours and markers of implementations, machines and published results.

An implementation has the same colour and marker in every figure, whichever others are in it. So has
a machine, in all figures that are drawn from the same records. Most colours are those of Okabe and
Ito ("Color Universal Design", 2008); markers differ as well, for grey printers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kkspdnn.figures.hardware import Machine

BLUE, ORANGE, GREEN, PINK = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
SKY, VERMILION, BLACK, SILVER = "#56B4E9", "#D55E00", "#000000", "#999999"
NAVY, PURPLE, BROWN, OLIVE = "#00304F", "#7A5195", "#8C510A", "#7F7F00"
GREY = "#555555"
"""Of published results, of other machines."""


@dataclass(frozen=True)
class Look:
    """The appearance of a curve or point.

    is_hollow: whether the marker is filled with white
    line: a Matplotlib line style
    """

    colour: str
    marker: str
    is_hollow: bool = False
    line: str = "-"

    def style(self, size: float = 4) -> dict[str, Any]:
        """Return the arguments for `Axes.plot` and `Axes.errorbar`, without the line's width."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "markersize": size,
            "markerfacecolor": "white" if self.is_hollow else self.colour,
            "linestyle": self.line,
        }


_KKSPDNN = {
    "all": Look(BLUE, "o"),
    "fold": Look(NAVY, "D"),
    "dead": Look(SKY, "v"),
    "none": Look(PURPLE, "s"),
    "spgemm": Look(GREEN, "^"),
    "pykokkos": Look(BLUE, "o", is_hollow=True),
}
_LIBRARIES = {
    "scipy": Look(SILVER, "X"),
    "mkl": Look(ORANGE, "P"),
    "graphblas": Look(PINK, "p"),
    "kokkos-kernels": Look(VERMILION, "h"),
    "torch": Look(BLACK, "*"),
    "numba": Look(BROWN, "<"),
    "tvm": Look(OLIVE, ">"),
    "octave": Look(GREY, "d"),
    "reference": Look(GREY, "x"),
    "cusparse": Look(ORANGE, "s"),
}
_INFERENCE_ENGINES = {
    "kkspdnn": _KKSPDNN["all"],
    "DeepSparse": Look(VERMILION, "s"),
    "MKL CSR": _LIBRARIES["mkl"],
    "SciPy CSR": _LIBRARIES["scipy"],
    "SciPy BSR": Look(SILVER, "D"),
    "OpenVINO": Look(SKY, "v", is_hollow=True),
    "ONNX Runtime": Look(PINK, "D", is_hollow=True),
    "PyTorch": Look(BLACK, "*", is_hollow=True),
    "NumPy": Look(SILVER, "o", is_hollow=True),
    "cuSPARSE CSR": _LIBRARIES["cusparse"],
    "cuSPARSE CSR, with copies": Look(ORANGE, "s", is_hollow=True),
    "cuBLAS": Look(BLACK, "^", is_hollow=True),
    "cuBLAS, with copies": Look(GREY, "^", is_hollow=True),
}
_PATTERNS = {
    "balanced": Look(BLUE, "o"),
    "unstructured": Look(ORANGE, "s"),
    "block": Look(GREEN, "^"),
}
_KNOWN = _KKSPDNN | _LIBRARIES | _INFERENCE_ENGINES | _PATTERNS
_OTHERS = tuple(
    Look(colour, marker)
    for marker in ("H", "8", "d", "4")
    for colour in (BROWN, OLIVE, PURPLE, VERMILION, GREY)
)
_MACHINES = tuple(
    Look(*each)
    for each in zip(
        (BLUE, ORANGE, GREEN, VERMILION, PURPLE, BLACK, SKY, PINK), "os^DvPXh", strict=True
    )
)
_PUBLISHED = "s^vDPXdh<>"


def looks(names: Iterable[str]) -> dict[str, Look]:
    """Return the appearance of implementations or pruning patterns by name.

    Names that are not known get appearances that no known one has, in the order of the names. A
    name such as "tvm-drop" looks like "tvm".
    """
    distinct = list(dict.fromkeys(names))
    unknown = iter(_OTHERS * (1 + len(distinct) // len(_OTHERS)))
    found = {}
    for name in distinct:
        family = next((n for n in (name, name.partition("-")[0]) if n in _KNOWN), None)
        found[name] = next(unknown) if family is None else _KNOWN[family]
    return found


def machine_looks(machines: Sequence[Machine]) -> Mapping[Machine, Look]:
    """Return the appearance of each machine, in this order."""
    return {machine: _MACHINES[i % len(_MACHINES)] for i, machine in enumerate(machines)}


def published_look(index: int) -> Look:
    """Return the appearance of published results number `index`: grey with a hollow marker."""
    return Look(GREY, _PUBLISHED[index % len(_PUBLISHED)], is_hollow=True, line=":")
