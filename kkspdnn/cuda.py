"""What a CUDA run needs, and what of it this machine has."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from kkspdnn.pk.driver import LIBRARY, devices, has_driver
from kkspdnn.pk.nvcc import REMEDY, nvcc_path


@dataclass(frozen=True)
class Part:
    """One thing that CUDA needs: where it was found, or what to do about it."""

    name: str
    found: str | None
    remedy: str


def cuda_parts() -> list[Part]:
    """Driver, device, compiler and CuPy, each looked for."""
    named = "; ".join(f"{each.number}: {each.name}, {each.arch}" for each in devices())
    return [
        Part("driver", LIBRARY if has_driver() else None, f"install the NVIDIA driver ({LIBRARY})"),
        Part("device", named or None, "run on a machine with a GPU"),
        Part("compiler", nvcc_path(), REMEDY),
        Part(
            "CuPy",
            "installed" if find_spec("cupy") else None,
            'pip install cupy-cuda13x, or "kkspdnn[cuda]"',
        ),
    ]
