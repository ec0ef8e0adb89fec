"""MKL through sparse_dot_mkl."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, files
from typing import Any

import scipy.sparse as sp

from bench.peer import missing_package, package_version
from bench.peers.csr import CsrPeer
from bench.peers.dense import DensePeer


def dot_product(left: Any, right: Any) -> Any:
    """Return the product. Sets MKL_RT, because sparse_dot_mkl does not find an MKL from pip."""
    if "MKL_RT" not in os.environ:
        os.environ["MKL_RT"] = _library() or ""
    from sparse_dot_mkl import dot_product_mkl

    return dot_product_mkl(left, right)


def _library() -> str | None:
    try:
        listed = files("mkl") or []
    except PackageNotFoundError:
        return None
    names = [path for path in listed if path.name.startswith("libmkl_rt.so")]
    return str(names[0].locate()) if names else None


class _Mkl:
    def available(self) -> str | None:
        return missing_package("sparse_dot_mkl", "sparse_dot_mkl")

    def version(self) -> str:
        return package_version("mkl")

    def matrix(self, csr: Any) -> Any:
        # sparse_dot_mkl accepts SciPy's matrices, not SciPy's arrays.
        return sp.csr_matrix(csr)


class MklCsr(_Mkl, CsrPeer):
    """CSR activations times CSR weights."""

    name = "mkl"
    label = "MKL, CSR x CSR"

    def multiply(self, y: Any, weights: Any) -> Any:
        return dot_product(y, weights)


class MklDense(_Mkl, DensePeer):
    """CSR weights times dense activations."""

    name = "mkl-dense"
    label = "MKL, CSR x dense"

    def multiply(self, weights: Any, a: Any) -> Any:
        return dot_product(weights, a)
