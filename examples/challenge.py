"""Run a network of the Sparse DNN Graph Challenge and list its categories.

    python examples/challenge.py                       # a generated network
    python examples/challenge.py --data DIR            # the official files in DIR
    python examples/challenge.py --neurons 4096 --layers 480

Without --data, the network is a RadiX-Net with the structure of the official one, and the input
rows are the 60,000 MNIST images that come with kkspdnn.
"""

import argparse

import numpy as np

import kkspdnn as kk


def main() -> None:
    """Read or generate the network, run it, and compare its categories with the official ones."""
    parser = argparse.ArgumentParser(description="Run a network of the Graph Challenge.")
    parser.add_argument("--data", help="folder with neuron1024/ and sparse-images-1024.tsv")
    parser.add_argument("--neurons", type=int, default=1024)
    parser.add_argument("--layers", type=int, default=120)
    options = parser.parse_args()

    expected = None
    if options.data is None:
        network = kk.radixnet(options.neurons, options.layers)
        rows = kk.images(options.neurons)
    else:
        network = kk.read_network(options.data, options.neurons, options.layers)
        rows = kk.read_images(options.data, options.neurons)
        expected = kk.read_categories(options.data, options.neurons, options.layers)

    # verify="sample" compares some of the rows with a serial SciPy reference.
    result = kk.infer(network, rows, space="openmp", verify="sample")

    record = result.record
    print(f"{network.name}: {record.inputs:,} rows in {record.inference_seconds:.3f} s")
    print(f"rate: {record.edges_per_second:.3g} edges/s")
    print(f"categories: {result.categories.size:,}, the first are {result.categories[:5]}")
    print(f"serial reference: {'agrees' if record.verified.passed else 'DIFFERS'}")
    if expected is not None:
        same = np.array_equal(result.categories, expected)
        print(f"official categories: {'the same' if same else 'DIFFERENT'}")


if __name__ == "__main__":
    main()
