"""A network that is prepared once and called many times: input rows in, activations out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike, NDArray

from kkspdnn.choices import EXITS, Exits, SpaceName
from kkspdnn.device.errors import translate_cupy_errors
from kkspdnn.device.memory import Budget
from kkspdnn.device.space import open_space
from kkspdnn.device.stream_order import in_stream_order
from kkspdnn.engines import no_progress
from kkspdnn.engines.device_inputs import DeviceInputs
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.errors import InputError, check_choice
from kkspdnn.fitted_estimator import FittedEstimator
from kkspdnn.model.checks import check_flags
from kkspdnn.model.foreign_arrays import gpu_number, to_host_array, torch_of
from kkspdnn.model.ieee import ieee_arithmetic
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.matrices import Floats, float_dtype
from kkspdnn.model.network import Network, check_network
from kkspdnn.notebook_html import html_table
from kkspdnn.pk.system.fork import ProcessLock
from kkspdnn.tuning.case import TuningCase
from kkspdnn.tuning.store import find_tuned, is_enabled
from kkspdnn.units import plural

if TYPE_CHECKING:
    from kkspdnn.engines.fused.dense_run import DenseRun
    from kkspdnn.engines.fused.few_rows import FewRows

_MAX_FEW_ROWS = 0.1
"""The maximum fraction of the free memory for a second copy of the layers."""

_MAX_FEW_ROWS_LAYERS, _MAX_DENSE_RUN_LAYERS = 48, 12
"""If rows may be retired: the maximum number of layers for which the paths without early exit are
faster. Neurons that are zero cost `FewRows` almost nothing."""

RowFormat = Literal["bits", "csr", "dense"]
"""The storage format of input rows."""


class Predictor(FittedEstimator):
    """A callable network, for many small batches of input rows.

    Use `predict = Predictor(network)`, then `predict(rows)` for each batch. The constructor does
    once what `infer` does in every call: it starts Kokkos, compiles workunits, packs the layers for
    the fused kernel and computes the exit bounds.

    space, exits, dtype, threads, device, memory, tune: as in `infer`, with the same errors. A call
    raises InputError if a larger batch than before does not fit into memory.

    A Predictor can be copied and pickled, for example for a pool of processes. The copy is prepared
    from the network and the options in the process that loads it.

    A Predictor can be the last step of a scikit-learn Pipeline. Its `fit` trains nothing.
    """

    @translate_cupy_errors
    @ieee_arithmetic()
    def __init__(
        self,
        network: Network,
        *,
        space: SpaceName = "openmp",
        exits: Exits = "all",
        dtype: DTypeLike | None = None,
        threads: int | None = None,
        device: int | None = None,
        memory: float | None = None,
        tune: bool = True,
    ) -> None:
        check_network(network)
        check_choice("exits", exits, EXITS)
        check_flags(tune=tune)
        run_dtype = network.dtype if dtype is None else float_dtype(dtype)
        budget = Budget.from_gigabytes(memory)
        self._space = open_space(space, threads, device)
        # This import loads the workunits, and with them PyKokkos.
        from kkspdnn.engines.fused.engine import FusedEngine

        self._network = converted = network.astype(run_dtype)
        if tune and is_enabled():
            tuned = find_tuned(TuningCase.of(self._space, converted, run_dtype, "fused", exits))
            if tuned is not None:
                self._space = replace(self._space, launch=tuned)
        self._options: dict[str, Any] = {
            "space": space,
            "exits": exits,
            "dtype": run_dtype,
            "threads": threads,
            "device": device,
            "memory": memory,
            "tune": tune,
        }
        self._engine = FusedEngine(self._space, run_dtype, converted.ymax, exits)
        self._layers = LayerStore(converted, self._engine, run_dtype, budget, values=True)
        self._prepared_formats: set[RowFormat] = set()
        self._lock = ProcessLock()
        self._prepare(_zero_row("dense", network.inputs))
        self._dense_paths: list[FewRows | DenseRun] = []
        if not self._space.gpu and 0 < len(self._layers) == self._layers.resident:
            self._prepare_dense_rows(budget)

    @property
    def network(self) -> Network:
        """The network, in the dtype of the Predictor."""
        return self._network

    @property
    def inputs(self) -> int:
        """The number of neurons of an input row."""
        return self._network.inputs

    @property
    def outputs(self) -> int:
        """The number of neurons of an output row."""
        return self._network.outputs

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the computation and of the outputs, float32 or float64."""
        return self._engine.dtype

    @property
    def space(self) -> str:
        """The execution space: openmp, serial or cuda."""
        return self._space.name

    @property
    def n_features_in_(self) -> int:
        """The number of columns of the rows, under scikit-learn's name."""
        return self.inputs

    @overload
    def __call__(self, rows: NDArray[Any] | Inputs) -> NDArray[np.floating]: ...

    @overload
    def __call__(self, rows: Any) -> Any: ...

    def __call__(self, rows: Any) -> Any:
        """Return the activations after the last layer, a new array of shape (rows, outputs).

        rows: as the `inputs` of `infer`; with space cuda also a dense CuPy array, PyTorch tensor or
        other array with DLPack in the memory of the Predictor's GPU. A C-contiguous array or tensor
        of the Predictor's dtype is neither copied nor converted to a sparse matrix

        The outputs of a PyTorch tensor are a tensor on its device, without gradients as under
        torch.no_grad. The outputs of other rows in the memory of the GPU are a CuPy array there;
        those of all other rows are a NumPy array.

        Several Python threads may call a Predictor; one of them computes at a time.

        Raises InputError for rows that do not fit the network, for values that are not finite, for
        rows in the memory of another GPU, and if activations overflow; SpaceError in a process that
        was forked after Kokkos started.
        """
        if type(rows) is not np.ndarray:
            return self._run_other(rows)
        outputs = self._run_dense(rows) if self._dense_paths else None
        return self._run(rows) if outputs is None else outputs

    def predict(self, rows: Any) -> Any:
        """Return the activations after the last layer: a call, under scikit-learn's name."""
        return self(rows)

    def _run_other(self, rows: Any) -> Any:
        """Return the outputs of rows that are no NumPy array, as an array of their library."""
        torch = torch_of(rows)
        gpu = gpu_number(rows) if self._space.gpu else None
        if gpu is not None:
            return self._run_on_gpu(rows, gpu, torch)
        converted = to_host_array(rows, "inputs")
        outputs = self(converted) if type(converted) is np.ndarray else self._run(converted)
        return outputs if torch is None else torch.from_numpy(outputs)

    def _run_dense(self, rows: Any) -> NDArray[np.floating] | None:
        """Return the outputs of dense rows on a CPU; None if the faster paths do not take them."""
        if self._space.implementation == "builtin":
            # A native call checks the process and sets the floating-point mode by itself.
            return self._run_dense_rows(rows)
        with ieee_arithmetic():
            self._space.prepare_thread()
            return self._run_dense_rows(rows)

    def _run_dense_rows(self, rows: Any) -> NDArray[np.floating] | None:
        for path in self._dense_paths:
            if path.takes(rows):
                with self._lock:
                    return path.run(rows)
        return None

    @translate_cupy_errors
    @ieee_arithmetic()
    def _run(self, rows: Any) -> NDArray[np.floating]:
        """Return the outputs of rows of any format in CPU memory, on any space."""
        self._space.prepare_thread()
        on_host: Floats = self._space.to_host(self._run_engine(Inputs.from_any(rows)))
        return on_host

    @translate_cupy_errors
    @ieee_arithmetic()
    def _run_on_gpu(self, rows: Any, number: int, torch: Any) -> Any:
        """Return the outputs of dense rows in the memory of a GPU, where they stay.

        number: of that GPU; torch: the module if the rows are a tensor, else None
        """
        device = self._space.device
        if device is None or number != device.number:
            raise InputError(
                f"inputs: {type(rows).__name__} in the memory of GPU {number}, but the Predictor "
                f"computes on {self._processor()}; copy it there"
            )
        with in_stream_order(self._space):
            inputs = DeviceInputs.from_array(self._space, rows, self._engine.dtype)
            outputs = self._run_engine(inputs)
            return outputs if torch is None else torch.from_dlpack(outputs)

    def _run_engine(self, inputs: Inputs) -> Any:
        """Return the outputs in the memory of the space."""
        inputs.check_neurons(self._network.inputs)
        with self._lock:
            self._prepare(inputs)
            outputs = self._space.zeros((inputs.rows, self._layers.outputs), self._engine.dtype)
            for _ in self._engine.run(self._layers, inputs, None, no_progress, outputs):
                pass
            return outputs

    def _prepare_dense_rows(self, budget: Budget) -> None:
        """Prepare faster paths for NumPy rows, unless the early exit of rows is faster."""
        from kkspdnn.engines.fused.dense_run import DenseRun
        from kkspdnn.engines.fused.few_rows import FewRows, packed_bytes

        layers = self._network.layers
        exit_layers = 0 if self._engine.exits == "none" else len(layers)
        size = packed_bytes(layers, self._space.threads)
        if exit_layers <= _MAX_FEW_ROWS_LAYERS and size <= _MAX_FEW_ROWS * budget.free():
            self._dense_paths.append(FewRows(self._space, layers, self._engine.ymax))
        if exit_layers <= _MAX_DENSE_RUN_LAYERS:
            self._dense_paths.append(DenseRun(self._engine.kernels, self._layers))
        for path in self._dense_paths:
            self._space.warm_up(path.warm_up)

    def _prepare(self, inputs: Inputs) -> None:
        """Compile the workunits and compute the exit bounds for the format of these rows."""
        row_format: RowFormat = "dense"
        if inputs.dense is None:
            row_format = "csr" if inputs.bits is None else "bits"
        if row_format not in self._prepared_formats and inputs.rows:
            self._engine.warm_up(self._layers, inputs)
            self._engine.compute_exit_bounds(self._layers, inputs)
            self._prepared_formats.add(row_format)

    def __repr__(self) -> str:
        network = self._network
        return (
            f"<Predictor {self.inputs:,} -> {self.outputs:,} neurons: "
            f"{plural(len(network.layers), 'layer')}, {network.edges:,} edges; "
            f"{self._processor()}, {self.dtype}, exits {self._options['exits']}>"
        )

    def _repr_html_(self) -> str:
        rows = {
            "network": self._network.name,
            "layers": f"{len(self._network.layers):,}",
            "neurons": f"{self.inputs:,} inputs, {self.outputs:,} outputs",
            "edges": f"{self._network.edges:,}",
            "execution space": self._processor(),
            "dtype": str(self.dtype),
            "early exit of rows": self._options["exits"],
        }
        return html_table("Predictor", rows)

    def _processor(self) -> str:
        """Return the execution space with its threads or its GPU, as text."""
        space = self._space
        if space.device is not None:
            return f"{space.name} on GPU {space.device.number}, {space.device.name}"
        return f"{space.name}, {plural(space.threads, 'thread')}"

    def __reduce__(self) -> tuple[Any, ...]:
        # Threads, GPU memory and compiled code belong to this process.
        with self._lock:
            formats = tuple(sorted(self._prepared_formats))
        return _rebuild, (type(self), self._network, self._options, formats)


P = TypeVar("P", bound=Predictor)


def _rebuild(
    cls: type[P], network: Network, options: dict[str, Any], formats: tuple[RowFormat, ...]
) -> P:
    """Return a new Predictor that is prepared for rows in these formats."""
    predictor = cls(network, **options)
    for row_format in formats:
        predictor._prepare(_zero_row(row_format, network.inputs))
    return predictor


def _zero_row(row_format: RowFormat, neurons: int) -> Inputs:
    """Return one input row of zeros."""
    if row_format == "bits":
        bits = np.zeros((1, -(-neurons // 8)), np.uint8)
        return Inputs(rows=1, neurons=neurons, source="memory", bits=bits)
    zeros = np.zeros((1, neurons), np.float32)
    return Inputs.from_any(zeros if row_format == "dense" else sp.csr_array(zeros))
