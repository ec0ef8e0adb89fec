"""Training of a perceptron with PyTorch, dense, and on the edges that pruning left."""

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
    """
    Adam on the cross entropy, batches of 256, a learning rate that falls from 1e-3 to 0.

    epochs: of training and of every retraining; seed: of weights and of the order of the images
    """

    digits: Digits
    epochs: int
    retrain_epochs: int
    seed: int

    def train(self, layers: tuple[int, ...]) -> kk.Network:
        """A dense network with ReLU between its layers, of so many neurons."""
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
        """The network with better values on the same edges, and better biases."""
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
        weights = [each for each in model.parameters() if each.ndim == 2]
        kept = [weight != 0 for weight in weights]
        optimizer = torch.optim.Adam(model.parameters(), _RATE, fused=True)
        steps = epochs * -(-len(labels) // _BATCH)
        falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 1 / steps, steps)
        for _ in range(epochs):
            for chosen in torch.randperm(len(labels)).split(_BATCH):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model(pixels[chosen]), labels[chosen]).backward()
                optimizer.step()
                falling.step()
                with torch.no_grad():
                    for weight, mask in zip(weights, kept, strict=True):
                        weight *= mask


def accuracy(network: kk.Network, digits: Digits) -> float:
    """The part of the images whose class kkspdnn finds."""
    inputs = kk.Inputs(len(digits.labels), network.inputs, "digits", bits=digits.bits)
    found = kk.infer(network, inputs, values=True).outputs.argmax(axis=1)
    return float((found == digits.labels).mean())


def sparsity(network: kk.Network) -> float:
    """The part of all weights that is gone."""
    return 1 - network.edges / sum(layer.inputs * layer.outputs for layer in network.layers)
