"""The outputs of a Predictor are a PyTorch tensor if its rows are one."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import kkspdnn as kk
from tests.model.test_foreign_arrays import Exporter
from tests.test_predictor import random_network, random_rows

NETWORK = random_network()


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch", reason="no PyTorch here")


@pytest.fixture(scope="module", params=["none", "all"])
def predict(request: pytest.FixtureRequest) -> kk.Predictor:
    return kk.Predictor(NETWORK, exits=request.param)


@pytest.mark.parametrize("count", [0, 1, 20, 300])
def test_a_tensor_in_a_tensor_out(predict: kk.Predictor, torch: Any, count: int) -> None:
    rows = torch.from_numpy(random_rows(count, 70).round())
    expected = torch.from_numpy(predict(rows.numpy()))
    for each in (
        rows,
        rows.double(),
        rows.half(),
        rows.bfloat16(),
        rows.to(torch.int64),
        rows.T.contiguous().T,
        rows.repeat_interleave(2, 1)[:, ::2],
        rows.to_sparse(),
        torch.nn.Parameter(rows),
    ):
        outputs = predict(each)
        assert type(outputs) is torch.Tensor
        assert outputs.device == each.device
        assert outputs.dtype == torch.float32
        assert not outputs.requires_grad
        assert torch.equal(outputs, expected)


@pytest.mark.parametrize("count", [1, 20, 300])
def test_dense_tensors_use_the_faster_paths(
    predict: kk.Predictor, torch: Any, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of NumPy arrays. They read the memory of the tensor."""
    rows = torch.from_numpy(random_rows(count, 70))
    given = []
    for path in predict._dense_paths:

        def run(x: Any, before: Any = path.run) -> Any:
            given.append(x.ctypes.data)
            return before(x)

        monkeypatch.setattr(path, "run", run)
    predict(rows)
    predict(rows.clone().requires_grad_())
    assert len(given) == 2
    assert given[0] == rows.data_ptr()


def test_tensors_of_the_other_dtype(torch: Any) -> None:
    predict = kk.Predictor(NETWORK, dtype="float64")
    rows = torch.from_numpy(random_rows(5, 70))
    assert predict(rows).dtype == torch.float64
    assert torch.equal(predict(rows), predict(rows.double()))


def test_outputs_do_not_change_later(predict: kk.Predictor, torch: Any) -> None:
    rows = torch.from_numpy(random_rows(5, 70))
    first = predict(rows)
    before = first.clone()
    first_again = predict(rows * 2)
    assert torch.equal(first, before)
    first_again += 1
    assert torch.equal(predict(rows), before)


def test_refused_tensors_change_nothing(predict: kk.Predictor, torch: Any) -> None:
    rows = torch.from_numpy(random_rows(5, 70))
    expected = predict(rows)
    for bad, message in (
        (rows[:, :9], "the input rows have 9 neurons but the network takes 70"),
        (rows * torch.nan, "row 0, column 0 is -?nan"),
        (rows[0], "1 dimension; it must have 2"),
        (rows.to("meta"), "inputs: Tensor in the memory of meta; copy it to the CPU first"),
    ):
        with pytest.raises(kk.InputError, match=message):
            predict(bad)
        assert torch.equal(predict(rows), expected)


def test_a_pickled_predictor_computes_tensors(predict: kk.Predictor, torch: Any) -> None:
    rows = torch.from_numpy(random_rows(100, 70))
    copied = pickle.loads(pickle.dumps(predict))
    for count in (1, 20, 100):
        assert torch.equal(copied(rows[:count]), predict(rows[:count]))


@pytest.mark.parametrize("count", [1, 300])
def test_other_arrays_with_dlpack_have_numpy_outputs(predict: kk.Predictor, count: int) -> None:
    rows = random_rows(count, 70)
    outputs = predict(Exporter(rows))
    assert type(outputs) is np.ndarray
    assert (outputs == predict(rows)).all()
    with pytest.raises(kk.InputError, match="inputs: Exporter in the memory of gadget:7; copy it"):
        predict(Exporter(rows, (2, 0)))
