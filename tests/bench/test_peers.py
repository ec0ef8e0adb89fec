"""Available peers return the categories of the reference; the others say what is missing."""

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
from kkspdnn.model.layers import Layer
from kkspdnn.model.network import network
from kkspdnn.model.radixnet import radixnet
from kkspdnn.serial_reference import categories, reference

ROOT = Path(__file__).parents[2]

# Each peer has a process of its own: libraries bring their own OpenMP runtimes, and a process can
# start Kokkos only once.
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
    results = [peer.run() for _ in range(2)]
    assert np.array_equal(results[0].categories, results[1].categories)
    assert results[0].categories.dtype == np.int64
    print(*results[1].categories.tolist())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("space", "name"), [(space, name) for space in SPACES for name in all_peers(space)]
)
def test_peers_return_the_categories_of_the_reference(space: str, name: str) -> None:
    peer = all_peers(space)[name]
    reason = peer.available()
    if reason is not None:
        assert reason
        assert "\n" not in reason
        pytest.skip(reason)
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, name, space],
        env={**os.environ, **peer.env, "PYTHONPATH": path},
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
def test_cupy_peers_with_numpy_as_cupy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy and SciPy have the functions of CuPy that the peers use, so no GPU is needed."""
    device = SimpleNamespace(synchronize=lambda: None)
    cuda = SimpleNamespace(Device=lambda: device)
    cupy = {each: getattr(np, each) for each in ("asfortranarray", "diff", "flatnonzero")}
    fake_cupy = SimpleNamespace(cuda=cuda, asarray=np.array, asnumpy=np.asarray, **cupy)
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy)
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
def test_names_and_labels_are_unique(space: str) -> None:
    peers = all_peers(space)
    assert len({peer.label for peer in peers.values()}) == len(peers)
    assert all(name == peer.name for name, peer in peers.items())


@pytest.mark.parametrize("bias", [0.25, np.linspace(-1, -0.5, 64)])
def test_other_biases_are_refused(bias: object) -> None:
    layer = radixnet(64, 1).layers[0]
    other = network([layer, Layer.from_sparse(layer.weights(), bias)])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="layer 2: all neurons must have the same bias, at most 0"):
        matrix_layers(other)


def test_peers_without_extra_packages_are_available() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        available = {name for name, peer in all_peers().items() if peer.available() is None}
    assert {
        "reference",
        "scipy",
        "scipy-dense",
        "spgemm",
        "none",
        "dead",
        "all",
        "fold",
    } <= available
