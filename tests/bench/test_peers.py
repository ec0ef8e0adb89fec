"""Every implementation here gives the reference's categories; the others say what they lack."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse

from bench.ceiling.report import SPACES
from bench.peer import matrix_layers
from bench.peers import all_peers
from kkspdnn.errors import InputError
from kkspdnn.io.shipped_images import images
from kkspdnn.model.network import Layer, network
from kkspdnn.model.radixnet import radixnet
from kkspdnn.serial_reference import categories, reference

ROOT = Path(__file__).parents[2]

# A process of its own for each: libraries bring OpenMP run times of their own, and Kokkos starts
# once in a process.
SCRIPT = """
import sys
import numpy as np
from bench.peers import all_peers
from kkspdnn.io.shipped_images import images
from kkspdnn.model.radixnet import radixnet

peer = all_peers(sys.argv[2])[sys.argv[1]]
for rows in (300, 2100):
    compiled = peer.prepare(radixnet(64, 8), images(64, rows), 2)
    assert compiled >= 0
    answers = [peer.run() for _ in range(2)]
    assert np.array_equal(answers[0].categories, answers[1].categories)
    assert answers[0].categories.dtype == np.int64
    print(*answers[1].categories.tolist())
"""


@pytest.mark.parametrize(
    ("space", "name"), [(space, name) for space in SPACES for name in all_peers(space)]
)
def test_peers_give_the_reference_s_categories(space: str, name: str) -> None:
    peer = all_peers(space)[name]
    reason = peer.available()
    if reason is not None:
        assert reason
        assert "\n" not in reason
        pytest.skip(reason)
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, name, space],
        env={**os.environ, **peer.environment, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for line, rows in zip(done.stdout.splitlines(), (300, 2100), strict=True):
        expected = categories(reference(radixnet(64, 8), images(64, rows)))
        assert 0 < expected.size < rows
        assert line == " ".join(map(str, expected.tolist()))
    assert peer.version()


@pytest.mark.parametrize("name", ["cusparse", "cusparse-dense", "cusparse-dense-drop"])
def test_what_is_asked_of_cupy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy and SciPy, whose functions it has, stand in for it where there is no GPU."""
    device = SimpleNamespace(synchronize=lambda: None)
    cuda = SimpleNamespace(Device=lambda: device)
    cupy = {each: getattr(np, each) for each in ("asfortranarray", "diff", "flatnonzero")}
    standing_in = SimpleNamespace(cuda=cuda, asarray=np.array, asnumpy=np.asarray, **cupy)
    monkeypatch.setitem(sys.modules, "cupy", standing_in)
    monkeypatch.setitem(sys.modules, "cupyx", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "cupyx.scipy", SimpleNamespace(sparse=scipy.sparse))
    peer = all_peers("cuda")[name]
    assert peer.gpu
    monkeypatch.setattr(type(peer), "chunk", 1000, raising=False)
    peer.prepare(radixnet(64, 8), images(64, 2100), 1)
    expected = categories(reference(radixnet(64, 8), images(64, 2100)))
    for _ in range(2):
        assert peer.run().categories.tolist() == expected.tolist()


@pytest.mark.parametrize("space", SPACES)
def test_names_and_labels_are_told_apart(space: str) -> None:
    peers = all_peers(space)
    assert len({peer.label for peer in peers.values()}) == len(peers)
    assert all(name == peer.name for name, peer in peers.items())


@pytest.mark.parametrize("bias", [0.25, 0.0, np.linspace(-1, -0.5, 64)])
def test_other_biases_are_refused(bias: object) -> None:
    layer = radixnet(64, 1).layers[0]
    other = network([layer, Layer.from_sparse(layer.weights(), bias)])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="layer 2: one bias below 0 is needed"):
        matrix_layers(other)


def test_the_peers_of_every_machine_are_available() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = {name for name, peer in all_peers().items() if peer.available() is None}
    assert {"reference", "scipy", "scipy-dense", "spgemm", "none", "dead", "all", "fold"} <= found
