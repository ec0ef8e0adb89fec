"""The measurement of launch parameters: runs of the fused engine over real input rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kkspdnn.choices import Exits
from kkspdnn.device.launch_parameters import LaunchParameters
from kkspdnn.device.memory import Budget
from kkspdnn.device.space import Space
from kkspdnn.engines import Engine, make_engine, no_progress
from kkspdnn.engines.fused.packing import Packing
from kkspdnn.engines.layer_store import GRANULE, LayerStore
from kkspdnn.engines.partial_result import concatenate
from kkspdnn.errors import InputError, KkspdnnError
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network

_RUNS = 150
"""The number of runs for which there should be time: with slow runs fewer rows are measured."""

_MIN_ROWS = 4096
_TEAMS_EACH = 8
"""At least this number of tiles for each concurrent team is measured, so that the load of the
machine is that of a long run."""


class DifferentCategoriesError(Exception):
    """Launch parameters changed the result: a bug in kkspdnn or in the machine."""


class EngineMeasurement:
    """A `Measurement` with the fused engine: one engine for each prepared choice of parameters.

    Engines whose packed layers are the same share them.
    """

    def __init__(
        self,
        space: Space,
        network: Network,
        inputs: Inputs,
        dtype: np.dtype[Any],
        exits: Exits,
        budget: Budget,
    ) -> None:
        """network: in `dtype`"""
        self.inputs = inputs
        self._space = space
        self._network = network
        self._dtype = dtype
        self._exits: Exits = exits
        self._budget = budget
        self._layers: dict[object, LayerStore] = {}
        self._engines: dict[LaunchParameters, tuple[Engine, LayerStore]] = {}
        self._categories: NDArray[np.int64] | None = None

    def choose_rows(self, seconds: float) -> None:
        """Reduce the input rows to a number that allows about 150 runs in this time, but not below
        the number that keeps the machine busy.

        Raises InputError if the memory is too small.
        """
        default = self._space.launch
        lanes = default.lanes(self._dtype)
        least = max(_MIN_ROWS, _TEAMS_EACH * self._space.concurrent_teams() * lanes)
        whole = self.inputs
        self.inputs = whole.slice(0, min(least, whole.rows))
        self._start(default)
        self.seconds(default)
        per_row = self.seconds(default) / max(1, self.inputs.rows)
        fitting = self._engines[default][1].max_rows // 2 // GRANULE * GRANULE
        wanted = min(int(seconds / _RUNS / per_row), max(GRANULE, fitting))
        self.release(default)
        self.inputs = whole.slice(0, min(whole.rows, max(self.inputs.rows, wanted)))

    def prepare(self, parameters: LaunchParameters) -> str | None:
        """See Measurement. The first parameters are the default, whose errors are raised.

        Raises DifferentCategoriesError if the categories differ from those of the default.
        """
        if parameters in self._engines:
            return None
        try:
            categories = self._start(parameters)
        except KkspdnnError as error:
            self.release(parameters)
            if self._categories is None:
                raise
            return str(error)
        if self._categories is None:
            self._categories = categories
        if not np.array_equal(categories, self._categories):
            raise DifferentCategoriesError(
                f"{parameters} gives {categories.size} categories of {self.inputs.rows} rows, the "
                f"default {self._categories.size}; report this as a bug, and use tune=False"
            )
        return None

    def seconds(self, parameters: LaunchParameters) -> float:
        """See Measurement."""
        started = perf_counter()
        self._run(*self._engines[parameters])
        return perf_counter() - started

    def release(self, parameters: LaunchParameters) -> None:
        """See Measurement."""
        self._engines.pop(parameters, None)

    def _start(self, parameters: LaunchParameters) -> NDArray[np.int64]:
        """Prepare an engine, and return the categories of an untimed run."""
        space = replace(self._space, launch=parameters)
        engine = make_engine("fused", space, self._dtype, self._network.ymax, self._exits)
        layers = self._packed(parameters, engine)
        engine.warm_up(layers, self.inputs)
        engine.compute_exit_bounds(layers, self.inputs)
        engine.allocate(layers, self.inputs)
        self._engines[parameters] = engine, layers
        return self._run(engine, layers)

    def _packed(self, parameters: LaunchParameters, engine: Engine) -> LayerStore:
        key = Packing.of(parameters)
        if key not in self._layers:
            layers = LayerStore(self._network, engine, self._dtype, self._budget)
            if self._layers and layers.resident < len(layers):
                # Runs that pack or copy layers again would be compared with runs that do not.
                raise InputError("the memory is too small for the packed layers of both choices")
            self._layers[key] = layers
        return self._layers[key]

    def _run(self, engine: Engine, layers: LayerStore) -> NDArray[np.int64]:
        results: Sequence[Any] = list(engine.run(layers, self.inputs, None, no_progress))
        self._space.synchronize()
        return concatenate(results, layers.outputs, self._dtype, False).rows
