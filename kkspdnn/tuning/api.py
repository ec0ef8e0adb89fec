"""The public function `tune`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Any

from numpy.typing import DTypeLike

from kkspdnn.choices import EXITS, Exits, SpaceName
from kkspdnn.device.errors import translate_cupy_errors
from kkspdnn.device.launch_parameters import LaunchParameters
from kkspdnn.device.memory import Budget
from kkspdnn.device.space import check_device, check_space_name, open_space
from kkspdnn.errors import InputError, check_choice, short_repr
from kkspdnn.model.ieee import ieee_arithmetic
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.matrices import float_dtype
from kkspdnn.model.network import Network, check_network
from kkspdnn.pk.system.debug_mode import DEBUG_VARIABLE, debug_mode
from kkspdnn.progress import Progress, StepCallback, open_progress
from kkspdnn.tuning import DEFAULT_SECONDS
from kkspdnn.tuning.case import TuningCase
from kkspdnn.tuning.measure import EngineMeasurement
from kkspdnn.tuning.search import Search, Trial
from kkspdnn.tuning.store import forget_tuned, keep_tuned


@dataclass(frozen=True)
class Tuning:
    """The result of `tune`.

    parameters: the launch parameters that later runs of this case use
    default: the launch parameters without tuning
    trials: all measurements, in order
    skipped: the number of candidates for which the time was too short
    rows: the number of input rows that were measured
    file: the file of the parameters; None if the default is the choice
    removed: the file of an earlier choice, which was removed because the default is the choice
    """

    case: TuningCase
    parameters: LaunchParameters
    default: LaunchParameters
    trials: Sequence[Trial]
    skipped: int
    rows: int
    file: Path | None = None
    removed: Path | None = None


@translate_cupy_errors
@ieee_arithmetic()
def tune(
    network: Network,
    inputs: Any,
    *,
    space: SpaceName = "openmp",
    exits: Exits = "all",
    dtype: DTypeLike | None = None,
    threads: int | None = None,
    device: int | None = None,
    memory: float | None = None,
    seconds: float = DEFAULT_SECONDS,
    on_trial: Callable[[Trial], None] | None = None,
    progress: Progress = None,
) -> Tuning:
    """Measure launch parameters of the fused kernel on this machine, and keep the fastest.

    Runs of the same case then use them: the same machine, number of threads, space, dtype, exits
    and shape of the network, see kkspdnn.tuning.case. They change the time of a run, and not its
    result. If no candidate is faster than the default by more than 2 % and by more than the noise
    of the machine, the default stays, and the file of an earlier choice is removed.

    network, inputs, space, exits, dtype, threads, device, memory: as in `infer`
    seconds: the time of the search; packing the layers for the first time comes before
    on_trial: called with each measurement
    progress: as in `infer`; the fraction is that of `seconds`

    If runs are slow, some of the input rows are measured.

    Raises the errors of `infer`; InputError if there are no input rows or no layers; CacheError if
    the choice cannot be kept; and DifferentCategoriesError if launch parameters change the
    categories, which is a bug.
    """
    check_device(device, check_space_name(space))
    check_choice("exits", exits, EXITS)
    check_network(network)
    rows = Inputs.from_any(inputs)
    rows.check_neurons(network.inputs)
    if not rows.rows or not len(network.layers):
        raise InputError("nothing to tune: give a network with layers, and input rows")
    if not isinstance(seconds, int | float) or not (isfinite(seconds) and seconds > 0):
        raise InputError(f"seconds {short_repr(seconds)}: give a number above 0")
    if debug_mode():
        raise InputError(f"{DEBUG_VARIABLE}=1: its times mean nothing; unset it to tune")
    run_dtype = float_dtype(dtype if dtype is not None else network.dtype)
    budget = Budget.from_gigabytes(memory)
    opened = open_space(space, threads, device)
    opened.prepare_thread()
    converted = network.astype(run_dtype)
    case = TuningCase.of(opened, converted, run_dtype, "fused", exits)
    measurement = EngineMeasurement(opened, converted, rows, run_dtype, exits, budget)
    with open_progress(progress) as on_step:
        on_step("packing the layers", 0.0)
        measurement.choose_rows(seconds)
        search = Search(opened.launch, opened.name, run_dtype, measurement, seconds)
        trials = _run_search(search, seconds, on_trial, on_step)
    file = removed = None
    if search.best == search.default:
        removed = forget_tuned(case)
    else:
        file = _keep(case, trials[-1], measurement.inputs.rows)
    return Tuning(
        case=case,
        parameters=search.best,
        default=search.default,
        trials=tuple(trials),
        skipped=search.skipped,
        rows=measurement.inputs.rows,
        file=file,
        removed=removed,
    )


def _run_search(
    search: Search,
    seconds: float,
    on_trial: Callable[[Trial], None] | None,
    on_step: StepCallback,
) -> list[Trial]:
    """Run a search of this many seconds and return its trials."""
    began, trials = perf_counter(), list[Trial]()
    on_step("measuring launch parameters", 0.0)
    for trial in search:
        trials.append(trial)
        if on_trial is not None:
            on_trial(trial)
        on_step("measuring launch parameters", min(1.0, (perf_counter() - began) / seconds))
    return trials


def _keep(case: TuningCase, confirmed: Trial, rows: int) -> Path:
    assert confirmed.seconds is not None
    assert confirmed.default_seconds is not None
    return keep_tuned(
        case,
        confirmed.parameters,
        rows=rows,
        pairs=confirmed.pairs,
        default_seconds=confirmed.default_seconds,
        seconds=confirmed.seconds,
    )
