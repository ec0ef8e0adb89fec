"""GNU Octave, running the challenge's reference algorithm."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scipy.io import loadmat, savemat

from bench.peer import EdgeCounting, RunResult, matrix_layers
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network
from kkspdnn.pk.build.toolchain import run_tool

_SCRIPT = Path(__file__).with_name("inference.m")


class Octave:
    """inference.m on CSC matrices in float64, the only real dtype of Octave's sparse matrices.

    Each run starts a new Octave process. The time excludes the start and the loading of files.
    """

    name = "octave"
    label = "GNU Octave, float64"
    serial = True
    gpu = False
    edge_counting: EdgeCounting = "products"
    bytes_per_edge: float | None = None
    env: Mapping[str, str] = {}

    def available(self) -> str | None:
        return None if shutil.which("octave") else "octave is not on the PATH"

    def version(self) -> str:
        words = run_tool(
            ["octave", "--version"], "asking octave for its version", inherit=True
        ).split()
        return words[words.index("version") + 1]

    def prepare(self, network: Network, inputs: Inputs, threads: int) -> float:
        layers = matrix_layers(network)
        weights = np.empty((1, len(layers)), dtype=object)
        for position, layer in enumerate(layers):
            weights[0, position] = layer.weights.astype(np.float64).tocsc()
        problem = {
            "Y0": inputs.to_csr(np.float64).tocsc(),
            "W": weights,
            "bias": np.array([float(layer.bias) for layer in layers]),
        }
        self._folder = TemporaryDirectory(prefix="kkspdnn-octave-")
        savemat(Path(self._folder.name) / "problem.mat", problem, oned_as="row")
        return 0.0

    def run(self) -> RunResult:
        folder = Path(self._folder.name)
        run_tool(
            ["octave", "--no-gui", "--quiet", "--norc", _SCRIPT], "Octave", cwd=folder, inherit=True
        )
        answer = loadmat(folder / "answer.mat")
        categories = answer["categories"].ravel().astype(np.int64)
        return RunResult(categories, float(answer["seconds"].item()))
