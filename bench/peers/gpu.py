"""Constants and availability checks that peers on a GPU share."""

from __future__ import annotations

from bench.peer import missing_package
from kkspdnn.device.cuda_check import cuda_requirements
from kkspdnn.pk.system.cuda_driver import devices

CHUNK = 1 << 14
"""Input rows that pass through all layers as one batch: enough to occupy a GPU."""


def missing_gpu_package(module: str, package: str) -> str | None:
    """Return None if a module can be imported and there is a GPU, else the reason why not."""
    reason = missing_package(module, package)
    return reason if reason is not None or devices() else "no GPU"


def missing_cuda_toolchain() -> str | None:
    """Return None if kkspdnn can compile for a GPU and run there, else what is missing."""
    missing = [each.name for each in cuda_requirements() if each.detected is None]
    return f"no {', no '.join(missing)}; see kkspdnn info" if missing else None
