"""The launch trace has all workunits and types that runs launch."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from kkspdnn import workunits
from kkspdnn.choices import EPILOGUES, SpaceName
from kkspdnn.device.launch_parameters import LaunchParameters
from kkspdnn.engines.launch_trace import all_launches, engine_launches
from kkspdnn.inference import infer
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Layer
from kkspdnn.model.network import network
from kkspdnn.model.radixnet import radixnet
from kkspdnn.pk import dispatch
from kkspdnn.pk.frontend.workunit import Workunit
from kkspdnn.pk.signature import Types
from kkspdnn.pk.types import UINT16, UINT32, View
from kkspdnn.predictor import Predictor

GPU_MODULES = ("csr_rows", "spgemm_counts", "spgemm_team")
"""The workunits for a GPU; they replace those by columns."""


def all_workunits() -> dict[str, Workunit]:
    """Return the workunits for a CPU, by name."""
    names = {module.name for module in pkgutil.iter_modules(workunits.__path__)}
    return workunits_of(*names.difference(GPU_MODULES))


def workunits_of(*names: str) -> dict[str, Workunit]:
    modules = [importlib.import_module(f"kkspdnn.workunits.{name}") for name in names]
    return {n: w for m in modules for n, w in vars(m).items() if isinstance(w, Workunit)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("space", ["serial", "openmp"])
def test_the_trace_has_each_workunit_with_the_types_of_a_run(
    space: SpaceName, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, launched = dispatch.infer_types, set[tuple[Workunit, object]]()

    def recorded(workunit: Workunit, arguments: dict[str, object]) -> Types:
        types = real(workunit, arguments)
        launched.add((workunit, types))
        return types

    monkeypatch.setattr(dispatch, "infer_types", recorded)
    # Types are inferred unless they are those of the last launch.
    for each in all_workunits().values():
        monkeypatch.setattr(each, "last", None)
    trace = engine_launches(space, np.dtype(dtype))
    assert set(trace) == set(all_workunits())
    grouped = replace(LaunchParameters.default(space), group_outputs="distinct")
    monkeypatch.setattr(LaunchParameters, "default", lambda _: grouped)
    dense_weights = np.arange(1.0, 1601).reshape(40, 40)
    different, ragged, shared, many = (
        network([Layer.from_sparse(weights, np.zeros(40))])
        for weights in (
            np.diag(np.arange(1.0, 41)),
            np.tri(40),
            dense_weights,
            dense_weights * (1 - np.eye(40)),
        )
    )
    for net in (radixnet(64, 2), different, ragged, shared, many):
        dense = np.eye(70, net.inputs)
        bits = Inputs(70, net.inputs, "memory", bits=np.packbits(dense > 0, axis=1))
        for rows in (dense, sp.csr_array(dense), bits):
            infer(net, rows, space=space, dtype=dtype)
        for epilogue in EPILOGUES:
            # Dense columns are allocated before the run.
            for rows in (dense, np.ones_like(dense), bits):
                infer(net, rows, space=space, dtype=dtype, kernel="spgemm", epilogue=epilogue)
        predict = Predictor(net, space=space, dtype=dtype, exits="none")
        for count in (1, 3, 70):
            predict(dense[:count].astype(dtype))
    for name, (workunit, where, types) in trace.items():
        assert (where, types) in workunit.programs, name
    everything = {(workunit, types) for workunit, _, types in all_launches(space, np.dtype(dtype))}
    assert launched <= everything
    # The other launches are for more than 65,536 neurons.
    assert all(
        any(isinstance(each, View) and each.element is UINT32 for each in types)
        for _, types in everything - launched
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_trace_of_a_gpu_has_teams_for_rows(dtype: str) -> None:
    modules = "bias", "by_input", "columns", "dense_layer", "pairs", "relu", "spgemm", "spgemm_rows"
    for_a_cpu = {*workunits_of(*modules), "sum_squares", "check_squares"}
    expected = (set(all_workunits()) | set(workunits_of(*GPU_MODULES))) - for_a_cpu
    assert set(engine_launches("cuda", np.dtype(dtype))) == expected


def test_wide_layers_have_wide_indices() -> None:
    """Workunits with indices are traced with 16-bit and 32-bit indices."""
    launches = all_launches("openmp", np.dtype("float32"))
    elements = [
        (workunit.__name__, kind.element)
        for workunit, _, types in launches
        for kind in types
        if isinstance(kind, View)
    ]
    narrow, wide = ({n for n, e in elements if e is kind} for kind in (UINT16, UINT32))
    assert narrow == wide != set()


def test_nothing_is_launched_or_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError

    for name in ("find_runtime_library", "get_runtime", "Program", "_compile"):
        monkeypatch.setattr(f"kkspdnn.pk.dispatch.{name}", refuse)
    assert engine_launches("openmp", np.dtype("float32"))
