"""The hand-written CUDA kernel: its arithmetic, run on the host, and its compilation by nvcc."""

from __future__ import annotations

import ctypes
from ctypes import c_float, c_int, c_void_p
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from bench.ceiling import cli, cuda
from bench.ceiling.cuda import Kernels, compile_kernels
from bench.ceiling.hand_written_cuda import LANES, HandWrittenCudaKernel
from bench.ceiling.measure import largest_difference
from bench.ceiling.tiled_problem import TileCandidate, TiledProblem
from bench.ceiling.workunit import FusedWorkunit
from kkspdnn.device.cuda_check import cuda_requirements
from kkspdnn.device.launch_parameters import LaunchParameters
from kkspdnn.device.space import Space, open_space
from kkspdnn.engines.fused import packing
from kkspdnn.errors import InputError, ToolchainError
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Layer
from kkspdnn.model.network import Network, network
from kkspdnn.model.radixnet import radixnet
from kkspdnn.pk.build.nvcc import nvcc_path
from tests.cuda_on_host import CudaOnHost
from tests.on_host import compiled

NAMES = ("kkspdnn_hand_equal", "kkspdnn_hand_fan_in")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    source = Path(__file__).with_name("cuda_on_host.cpp")
    target = tmp_path_factory.mktemp("host") / "on_host.so"
    options = "-std=c++20", "-pthread", "-Wno-unknown-pragmas", f'-DCEILING="{cuda._SOURCE}"'
    loaded = compiled(source, target, *options)
    loaded.on_host.argtypes = [
        *(c_int, c_int, c_int, c_int, c_int),
        *(c_void_p, c_void_p, c_void_p, c_float, c_void_p, c_float),
        *(c_int, c_int, c_int, c_int, c_int, c_int, c_int),
    ]
    return loaded


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> CudaOnHost:
    return CudaOnHost(tmp_path_factory.mktemp("cuda"))


@pytest.fixture(scope="module")
def space() -> Space:
    """The space openmp with a tile size of a GPU, for single output neurons."""
    space = open_space("openmp")
    return replace(space, launch=replace(space.launch, tile_bytes=512, group_outputs="none"))


class OnHost:
    """Launches the kernels on the host, as CuPy does on a GPU, with fewer neurons at a time."""

    def __init__(self, library: ctypes.CDLL, neurons_at_once: int) -> None:
        self.library = library
        self.neurons_at_once = neurons_at_once
        self.kernels = Kernels(self.get, "", "")
        self.launched: list[tuple[str, int, int]] = []

    def get(self, name: str) -> Any:
        def launch(grid: Any, block: Any, arguments: Any) -> None:
            threads, neurons = block
            assert (threads * neurons, neurons % self.neurons_at_once) == (512, 0)
            self.launched.append((name, grid[1], int(arguments[9])))
            plain = [
                each.ctypes.data if isinstance(each, np.ndarray) else each.item()
                for each in arguments
            ]
            shape = *grid, threads, self.neurons_at_once
            self.library.on_host(NAMES.index(name), *shape, *plain)

        return launch


def weighted(weight: float | None, fan_in: int = 8) -> Network:
    """Layers with random inputs; weight: of all edges, or None for random weights."""
    rng = np.random.default_rng(3)
    layers = []
    for _ in range(5):
        index = np.sort(np.stack([rng.permutation(128)[:fan_in] for _ in range(128)]), axis=1)
        value = rng.normal(size=index.shape).astype("f4") if weight is None else np.float32(weight)
        layers.append(Layer.from_fan_in(index, value, rng.normal(size=128).astype("f4"), 128))
    return network(layers, ymax=2.0)


def dense_rows(rows: int) -> Inputs:
    random = np.random.default_rng(1)
    return Inputs.from_any(sp.random(rows, 128, 0.4, "csr", np.float32, random))


@pytest.mark.slow
@pytest.mark.parametrize("depth", [1, 3, 16])
@pytest.mark.parametrize("weight", [None, -0.25, 0.3])
def test_it_computes_the_values_of_the_workunit(
    library: ctypes.CDLL,
    space: Space,
    weight: float | None,
    depth: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Else a CPU would compute pairs of output neurons, as a GPU does not.
    monkeypatch.setattr(packing, "find_pairs", lambda *_: None)
    problem = TiledProblem.of(space, weighted(weight), dense_rows(270))
    on_host = OnHost(library, 2)
    candidates: dict[str, TileCandidate] = {
        "workunit": FusedWorkunit(problem, 1),
        "hand-written": HandWrittenCudaKernel(on_host.kernels, problem, depth),
    }
    assert largest_difference(candidates, [1, 2, 5]) == 0
    assert np.count_nonzero(candidates["hand-written"].values()) > 100
    names = {name for name, _, _ in on_host.launched}
    if weight == -0.25:
        # The first layer uses the general kernel: its inputs may have any value.
        assert len(names) == 2
    assert max(layers for _, _, layers in on_host.launched) == min(
        depth, 4 if weight == -0.25 else 5
    )
    if depth == 1:
        assert {blocks for _, blocks, _ in on_host.launched} == {8}


@pytest.mark.slow
@pytest.mark.parametrize("weight", [None, -0.25])
@pytest.mark.parametrize("vector_length", [8, 32])
@pytest.mark.parametrize("fan_in", [7, 19, 24])
def test_layers_packed_for_a_gpu(
    library: ctypes.CDLL, code: CudaOnHost, fan_in: int, vector_length: int, weight: float | None
) -> None:
    """Rows of edges are longer than the fan-in, unless that is a multiple of 8."""
    space = code.space(vector_length=vector_length, team_size=512 // vector_length)
    problem = TiledProblem.of(space, weighted(weight, fan_in), dense_rows(130))
    columns = {layer.weights["index"].shape[1] for layer in problem.layers}
    assert columns == {-(-fan_in // 8) * 8}
    on_host = OnHost(library, 4)
    candidates: dict[str, TileCandidate] = {
        "workunit": FusedWorkunit(problem, 16),
        "hand-written": HandWrittenCudaKernel(on_host.kernels, problem, 16),
        "one layer a launch": HandWrittenCudaKernel(on_host.kernels, problem, 1),
    }
    assert largest_difference(candidates, [1, 3, 5]) == 0
    assert np.count_nonzero(candidates["hand-written"].values()) > 100


def test_blocks_of_neurons_are_multiples_of_16() -> None:
    for neurons in (16, 100, 1024, 65_536):
        for tiles in (1, 7, 132, 1875, 10_000):
            blocks, width = HandWrittenCudaKernel._blocks(neurons, tiles)
            assert width % 16 == 0 or width == neurons
            assert (blocks - 1) * width < neurons <= blocks * width


def test_the_default_tiles_are_those_of_the_engine() -> None:
    assert LaunchParameters.default("cuda").lanes(np.dtype("f4")) == LANES


@pytest.mark.slow
def test_a_radixnet_in_several_stacks(library: ctypes.CDLL, space: Space) -> None:
    problem = TiledProblem.of(space, radixnet(32, 20), Inputs.from_any(np.eye(40, 32)))
    on_host = OnHost(library, 1)
    candidates: dict[str, TileCandidate] = {
        "workunit": FusedWorkunit(problem, 16),
        "hand-written": HandWrittenCudaKernel(on_host.kernels, problem, 16),
    }
    assert largest_difference(candidates, [1, 17, 20]) == 0


def test_networks_that_it_refuses(space: Space) -> None:
    def make(weights: Any, at: Space = space) -> None:
        net = network([Layer.from_sparse(np.asarray(weights, np.float32), 0.0)] * 2)
        kernels = Kernels(lambda _: print, "", "")
        HandWrittenCudaKernel(
            kernels, TiledProblem.of(at, net, Inputs.from_any(np.eye(1, net.inputs))), 1
        )

    make(np.ones((8, 8)))
    for weights in (np.eye(8), np.ones((10, 10))):
        with pytest.raises(InputError, match="rows of edges that are a multiple of 8"):
            make(weights)
    narrow = replace(space, launch=replace(space.launch, tile_bytes=64))
    with pytest.raises(InputError, match="float32 in tiles of 32 or 64 or 128 rows"):
        make(np.ones((8, 8)), narrow)


@pytest.mark.slow
@pytest.mark.skipif(nvcc_path() is None, reason="no nvcc, see kkspdnn info")
@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
def test_nvcc_compiles_it(arch: str) -> None:
    cubin = compile_kernels(arch)
    text = cubin.read_bytes()
    assert text.startswith(b"\x7fELF")
    assert all(name.encode() + b"\0" in text for name in NAMES)
    assert compile_kernels(arch) == cubin
    with pytest.raises(ToolchainError, match="does not compile for sm_1"):
        compile_kernels("sm_1")


def test_the_space_cuda_needs_a_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    if all(part.detected for part in cuda_requirements()):
        assert cli.main(["--space", "cuda", "--neurons", "64", "--rows", "100"]) == 0
        assert "values      the same" in capsys.readouterr().out
        return
    assert cli.main(["--space", "cuda"]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert "--space cuda: this machine has no " in printed.err
