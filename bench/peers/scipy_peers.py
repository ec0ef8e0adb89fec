"""SciPy, on one thread."""

from __future__ import annotations

from typing import Any

import scipy
import scipy.sparse as sp

from bench.peers.csr import CsrPeer
from bench.peers.dense import DensePeer


class _Scipy:
    serial = True

    def available(self) -> str | None:
        return None

    def version(self) -> str:
        return str(scipy.__version__)

    def matrix(self, csr: Any) -> Any:
        return csr


class ScipyCsr(_Scipy, CsrPeer):
    """CSR activations times CSR weights."""

    name = "scipy"
    label = "SciPy, CSR x CSR"

    def multiply(self, y: Any, weights: Any) -> Any:
        return sp.csr_array(y @ weights)


class ScipyDense(_Scipy, DensePeer):
    """CSR weights times dense activations."""

    name = "scipy-dense"
    label = "SciPy, CSR x dense"

    def multiply(self, weights: Any, a: Any) -> Any:
        return weights @ a
