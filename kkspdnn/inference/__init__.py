"""Inference: a network and input rows in, categories and a record out."""

from __future__ import annotations

from kkspdnn.inference.api import infer
from kkspdnn.inference.result import Result

__all__ = ["Result", "infer"]
