"""A pruned network as the last step of a scikit-learn Pipeline, compared with dense NumPy.

    python examples/sklearn_pipeline.py

It needs scikit-learn, which trains the network on its own 8 x 8 digits.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import kkspdnn as kk

SPARSITY = 0.7


def pruned_network(classifier: MLPClassifier) -> kk.Network:
    """The layers of a trained perceptron without the 70 % smallest weights of each layer.

    The outputs are the inputs of the softmax; the largest one is the digit.
    """
    layers = [
        kk.Layer.from_sparse(
            weights.astype(np.float32),
            bias,
            activation="linear" if number == classifier.n_layers_ - 1 else "relu",
            bias_to="all",
        )
        for number, (weights, bias) in enumerate(
            zip(classifier.coefs_, classifier.intercepts_, strict=True), start=1
        )
    ]
    dense = kk.network(layers, ymax=None)
    return kk.prune(dense, method="unstructured", sparsity=SPARSITY)


def dense_outputs(network: kk.Network, rows: np.ndarray) -> np.ndarray:
    """The outputs of the pruned network by matrix products of NumPy."""
    for layer in network.layers:
        rows = rows @ layer.weights().toarray() + layer.bias
        if layer.activation == "relu":
            rows = np.maximum(rows, 0)
    return rows


def main() -> None:
    """Train and prune a network, put it into a Pipeline, and check the outputs."""
    images, digits = load_digits(return_X_y=True)
    train, test, train_digits, test_digits = train_test_split(
        images.astype(np.float32), digits, random_state=0
    )
    scaler = StandardScaler().fit(train)
    classifier = MLPClassifier((256, 128), random_state=0).fit(
        scaler.transform(train), train_digits
    )
    network = pruned_network(classifier)

    # Both steps are fitted already, so the Pipeline is not.
    pipeline = make_pipeline(scaler, kk.Predictor(network, space="openmp"))
    outputs = pipeline.predict(test)

    expected = dense_outputs(network, scaler.transform(test))
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)
    accuracy = (outputs.argmax(axis=1) == test_digits).mean()
    print(pipeline[-1])
    print(f"largest difference from dense NumPy: {np.abs(outputs - expected).max():.1e}")
    print(
        f"accuracy with {SPARSITY:.0%} of the weights pruned: {accuracy:.1%} "
        f"(dense: {classifier.score(scaler.transform(test), test_digits):.1%})"
    )


if __name__ == "__main__":
    main()
