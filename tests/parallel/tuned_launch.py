"""Run by all ranks: rank 0 reads the tuned launch parameters, and all ranks use them."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI

import kkspdnn as kk
from kkspdnn.device.launch_parameters import LaunchParameters
from kkspdnn.device.space import open_space
from kkspdnn.inference import run
from kkspdnn.pk.build.cache import Cache
from kkspdnn.records.run import Launch
from kkspdnn.tuning import store
from kkspdnn.tuning.case import TuningCase

WORLD = MPI.COMM_WORLD
TUNED = replace(LaunchParameters.native("serial"), tile_bytes=128)


def check(net: kk.Network, rows: kk.Inputs, source: str, **options: bool) -> None:
    engines: list[LaunchParameters] = []
    make_engine = run.make_engine

    def record_engine(kernel, space, *arguments):  # type: ignore[no-untyped-def]
        engines.append(space.launch)
        return make_engine(kernel, space, *arguments)

    run.make_engine = record_engine  # type: ignore[attr-defined]
    record = kk.infer(net, rows, space="serial", comm=WORLD, **options).record  # type: ignore[arg-type]
    run.make_engine = make_engine  # type: ignore[attr-defined]
    expected = TUNED if source == "tuned" else LaunchParameters.native("serial")
    assert record.launch == Launch(source, expected)  # type: ignore[arg-type]
    assert engines == [expected]


os.environ.pop("KKSPDNN_TUNE", None)
with tempfile.TemporaryDirectory() as folder:
    if WORLD.rank == 0:
        cache = Cache(Path(folder))
        store.default_cache = lambda: cache  # type: ignore[attr-defined]
    else:
        run.find_tuned = lambda _case: pytest.fail("read by another rank")  # type: ignore[attr-defined]
    net, rows = kk.radixnet(64, 4), kk.images(64, 300)
    check(net, rows, "default")
    if WORLD.rank == 0:
        case = TuningCase.of(open_space("serial"), net, np.dtype(np.float32), "fused", "all")
        store.keep_tuned(case, TUNED, rows=1, pairs=1, default_seconds=1.0, seconds=1.0)
    WORLD.Barrier()
    check(net, rows, "tuned")
    check(net, rows, "default", tune=False)
    with pytest.raises(kk.InputError, match=r"different arguments \(tune\)"):
        kk.infer(net, rows, space="serial", comm=WORLD, tune=WORLD.rank == 0)
    WORLD.Barrier()
