"""GPUs of this machine that kkspdnn does not run on."""

from __future__ import annotations

from pathlib import Path

_DEVICES = Path("/sys/bus/pci/devices")
_VENDORS = {"0x1002": "AMD", "0x8086": "Intel"}
_CLASSES = ("0x03", "0x12")
"""How the PCI class of a display controller and of a processing accelerator begins."""


def other_gpus(devices: Path = _DEVICES) -> tuple[str, ...]:
    """The vendors of GPUs that are not NVIDIA's, AMD or Intel, as the kernel lists them."""
    found = set()
    for folder in devices.glob("*"):
        try:
            vendor = (folder / "vendor").read_text().strip()
            kind = (folder / "class").read_text().strip()
        except OSError:
            continue
        if vendor in _VENDORS and kind.startswith(_CLASSES):
            found.add(_VENDORS[vendor])
    return tuple(sorted(found))
