"""The option --space, and error messages for unknown names of execution spaces."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from kkspdnn.choices import SPACES
from kkspdnn.errors import did_you_mean, short_repr

_AMD = "AMD GPUs are not supported"
_INTEL = "Intel GPUs are not supported"
_BACKEND = "this Kokkos backend is not supported"

_REASONS = {
    "hip": _AMD,
    "rocm": _AMD,
    "amd": _AMD,
    "sycl": _INTEL,
    "oneapi": _INTEL,
    "xpu": _INTEL,
    "openmptarget": _BACKEND,
    "openacc": _BACKEND,
    "threads": _BACKEND,
    "pthreads": _BACKEND,
    "hpx": _BACKEND,
    "opencl": "OpenCL is not supported",
    "vulkan": "Vulkan is not supported",
    "metal": "Apple GPUs are not supported",
    "mps": "Apple GPUs are not supported",
}
"""Names of spaces in Kokkos and other libraries, in lower case without `_` and `-`."""


def unknown_space(name: object, choices: Sequence[str] = SPACES) -> str:
    """Return the one-line error message for a name that is not in `choices`."""
    available = ", ".join(f"{each} (NVIDIA GPUs)" if each == "cuda" else each for each in choices)
    normalized = _normalized(name) if isinstance(name, str) else ""
    if normalized in choices:
        return f"space {short_repr(name)} is unknown: write {normalized}"
    if normalized in _REASONS:
        return f"space {short_repr(name)}: {_REASONS[normalized]}; choose one of {available}"
    close = did_you_mean(normalized, choices)
    return f"space {short_repr(name)} is unknown{close}: choose one of {available}"


def _normalized(name: str) -> str:
    """Return `hip` for `Kokkos::Experimental::HIP`, `pk.HIP` and ` Hip `."""
    last = name.strip().lower().rpartition(":")[2].rpartition(".")[2]
    return last.replace("_", "").replace("-", "")


def add_space_option(
    parser: argparse._ActionsContainer,
    choices: Sequence[str] = SPACES,
    default: str = "openmp",
    what: str = "execution space",
) -> None:
    """Add the option --space to a parser or a group of options.

    what: its help, to which the default is added
    """
    parser.add_argument(
        "--space",
        type=space_option(choices),
        choices=choices,
        default=default,
        help=f"{what} ({default})",
    )


def space_option(choices: Sequence[str] = SPACES) -> Callable[[str], str]:
    """Return a type for argparse that accepts only the names in `choices`."""

    def space(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(unknown_space(text, choices))
        return text

    return space
