"""Sparse deep neural network inference with PyKokkos workunits.

Example::

    import kkspdnn as kk

    net = kk.radixnet(neurons=1024, layers=120)
    result = kk.infer(net, kk.images(1024), space="openmp")

`result.categories` holds the numbers of the input rows with a nonzero output. `result.record` holds
the configuration, the timings and the verification result.

Each public name is imported on first access (PEP 562), so `import kkspdnn` loads neither NumPy nor
SciPy.

After `import kkspdnn`, `import pykokkos as pk` imports the built-in compiler of workunits where no
real PyKokkos is used, see `kkspdnn.pk`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from kkspdnn.pykokkos_finder import install_finder

if TYPE_CHECKING:
    from kkspdnn.errors import CacheError, InputError, KkspdnnError, SpaceError, ToolchainError
    from kkspdnn.inference import Result, infer
    from kkspdnn.io.challenge import read_categories, read_images, read_network
    from kkspdnn.io.dense import read_dense_network
    from kkspdnn.io.input_rows import read_rows
    from kkspdnn.io.mnist import mnist_images
    from kkspdnn.io.npz import read_npz_inputs, read_npz_network, save_npz_network
    from kkspdnn.io.onnx_models import from_onnx
    from kkspdnn.io.pytorch import from_torch
    from kkspdnn.io.shipped_images import image_labels, images
    from kkspdnn.model.inputs import Inputs
    from kkspdnn.model.layers import Layer
    from kkspdnn.model.network import Network, network
    from kkspdnn.model.radixnet import radixnet
    from kkspdnn.predictor import Predictor
    from kkspdnn.pruning.prune import prune
    from kkspdnn.records.run import Record
    from kkspdnn.serial_reference import reference
    from kkspdnn.torch import compile
    from kkspdnn.tuning.api import tune

__version__: str

__all__ = [
    "CacheError",
    "InputError",
    "Inputs",
    "KkspdnnError",
    "Layer",
    "Network",
    "Predictor",
    "Record",
    "Result",
    "SpaceError",
    "ToolchainError",
    "compile",
    "from_onnx",
    "from_torch",
    "image_labels",
    "images",
    "infer",
    "mnist_images",
    "network",
    "prune",
    "radixnet",
    "read_categories",
    "read_dense_network",
    "read_images",
    "read_network",
    "read_npz_inputs",
    "read_npz_network",
    "read_rows",
    "reference",
    "save_npz_network",
    "tune",
]

_MODULES = {
    "io.challenge": ("read_categories", "read_images", "read_network"),
    "errors": ("CacheError", "InputError", "KkspdnnError", "SpaceError", "ToolchainError"),
    "inference": ("Result", "infer"),
    "model.inputs": ("Inputs",),
    "io.input_rows": ("read_rows",),
    "io.mnist": ("mnist_images",),
    "model.layers": ("Layer",),
    "model.network": ("Network", "network"),
    "io.npz": ("read_npz_inputs", "read_npz_network", "save_npz_network"),
    "predictor": ("Predictor",),
    "io.dense": ("read_dense_network",),
    "pruning.prune": ("prune",),
    "model.radixnet": ("radixnet",),
    "records.run": ("Record",),
    "serial_reference": ("reference",),
    "io.shipped_images": ("image_labels", "images"),
    "io.onnx_models": ("from_onnx",),
    "io.pytorch": ("from_torch",),
    "torch": ("compile",),
    "tuning.api": ("tune",),
}
"""The public names by the module that defines them."""

install_finder()


def __getattr__(name: str) -> object:
    if name == "__version__":
        return import_module("kkspdnn.version").own_version()
    for module, names in _MODULES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(f"kkspdnn.{module}"), name)
            return value
    if name == "torch":
        return import_module("kkspdnn.torch")
    raise AttributeError(f"module 'kkspdnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__", "torch"})
