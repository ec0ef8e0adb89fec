"""The positional arguments of `pk.parallel_for`, `parallel_reduce` and `parallel_scan`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from kkspdnn.errors import short_repr
from kkspdnn.pk.frontend.workunit import Function, Workunit
from kkspdnn.pk.policy import MDRangePolicy, Policy, RangePolicy, TeamPolicy
from kkspdnn.pk.signature import Pattern

_POLICIES = RangePolicy, TeamPolicy, MDRangePolicy


def read_launch(pattern: Pattern, positional: Sequence[Any]) -> tuple[str, Policy, Workunit]:
    """Return the label, the policy and the workunit of a launch.

    PyKokkos takes `([label, ]policy, workunit[, initial_value])`, of which the label may be None
    and the policy an integer.

    Raises TypeError or ValueError, which say what to write instead.
    """
    has_label = bool(positional) and (positional[0] is None or isinstance(positional[0], str))
    rest = positional[1:] if has_label else positional
    if len(rest) not in (2, 3):
        _refuse(pattern, f"not {len(positional)} arguments" if positional else "and there are none")
    workunit = rest[1]
    if not isinstance(workunit, Workunit):
        _refuse_workunit(pattern, rest)
    policy = _policy(pattern, rest[0])
    if len(rest) == 3:
        _check_initial_value(pattern, rest[2])
    if pattern == "scan" and isinstance(policy, MDRangePolicy):
        raise TypeError(
            "pk.parallel_scan takes a RangePolicy: a scan over an MDRangePolicy is not defined"
        )
    label = positional[0] if has_label and positional[0] is not None else workunit.__name__
    return label, policy, workunit


def _policy(pattern: Pattern, policy: Any) -> Policy:
    if isinstance(policy, _POLICIES):
        return policy
    if isinstance(policy, int | np.integer) and not isinstance(policy, bool):
        return RangePolicy(0, policy)
    raise TypeError(
        f"pk.parallel_{pattern} needs a RangePolicy, TeamPolicy, MDRangePolicy or a number of work "
        f"items before the workunit, not {short_repr(policy)}"
    )


def _check_initial_value(pattern: Pattern, value: Any) -> None:
    if pattern == "for":
        _refuse(pattern, f"and no {type(value).__name__} after the workunit")
    if not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(
            f"pk.parallel_{pattern}: the initial value must be 0, not {type(value).__name__}"
        )
    if value != 0:
        raise ValueError(f"pk.parallel_{pattern} begins at 0: add {value} to the result")


def _refuse_workunit(pattern: Pattern, rest: Sequence[Any]) -> NoReturn:
    """Raise TypeError for a second argument that is not a workunit."""
    policy, workunit = rest[:2]
    if isinstance(policy, Workunit):
        _refuse(pattern, "the policy before the workunit")
    if isinstance(workunit, _POLICIES) and len(rest) == 3:
        _refuse(pattern, f"and the label must be a str or None, not {short_repr(policy)}")
    name = getattr(workunit, "__name__", None)
    if isinstance(workunit, list | tuple):
        raise TypeError(
            f"pk.parallel_{pattern} takes one workunit, not a {type(workunit).__name__}: launch "
            "them one after another"
        )
    if isinstance(workunit, Function):
        raise TypeError(
            f"pk.parallel_{pattern} needs a @pk.workunit, but {name} is a @pk.function: call it "
            "from a workunit"
        )
    if callable(workunit) and name is not None:
        raise TypeError(
            f"pk.parallel_{pattern} needs a @pk.workunit, not the function {name}: write "
            "@pk.workunit above its def"
        )
    raise TypeError(f"pk.parallel_{pattern} needs a @pk.workunit, not {short_repr(workunit)}")


def _refuse(pattern: Pattern, problem: str) -> NoReturn:
    raise TypeError(
        f"pk.parallel_{pattern} takes ([label, ]policy, workunit) and then the arguments by name, "
        f"{problem}"
    )
