"""Run a pruned PyTorch network in kkspdnn and compare its outputs.

    python examples/pruned_pytorch.py

Without PyTorch the same network is built from SciPy matrices.
"""

from itertools import pairwise
from time import perf_counter

import numpy as np
import scipy.sparse as sp

import kkspdnn as kk

SIZES = 784, 1024, 1024, 10
SPARSITY = 0.9


def pruned_model():
    """A perceptron in PyTorch with 90 % of the weights pruned. Train yours before and after."""
    import torch
    from torch.nn.utils import prune

    torch.manual_seed(0)
    modules = []
    for inputs, outputs in pairwise(SIZES):
        linear = torch.nn.Linear(inputs, outputs)
        prune.l1_unstructured(linear, "weight", amount=SPARSITY)
        modules += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*modules[:-1]).eval()  # no ReLU after the last layer


def pruned_network():
    """The same layers from SciPy: weights (inputs, outputs), a bias on all sums, ReLU between."""
    rng = np.random.default_rng(0)
    layers = []
    for inputs, outputs in pairwise(SIZES):
        weights = sp.random_array(
            (inputs, outputs), density=1 - SPARSITY, rng=rng, dtype=np.float32
        )
        weights.data = (weights.data - 0.5) / np.sqrt(inputs)
        last = outputs == SIZES[-1]
        layers.append(
            kk.Layer.from_sparse(
                weights,
                rng.normal(0, 0.1, outputs),
                activation="linear" if last else "relu",
                bias_to="all",
            )
        )
    return kk.network(layers, ymax=None)


def main() -> None:
    """Build the network, run it, and compare it with PyTorch or the serial reference."""
    rows = np.random.default_rng(1).random((4096, SIZES[0]), np.float32)
    try:
        import torch
    except ModuleNotFoundError:
        print("PyTorch is not installed (pip install torch): layers from SciPy instead")
        network = pruned_network()
        expected = kk.reference(network, rows).toarray()
    else:
        model = pruned_model()
        network = kk.from_torch(model)  # weights of 0 become missing edges
        with torch.no_grad():
            expected = model(torch.from_numpy(rows)).numpy()

    predict = kk.Predictor(network, space="openmp")  # compiles and packs once
    started = perf_counter()
    outputs = predict(rows)
    seconds = perf_counter() - started

    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)
    print(f"{network.edges:,} edges, {rows.shape[0]:,} rows in {seconds:.3f} s")
    print(f"largest difference from the expected outputs: {np.abs(outputs - expected).max():.1e}")


if __name__ == "__main__":
    main()
