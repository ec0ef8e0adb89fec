"""Descriptions of the problem that peers are measured on, from which each worker loads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.random_inputs import random_inputs, row_nonzeros
from bench.random_networks import random_network
from kkspdnn.cli.problem import Problem, load_problem

_SAMPLE_MULTIPLICATIONS, _SAMPLE_ROWS = 2_000_000, 4
"""The sample from which a random network is scaled: its multiplications a layer, and the fewest
rows."""


@dataclass(frozen=True)
class ChallengeProblem:
    """Arguments of `kkspdnn.cli.problem.load_problem`."""

    neurons: int
    layers: int
    inputs: int
    seed: int
    data: Path | None = None

    def load(self) -> Problem:
        """Load or generate the problem."""
        return load_problem(
            neurons=self.neurons,
            layers=self.layers,
            inputs=self.inputs,
            seed=self.seed,
            data=self.data,
        )

    def to_message(self) -> dict[str, Any]:
        """Return the description as a JSON object; the folder is absolute."""
        data = None if self.data is None else str(self.data.absolute())
        return {**asdict(self), "kind": "challenge", "data": data}


@dataclass(frozen=True)
class RandomProblem:
    """A random network and random input rows.

    edges: of each output neuron
    density: the percentage of nonzero inputs, and about that of nonzero activations
    inputs: the number of input rows
    """

    neurons: int
    edges: int
    density: float
    layers: int
    inputs: int
    seed: int

    @property
    def row_multiplications(self) -> int:
        """The expected multiplications of two nonzeros for one row in the first layer."""
        return row_nonzeros(self.neurons, self.density / 100) * self.edges

    def load(self) -> Problem:
        """Generate the problem; the same description gives the same problem."""
        share = self.density / 100
        inputs = random_inputs(self.inputs, self.neurons, share, self.seed)
        rows = max(_SAMPLE_ROWS, _SAMPLE_MULTIPLICATIONS // self.row_multiplications)
        sample = inputs.slice(0, min(self.inputs, rows)).to_csr()
        network = random_network(self.neurons, self.edges, share, self.layers, sample, self.seed)
        return Problem(network, inputs, None)

    def to_message(self) -> dict[str, Any]:
        """Return the description as a JSON object."""
        return {**asdict(self), "kind": "random"}


ProblemDescription = ChallengeProblem | RandomProblem


def problem_from(message: Mapping[str, Any]) -> ProblemDescription:
    """Return the description from the JSON object of its `to_message`."""
    fields = {name: value for name, value in message.items() if name != "kind"}
    if message["kind"] == "random":
        return RandomProblem(**fields)
    data = fields.pop("data")
    return ChallengeProblem(**fields, data=None if data is None else Path(data))
