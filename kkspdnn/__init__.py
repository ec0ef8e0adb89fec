"""Sparse deep neural network inference from PyKokkos workunits.

In three lines::

    import kkspdnn as kk

    net = kk.radixnet(neurons=1024, layers=120)
    result = kk.infer(net, kk.images(1024), space="openmp")

`result.categories` are the rows with any nonzero value, `result.record` says how it went.
"""

from kkspdnn.challenge import read_categories, read_images, read_network
from kkspdnn.errors import CacheError, InputError, KkspdnnError, SpaceError, ToolchainError
from kkspdnn.inference import Result, infer
from kkspdnn.inputs import Inputs
from kkspdnn.mnist import mnist_images
from kkspdnn.networks import Layer, Network, network
from kkspdnn.npz import read_npz_inputs, read_npz_network, save_npz_network
from kkspdnn.predictor import Predictor
from kkspdnn.pruning import prune
from kkspdnn.pruning.dense_files import read_dense_network
from kkspdnn.radix_net import radixnet
from kkspdnn.record import Record
from kkspdnn.serial_reference import reference
from kkspdnn.shipped_images import images
from kkspdnn.torch_models import from_torch

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
    "from_torch",
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
    "reference",
    "save_npz_network",
]
