"""Records from which every figure can be drawn."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path

import pytest

from kkspdnn.cli.plot import draw
from kkspdnn.figures.points import read_records
from kkspdnn.records.comparison import (
    Ceilings,
    Comparison,
    LayerCounts,
    NetworkSize,
    PeerResult,
)
from kkspdnn.records.pruning_study import Accuracy, Study, Timing
from kkspdnn.records.spgemm_study import SpgemmCase, SpgemmStudy, SpgemmTiming


def row(
    name: str, label: str, seconds: float, threads: int = 2, inputs: int = 60_000
) -> PeerResult:
    return PeerResult(
        name=name,
        label=label,
        status="ok",
        threads=threads,
        inputs=inputs,
        compile_seconds=0.5,
        load_seconds=0.1,
        prepare_seconds=0.2,
        inference_seconds=(seconds, 0.9 * seconds, 1.5 * seconds),
        edges_multiplied=7_000_000_000,
        bytes_per_edge=4.5,
        categories=1812,
        categories_sha256="cd",
        agrees=True,
    )


def comparison(neurons: int = 1024, layers: int = 120, inputs: int = 60_000) -> Comparison:
    edges = 32 * neurons * layers
    counts = tuple(max(1, inputs // (depth + 1)) for depth in range(layers))
    few = tuple(min(5, count) for count in counts)
    return Comparison(
        created="2020-01-01T00:00:00+00:00",
        machine="a processor, 2 cores",
        cpu_features=("avx2",),
        threads=2,
        gpu=None,
        compilers={},
        versions={},
        commit=None,
        command="",
        network=NetworkSize("a net", neurons, layers, inputs, edges, "float32"),
        rows=(
            row("reference", "Serial reference", 14.0, 1),
            row("tvm", "TVM & co", 2.0, inputs=30_000),
            row("none", "kkspdnn, fused, no row leaves", 5.0),
            row("all", "kkspdnn, fused, all exits", 0.25),
            PeerResult("torch", "PyTorch", "missing", "PyTorch is not installed"),
        ),
        layers=LayerCounts(counts, few, few, counts, counts),
    )


def study() -> Study:
    values = (("dense", 0.0, 0.98), ("balanced", 0.8, 0.975), ("balanced", 0.9, 0.965))
    accuracies = [Accuracy(pattern, sparsity, 0, value) for pattern, sparsity, value in values]
    accuracies.append(Accuracy("balanced", 0.9, 1, 0.975))
    times = {
        ("NumPy", "dense"): (3e-3,),
        ("PyTorch", "dense"): (2e-3,),
        ("kkspdnn", "balanced"): (1e-3, 8e-4, 5e-4),
    }
    timings = [
        Timing(name, pattern, 0.9 * (pattern != "dense"), rows, seconds, 0.0)
        for (name, pattern), seconds in times.items()
        for rows in (1, 64)
    ]
    timings += [
        Timing("kkspdnn", "unstructured", s, rows, (1e-3,), 0.0, requested_sparsity=s)
        for s in (0.8, 0.95)
        for rows in (1, 64)
    ]
    return Study(
        created="2020-01-01T00:00:00+00:00",
        machine="a processor, 2 cores",
        threads=2,
        versions={},
        commit=None,
        command="",
        layers=(4, 2),
        accuracies=tuple(accuracies),
        timings=tuple(timings),
    )


def spgemm_study() -> SpgemmStudy:
    cases = []
    for neurons, edges, density in product((1024, 8192, 65536), (2, 32, 512), (0.1, 100.0)):
        times = (1e-3 * edges, 2e-3 * edges, 3e-3 * edges)
        ours = SpgemmTiming("spgemm", "kkspdnn, SpGEMM", "ok", None, "1", 2, 100, 10**6, 7, times)
        mkl = replace(ours, name="mkl", label="MKL, CSR x CSR", multiplications=10**5)
        missing = SpgemmTiming("cusparse", "cuSPARSE", "missing", "CuPy is not installed")
        cases.append(
            SpgemmCase(
                neurons=neurons,
                edges=edges,
                density=density,
                layers=1,
                inputs=100,
                seed=0,
                multiplications=(10**6,),
                densities=(density,),
                rows=(mkl, missing, ours),
            )
        )
    return SpgemmStudy(
        created="2020-01-01T00:00:00+00:00",
        machine="a processor, 2 cores",
        cpu_features=("avx2",),
        threads=2,
        gpu=None,
        compilers={},
        versions={},
        commit=None,
        command="",
        cases=tuple(cases),
    )


def write_records(folder: Path) -> Path:
    """Write records into a folder, and return it."""
    base = comparison()
    deep = comparison(layers=1920)
    wide = comparison(neurons=4096)
    one = replace(base, threads=1, rows=(row("all", "kkspdnn, fused, all exits", 0.5, 1),))
    assert base.network is not None
    half = replace(one, network=replace(base.network, inputs=30_000), layers=None)
    half = replace(half, rows=(row("all", "kkspdnn, fused, all exits", 0.3, 1, 30_000),))
    ceilings = replace(base, network=None, rows=(), layers=None)
    ceilings = replace(ceilings, ceilings=Ceilings(2, 1e11, 4e11, 2e11, 3e10))
    (folder / "pruning.json").write_text(study().to_json())
    (folder / "spgemm.json").write_text(spgemm_study().to_json())
    records = {"a": base, "b": deep, "c": wide, "d": one, "e": half, "f": ceilings}
    for name, each in records.items():
        (folder / f"{name}.json").write_text(json.dumps(asdict(each)))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of records."""
    (tmp_path / "records").mkdir()
    return write_records(tmp_path / "records")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of all figures and tables, by name; drawing them takes some ten seconds."""
    return draw(read_records(sorted(write_records(tmp_path_factory.mktemp("drawn")).iterdir())))
