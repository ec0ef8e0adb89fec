"""What peers on a GPU have in common."""

from __future__ import annotations

from bench.peer import missing
from kkspdnn.device.cuda_check import cuda_requirements
from kkspdnn.pk.system.cuda_driver import devices

CHUNK = 1 << 14
"""Input rows that go through all layers together: enough to keep a GPU busy."""


def missing_on_gpu(module: str, package: str) -> str | None:
    """What to say where a module cannot be imported, or where there is no GPU."""
    reason = missing(module, package)
    return reason if reason is not None or devices() else "no GPU"


def missing_to_compile() -> str | None:
    """What to say where one cannot compile for a GPU and run that, as kkspdnn does."""
    missing = [each.name for each in cuda_requirements() if each.detected is None]
    return f"no {', no '.join(missing)}; see kkspdnn info" if missing else None
