"""Published results have sources, and are printed as those of other machines."""

from __future__ import annotations

from kkspdnn.choices import METHODS
from kkspdnn.records.published import published, published_rates


def test_every_rate_has_a_source_and_a_network_of_the_challenge() -> None:
    results = published()
    names = {f"{n}-{layers}" for n in (1024, 4096, 16384, 65536) for layers in (120, 480, 1920)}
    for system in results.systems:
        assert system.source
        assert system.machine
        assert set(system.rates) <= names
        assert all(1e9 < rate < 1e16 for rate in system.rates.values())
    assert [s.name for s in results.systems if not s.exact] == ["SNICIT 2023"]
    assert 1 < results.speedup.low < results.speedup.high
    assert 1 < results.nodes.speedup <= results.nodes.nodes
    assert all(row.low <= row.high for row in results.poster.rows)


def test_published_pruning_has_the_patterns_of_kkspdnn() -> None:
    pruning = published().pruning
    assert pruning.source
    assert pruning.machine
    for workload in pruning.workloads:
        assert workload.times[0].pattern == "dense"
        assert set(workload.speedups()) == set(METHODS)
        assert [time.sparsity for time in workload.times if time.pattern == "dense"] == [0.0]
        assert all(0 < time.sparsity < 1 for time in workload.times[1:])
    for each in pruning.perplexities:
        assert each.pattern in METHODS
        assert all(0 < float(percent) < 100 for percent in each.values)
        assert all(70 < value < 100 for value in each.values.values())


def test_lines_are_marked_as_other_machines() -> None:
    lines = published_rates(1024, 120)
    assert "OTHER MACHINES, not measured here" in lines[0]
    assert any("Kokkos Kernels 2019 (one Skylake node)" in line for line in lines[1:])
    assert any(line.endswith("2.76e+11") for line in lines)
    assert len({len(line) - len(line.split()[-1]) for line in lines}) == 1
    assert published_rates(1024, 7) == ["nothing published for 1024 neurons and 7 layers"]
