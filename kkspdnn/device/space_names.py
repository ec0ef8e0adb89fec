"""Names of execution spaces: which there are, and why a name is refused."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from kkspdnn.choices import SPACES
from kkspdnn.errors import shown

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
"""What somebody may know from Kokkos or another library, in lower case without `_` and `-`."""


def refusal(name: object, choices: Sequence[str] = SPACES) -> str:
    """Why a name that is none of `choices` is refused, and what there is; one line."""
    available = ", ".join(f"{each} (NVIDIA GPUs)" if each == "cuda" else each for each in choices)
    plain = _plain(name) if isinstance(name, str) else ""
    if plain in choices:
        return f"space {shown(name)} is unknown: write {plain}"
    if plain in _REASONS:
        return f"space {shown(name)}: {_REASONS[plain]}; choose one of {available}"
    return f"space {shown(name)} is unknown: choose one of {available}"


def _plain(name: str) -> str:
    """`Kokkos::Experimental::HIP`, `pk.HIP` and ` Hip ` are `hip`."""
    last = name.strip().lower().rpartition(":")[2].rpartition(".")[2]
    return last.replace("_", "").replace("-", "")


def add_space_option(
    parser: argparse.ArgumentParser,
    choices: Sequence[str] = SPACES,
    default: str = "openmp",
    what: str = "execution space",
) -> None:
    """Add the option --space, whose help is `what` and the default."""
    parser.add_argument(
        "--space",
        type=space_option(choices),
        choices=choices,
        default=default,
        help=f"{what} ({default})",
    )


def space_option(choices: Sequence[str] = SPACES) -> Callable[[str], str]:
    """For argparse: a name of `choices` as it is; every other one is refused in one line."""

    def space(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(refusal(text, choices))
        return text

    return space
