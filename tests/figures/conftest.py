"""Records of two CPUs and a GPU, from which every figure can be drawn."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from kkspdnn.cli.plot import draw, possible_charts
from kkspdnn.figures.chart import Chart
from kkspdnn.figures.read import Records, Sourced, read_records
from kkspdnn.figures.style import settings
from kkspdnn.records.comparison import (
    Ceilings,
    Comparison,
    LayerCounts,
    NetworkSize,
    PeerResult,
)
from kkspdnn.records.pruning_study import Accuracy, Study, Timing
from kkspdnn.records.rank_study import (
    ModelledTime,
    MpiRuns,
    Prediction,
    RankModel,
    RankStudy,
    ShardTime,
    Split,
)
from kkspdnn.records.spgemm_study import SpgemmCase, SpgemmStudy, SpgemmTiming

FIRST = "Alpha 1, 2 cores"
SECOND = "Beta(R) 2 CPU @ 2.00GHz, 16 cores"
GPU = "NVIDIA X100, 570.1"
CREATED = "2020-01-01T00:00:00+00:00"
SOURCE = Path("record.json")


def sourced(*records: Any) -> tuple[Sourced[Any], ...]:
    """Return records as if each was read from a file."""
    return tuple(Sourced(Path(f"{number}.json"), each) for number, each in enumerate(records))


def draw_chart(chart: Chart | None, width: str = "2col") -> Any:
    """Return the figure of a chart, laid out."""
    assert chart is not None
    with settings():
        figure = chart.figure(width)
        figure.draw_without_rendering()
    return figure


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


def comparison(
    neurons: int = 1024, layers: int = 120, inputs: int = 60_000, machine: str = FIRST
) -> Comparison:
    edges = 32 * neurons * layers
    counts = tuple(max(1, inputs // (depth + 1)) for depth in range(layers))
    few = tuple(min(5, count) for count in counts)
    return Comparison(
        created=CREATED,
        machine=machine,
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


def study(machine: str = FIRST) -> Study:
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
        created=CREATED,
        machine=machine,
        threads=2,
        versions={},
        commit=None,
        command="",
        layers=(4, 2),
        accuracies=tuple(accuracies),
        timings=tuple(timings),
    )


def spgemm_study(machine: str = FIRST) -> SpgemmStudy:
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
        created=CREATED,
        machine=machine,
        cpu_features=("avx2",),
        threads=2,
        gpu=None,
        compilers={},
        versions={},
        commit=None,
        command="",
        cases=tuple(cases),
    )


def rank_study(machine: str = FIRST) -> RankStudy:
    """A study whose shards scale ideally, and whose runs take twice as long."""
    even = Split(1.0, 1.0, 1.0, 1.0)
    ranks = (1, 2, 4, 20)
    return RankStudy(
        created=CREATED,
        machine=machine,
        compilers={},
        versions={},
        commit=None,
        command="",
        network="a net",
        inputs=60_000,
        threads=1,
        points=tuple(ShardTime(n, 60_000 // n, 1 / n, even) for n in ranks),
        runs=tuple(MpiRuns(n, (2 / n, 2.5 / n, 4 / n), 1.0) for n in ranks[:2]),
        model=RankModel(0.0, 1 / 60_000, 1e-3),
        modelled=tuple(ModelledTime(n, 1.1 / n) for n in ranks),
        predictions=(Prediction(20, 0.055, 20.0),),
    )


def gpu_comparison() -> Comparison:
    """The comparison of a machine with a GPU: the reference is on its CPU."""
    base = comparison(machine=SECOND)
    rows = (
        row("reference", "Serial reference", 10.0, 1),
        replace(row("all", "kkspdnn, fused, early exit", 0.01), gpu=True),
        replace(row("cusparse", "cuSPARSE, CSR x CSR", 1.0), gpu=True),
    )
    return replace(base, gpu=GPU, rows=rows, layers=None)


def all_records() -> dict[str, str]:
    """Return the JSON text of records from which every figure can be drawn, by name."""
    comparisons = {}
    for number, machine in enumerate((FIRST, SECOND)):
        threads = 2 + 14 * number
        base = comparison(machine=machine)
        rows = tuple(
            replace(r, threads=threads if r.threads == 2 else r.threads) for r in base.rows
        )
        base = replace(base, threads=threads, rows=rows)
        assert base.network is not None
        deep = replace(base, network=comparison(layers=1920).network, layers=None)
        large = replace(base, network=comparison(neurons=4096).network, layers=None)
        own = row("all", "kkspdnn, fused, all exits", 0.5, 1)
        one = replace(base, threads=1, rows=(own,), layers=None)
        few = replace(base.network, inputs=60_000 // threads)
        part = row("all", "kkspdnn, fused, all exits", 0.3, 1, few.inputs)
        half = replace(one, network=few, rows=(part,))
        ceilings = replace(base, network=None, rows=(), layers=None)
        ceilings = replace(ceilings, ceilings=Ceilings(threads, 1e11, 4e11, 2e11, 3e10))
        found = {"base": base, "deep": deep, "large": large}
        found |= {"one": one, "half": half, "ceilings": ceilings}
        comparisons |= {f"{name}-{number}": each for name, each in found.items()}
    texts = {name: json.dumps(asdict(each)) for name, each in comparisons.items()}
    texts["gpu"] = json.dumps(asdict(gpu_comparison()))
    for number, machine in enumerate((FIRST, SECOND)):
        texts[f"pruning-{number}"] = study(machine).to_json()
        texts[f"spgemm-{number}"] = spgemm_study(machine).to_json()
        texts[f"ranks-{number}"] = rank_study(machine).to_json()
    return texts


def write_records(folder: Path) -> Path:
    """Write records into a folder, and return it."""
    for name, text in all_records().items():
        (folder / f"{name}.json").write_text(text)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of records."""
    (tmp_path / "records").mkdir()
    return write_records(tmp_path / "records")


@pytest.fixture(scope="session")
def records(tmp_path_factory: pytest.TempPathFactory) -> Records:
    """The records of two CPUs and a GPU."""
    return read_records(sorted(write_records(tmp_path_factory.mktemp("records")).iterdir()))


@pytest.fixture(scope="session")
def by_name(records: Records) -> dict[str, Chart]:
    """All charts by name."""
    return {chart.name: chart for chart in possible_charts(records)}


@pytest.fixture(scope="session")
def drawn(by_name: dict[str, Chart]) -> dict[str, bytes]:
    """The files of all figures and tables, by name; drawing them takes some ten seconds."""
    return draw(list(by_name.values()))
