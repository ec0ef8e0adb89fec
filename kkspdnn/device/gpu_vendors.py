"""Detects GPUs of vendors that kkspdnn does not support."""

from __future__ import annotations

from pathlib import Path

_DEVICES = Path("/sys/bus/pci/devices")
_VENDORS = {"0x1002": "AMD", "0x8086": "Intel"}
_GPU_CLASSES = ("0x03", "0x12")
"""Prefixes of the PCI classes of display controllers and of processing accelerators."""


def unsupported_gpu_vendors(devices: Path = _DEVICES) -> tuple[str, ...]:
    """Return the vendors of this machine's GPUs other than NVIDIA's: AMD, Intel.

    devices: the kernel's folder of PCI devices
    """
    vendors = set()
    for folder in devices.glob("*"):
        try:
            vendor = (folder / "vendor").read_text().strip()
            pci_class = (folder / "class").read_text().strip()
        except OSError:
            continue
        if vendor in _VENDORS and pci_class.startswith(_GPU_CLASSES):
            vendors.add(_VENDORS[vendor])
    return tuple(sorted(vendors))
