"""kkspdnn does not import PyTorch by itself, and says what needs it."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib.util import find_spec

import pytest

import kkspdnn as kk
from kkspdnn.errors import InputError


def test_importing_kkspdnn_does_not_import_pytorch() -> None:
    script = (
        "import sys, kkspdnn as kk\n"
        "from kkspdnn import io, torch\n"
        "kk.compile, kk.torch, dir(kk.torch)\n"
        "assert 'torch' in dir(kk) and 'compile' in dir(kk.torch)\n"
        "assert torch is kk.torch is sys.modules['kkspdnn.torch']\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_without_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "kkspdnn.torch.sparse_sequential", raising=False)
    monkeypatch.delitem(vars(kk.torch), "SparseSequential", raising=False)
    with pytest.raises(InputError, match="compile needs PyTorch: pip install torch"):
        kk.compile(object())
    with pytest.raises(InputError, match="from_torch needs PyTorch: pip install"):
        kk.from_torch(object())
    with pytest.raises(ModuleNotFoundError, match="SparseSequential needs PyTorch: pip install"):
        kk.torch.SparseSequential  # noqa: B018
    with pytest.raises(AttributeError, match=r"'kkspdnn.torch' has no attribute 'nothing'"):
        kk.torch.nothing  # noqa: B018


def test_without_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match="ONNX models need onnx: pip install onnx"):
        kk.from_onnx(object())


def test_help_lists_what_is_there() -> None:
    """`help` and `inspect` get every name that `dir` lists."""
    names = dict(inspect.getmembers(kk.torch))
    assert names["compile"] is kk.compile
    assert ("SparseSequential" in names) == (find_spec("torch") is not None)
