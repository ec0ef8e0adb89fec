"""What an interpreter and a notebook show for networks, rows, results and records."""

from __future__ import annotations

import html.parser
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import kkspdnn as kk
from kkspdnn.notebook_html import html_table


class Cells(html.parser.HTMLParser):
    """The texts of a table; fails if a tag is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def net() -> kk.Network:
    return kk.radixnet(64, 3)


@pytest.fixture(scope="module")
def result(net: kk.Network) -> kk.Result:
    return kk.infer(net, kk.images(64, 100), verify="full", repeat=2)


def test_a_table_is_escaped() -> None:
    text = html_table("<b>", {"a & b": "<script>"})
    assert "<script>" not in text
    assert Cells(text).texts == ["<b>", "a & b", "<script>"]


def test_networks_and_layers(net: kk.Network) -> None:
    assert repr(net) == (
        "<Network radixnet-64x3-seed0: 64 -> 64 neurons, 3 layers, 6,144 edges, float32, ymax 32>"
    )
    assert repr(net.layers[0]) == (
        "<Layer 64 -> 64 neurons: 2,048 edges (density 0.5), float32, relu, bias to nonzero sums>"
    )
    own = kk.network([kk.Layer.from_sparse(np.eye(3, 2), [1.0, 2.0], bias_to="all")], None)
    assert repr(own) == "<Network network: 3 -> 2 neurons, 1 layer, 2 edges, float64, no ymax>"
    assert "1 to 2, added to all sums" in Cells(own.layers[0]._repr_html_()).texts
    assert Cells(own._repr_html_()).texts[0] == "Network network"
    assert "none" in Cells(own._repr_html_()).texts


def test_rows() -> None:
    assert repr(kk.images(1024, 5)) == (
        "<Inputs 5 rows of 1,024 neurons: bits, shipped MNIST images, 32x32>"
    )
    one = np.ones((1, 3), np.float32)
    assert repr(kk.Inputs.from_any(one)) == ("<Inputs 1 row of 3 neurons: dense float32, memory>")
    csr = kk.Inputs.from_any(sp.csr_array(one))
    assert Cells(csr._repr_html_()).texts == [
        *("Inputs", "rows", "1", "neurons", "3", "format", "CSR float32", "source", "memory")
    ]


def test_a_result(result: kk.Result) -> None:
    count = result.categories.size
    assert repr(result).startswith(f"<Result {count} categories of 100 rows: ")
    assert repr(result).endswith(" edges/s, verified>")
    record = replace(result.record, verified=replace(result.record.verified, passed=False))
    assert repr(replace(result, record=record)).endswith("verification FAILED>")
    lines = result.summary().splitlines()
    assert lines[0].startswith("space       openmp, ")
    texts = Cells(result._repr_html_()).texts
    assert texts[0] == "Result"
    for line in lines:
        assert line[:12].strip() in texts
        assert line[12:] in texts


def test_a_record(result: kk.Result) -> None:
    assert repr(result.record).startswith("<Record radixnet-64x3-seed0, 100 rows: openmp, fused")
    texts = Cells(result.record._repr_html_()).texts
    named = dict(zip(texts[1::2], texts[2::2], strict=True))
    assert named["network"] == "radixnet-64x3-seed0"
    assert named["verified.mode"] == "full"
    assert named["fold"] == "false"
    assert "checkpoint" not in named
    assert "parallel" not in named
