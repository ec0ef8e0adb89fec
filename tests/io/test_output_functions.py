"""Functions that are applied to the outputs of a network, in the spellings of PyTorch and ONNX."""

from __future__ import annotations

import pytest

from kkspdnn.io.output_functions import are_output_functions


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["Softmax"], True),
        (["LogSoftmax", "ArgMax"], True),
        (["log_softmax", "argmax"], True),
        (["sigmoid"], True),
        (["Sigmoid", "Linear"], False),
        (["relu"], False),
    ],
)
def test_the_names(names: list[str], expected: bool) -> None:
    assert are_output_functions(names) is expected
