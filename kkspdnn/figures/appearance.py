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
SKY, VERMILION, BLACK = "#56B4E9", "#D55E00", "#000000"
NAVY, PURPLE, BROWN, OLIVE = "#00304F", "#7A5195", "#8C510A", "#7F7F00"
CRIMSON, TEAL = "#9E1B32", "#20A5A5"
GREY = "#555555"
"""Of published results, of other machines, and of lines that are no measurement."""


@dataclass(frozen=True)
class Style:
    """The appearance of a curve or point.

    is_hollow: whether the marker is filled with white
    line: a Matplotlib line style
    """

    colour: str
    marker: str
    is_hollow: bool = False
    line: str = "-"

    def keywords(self, size: float = 4) -> dict[str, Any]:
        """Return the arguments for `Axes.plot` and `Axes.errorbar`, without the line's width."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "markersize": size,
            "markerfacecolor": "white" if self.is_hollow else self.colour,
            "linestyle": self.line,
        }


_KKSPDNN = {
    "all": Style(BLUE, "o"),
    "fold": Style(NAVY, "D"),
    "dead": Style(SKY, "v"),
    "none": Style(PURPLE, "s"),
    "spgemm": Style(GREEN, "^"),
    "pykokkos": Style(BLUE, "o", is_hollow=True),
}
_LIBRARIES = {
    "scipy": Style(CRIMSON, "X"),
    "mkl": Style(ORANGE, "P"),
    "graphblas": Style(PINK, "p"),
    "kokkos-kernels": Style(VERMILION, "h"),
    "torch": Style(BLACK, "*"),
    "numba": Style(BROWN, "<"),
    "tvm": Style(OLIVE, ">"),
    "octave": Style(TEAL, "d"),
    "reference": Style(BLACK, "x"),
    "cusparse": Style(ORANGE, "s"),
}
_INFERENCE_ENGINES = {
    "kkspdnn": _KKSPDNN["all"],
    "DeepSparse": Style(VERMILION, "s"),
    "MKL CSR": _LIBRARIES["mkl"],
    "SciPy CSR": _LIBRARIES["scipy"],
    "SciPy BSR": Style(CRIMSON, "d"),
    "OpenVINO": Style(SKY, "v", is_hollow=True),
    "ONNX Runtime": Style(PINK, "D", is_hollow=True),
    "PyTorch": Style(BLACK, "*", is_hollow=True),
    "NumPy": Style(TEAL, "o", is_hollow=True),
    "cuSPARSE CSR": _LIBRARIES["cusparse"],
    "cuSPARSE CSR, with copies": Style(ORANGE, "s", is_hollow=True),
    "cuBLAS": Style(BLACK, "^", is_hollow=True),
    "cuBLAS, with copies": Style(PURPLE, "^", is_hollow=True),
}
_PATTERNS = {
    "balanced": Style(BLUE, "o"),
    "unstructured": Style(ORANGE, "s"),
    "block": Style(GREEN, "^"),
}
_KNOWN = _KKSPDNN | _LIBRARIES | _INFERENCE_ENGINES | _PATTERNS
_OTHERS = tuple(
    Style(colour, marker)
    for marker in ("H", "8", "d", "4")
    for colour in (BROWN, OLIVE, PURPLE, VERMILION, NAVY)
)
_MACHINES = tuple(
    Style(*each)
    for each in zip(
        (BLUE, ORANGE, GREEN, VERMILION, PURPLE, BLACK, SKY, PINK), "os^DvPXh", strict=True
    )
)
_PUBLISHED = "s^vDPXdh<>"


def implementation_styles(names: Iterable[str]) -> dict[str, Style]:
    """Return the appearance of implementations or pruning patterns by name.

    Names that are not known get appearances that no known one has, in the order of the names. A
    name such as "tvm-drop" has the appearance of "tvm".
    """
    distinct = list(dict.fromkeys(names))
    unknown = iter(_OTHERS * (1 + len(distinct) // len(_OTHERS)))
    found = {}
    for name in distinct:
        family = next((n for n in (name, name.partition("-")[0]) if n in _KNOWN), None)
        found[name] = next(unknown) if family is None else _KNOWN[family]
    return found


def machine_styles(machines: Sequence[Machine]) -> Mapping[Machine, Style]:
    """Return the appearance of each machine, in this order."""
    return {machine: _MACHINES[i % len(_MACHINES)] for i, machine in enumerate(machines)}


def published_style(index: int) -> Style:
    """Return the appearance of published results number `index`: grey with a hollow marker."""
    return Style(GREY, _PUBLISHED[index % len(_PUBLISHED)], is_hollow=True)
