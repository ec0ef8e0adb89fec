"""
Fixtures for all tests: the official data where it is, and a folder with official names made of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from on_gpu import skip_unless_here

from kkspdnn.choices import SPACES
from kkspdnn.io.challenge import write_categories, write_images, write_network
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Layer
from kkspdnn.model.network import Network, network
from kkspdnn.pk.build.cache import Cache
from kkspdnn.pk.build.toolchain import host_compiler
from kkspdnn.pk.system.cuda_driver import DEVICE_VARIABLE
from kkspdnn.pk.system.debug_mode import DEBUG_VARIABLE, debug_mode
from kkspdnn.pk.system.progress_log import PROGRESS_LOGGER
from kkspdnn.tuning import store

CHALLENGE_ROWS = 60_000

# How long an example takes says more about the machine than about the code; a hang is the business
# of the test's own time limit.
settings.register_profile("kkspdnn", deadline=None)
settings.load_profile("kkspdnn")


@pytest.fixture(scope="session", params=SPACES)
def space(request: pytest.FixtureRequest) -> str:
    """Every execution space that this machine has all for."""
    skip_unless_here(request.param)
    return str(request.param)


@pytest.fixture(autouse=True)
def no_layer_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts are parsed in every test, also where an earlier run has parsed the same text."""
    monkeypatch.setenv("KKSPDNN_LAYER_CACHE_GB", "0")


@pytest.fixture(scope="session", autouse=True)
def default_launch_parameters() -> None:
    """Launch parameters that were tuned on the developer's machine have no effect on tests."""
    os.environ["KKSPDNN_TUNE"] = "0"


@pytest.fixture
def no_progress_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands print the same, whether the cache has their workunits or they are compiled."""
    monkeypatch.setattr(PROGRESS_LOGGER, "disabled", True)


@pytest.fixture
def tuned_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """A cache for files of tuned launch parameters, which runs use as without KKSPDNN_TUNE. Kokkos
    and workunits stay in the cache of the other tests."""
    cache = Cache(tmp_path / "cache")
    monkeypatch.setattr(store, "default_cache", lambda: cache)
    monkeypatch.delenv("KKSPDNN_TUNE", raising=False)
    return cache


@pytest.fixture(autouse=True)
def restore_device() -> Iterator[None]:
    """A test that chooses a GPU for this process chooses it for no other test."""
    before = os.environ.get(DEVICE_VARIABLE)
    yield
    if before is None:
        os.environ.pop(DEVICE_VARIABLE, None)
    else:
        os.environ[DEVICE_VARIABLE] = before


@pytest.fixture(params=[sys.maxsize, 0], ids=["numpy", "compiled"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts of every length are parsed by NumPy, and again by the compiled parser."""
    monkeypatch.setattr("kkspdnn.io.tsv_parser.MIN_COMPILED_BYTES", request.param)


@pytest.fixture(scope="session")
def fake_driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for LD_LIBRARY_PATH with a libcuda.so.1 whose GPUs the variable FAKE_GPUS lists."""
    folder = tmp_path_factory.mktemp("driver")
    source = Path(__file__).with_name("fake_driver.cpp")
    command = [host_compiler().path, "-shared", "-fPIC", source, "-o", folder / "libcuda.so.1"]
    subprocess.run(command, check=True)
    return folder


@pytest.fixture(scope="session")
def challenge_data() -> Path:
    """The folder with n1024-l120-fanin.npz, images-1024.npz and the official categories."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("KKSPDNN_CHALLENGE_DATA", beside))
    if not (folder / "n1024-l120-fanin.npz").is_file():
        pytest.skip(f"no official data in {folder}; set KKSPDNN_CHALLENGE_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def challenge_network(challenge_data: Path) -> Network:
    """The official 1024-neuron network of 120 layers, float32."""
    with np.load(challenge_data / "n1024-l120-fanin.npz") as archive:
        fan_in = archive["fanin"]
    weight = np.float32(1 / 16)
    layers = [Layer.from_fan_in(index, weight, -0.3, 1024) for index in fan_in]
    return network(layers, name="challenge-1024x120", source="challenge")


@pytest.fixture(scope="session")
def challenge_categories(challenge_data: Path) -> np.ndarray:
    """The official categories of 60,000 rows after 120 layers, from 1."""
    return np.loadtxt(challenge_data / "neuron1024-l120-categories.tsv", dtype=np.int64)


@pytest.fixture(scope="session")
def challenge_folder(
    challenge_data: Path,
    challenge_network: Network,
    challenge_categories: np.ndarray,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """
    A folder as the challenge hands it out: 120 gzipped layers, all images (plain), categories.
    """
    folder = tmp_path_factory.mktemp("challenge")
    with np.load(challenge_data / "images-1024.npz") as archive:
        bits = archive["bits"][:CHALLENGE_ROWS]
    inputs = Inputs(rows=bits.shape[0], neurons=1024, source="official data", bits=bits)
    write_network(challenge_network, folder, compress=True)
    write_images(inputs, folder, compress=False)
    write_categories(challenge_categories, folder, 1024, 120)
    return folder


@pytest.fixture
def debug_mode_on(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Debug mode in this process, for workunits that no other test launches."""
    monkeypatch.setenv(DEBUG_VARIABLE, "1")
    debug_mode.cache_clear()
    yield
    debug_mode.cache_clear()
