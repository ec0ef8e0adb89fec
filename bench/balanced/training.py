"""Training of a multilayer perceptron with PyTorch, dense or restricted to the unpruned weights."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import kkspdnn as kk
from bench.balanced.digits import Digits

_BATCH = 256
_RATE = 1e-3


@dataclass(frozen=True, eq=False)
class Trainer:
    """Trains with Adam on the cross entropy, in batches of 256.

    The learning rate falls linearly from 1e-3 to 0.

    epochs, retrain_epochs: of training, and of each retraining
    seed: of the initial weights and of the order of the images
    """

    digits: Digits
    epochs: int
    retrain_epochs: int
    seed: int

    def train(self, layers: tuple[int, ...]) -> kk.Network:
        """Train a dense network with ReLU between its layers; layers: numbers of neurons."""
        import torch
        from torch import nn

        torch.manual_seed(self.seed)
        modules: list[Any] = []
        for inputs, outputs in itertools.pairwise(layers):
            modules += [nn.Linear(inputs, outputs), nn.ReLU()]
        model = nn.Sequential(*modules[:-1])
        self._fit(model, self.epochs)
        return kk.from_torch(model)

    def retrain(self, network: kk.Network) -> kk.Network:
        """Train the weights and biases of a pruned network; pruned weights stay zero."""
        import torch
        from torch import nn

        torch.manual_seed(self.seed)
        modules: list[Any] = []
        for layer in network.layers:
            linear = nn.Linear(layer.inputs, layer.outputs)
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(layer.weights().toarray().T))
                linear.bias.copy_(torch.from_numpy(layer.bias))
            modules += [linear, nn.ReLU()]
        model = nn.Sequential(*modules[:-1])
        self._fit(model, self.retrain_epochs)
        return replace(network, layers=kk.from_torch(model).layers)

    def _fit(self, model: Any, epochs: int) -> None:
        import torch

        pixels = torch.from_numpy(self.digits.pixels())
        labels = torch.from_numpy(self.digits.labels.astype(np.int64))
        weights = [parameter for parameter in model.parameters() if parameter.ndim == 2]
        masks = [weight != 0 for weight in weights]
        optimizer = torch.optim.Adam(model.parameters(), _RATE, fused=True)
        steps = epochs * -(-len(labels) // _BATCH)
        scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 1 / steps, steps)
        for _ in range(epochs):
            for batch in torch.randperm(len(labels)).split(_BATCH):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model(pixels[batch]), labels[batch]).backward()
                optimizer.step()
                scheduler.step()
                with torch.no_grad():
                    for weight, mask in zip(weights, masks, strict=True):
                        weight *= mask


def accuracy(network: kk.Network, digits: Digits) -> float:
    """Return the fraction of the images that kkspdnn classifies correctly."""
    inputs = kk.Inputs(len(digits.labels), network.inputs, "digits", bits=digits.bits)
    classes = kk.infer(network, inputs, tune=False, values=True).outputs.argmax(axis=1)
    return float((classes == digits.labels).mean())


def sparsity(network: kk.Network) -> float:
    """Return the fraction of the weights that are pruned."""
    return 1 - network.edges / sum(layer.inputs * layer.outputs for layer in network.layers)
