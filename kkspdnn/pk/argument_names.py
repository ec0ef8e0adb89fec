"""The names of the arguments of a launch: one that is missing, unknown or has a role."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from kkspdnn.pk.frontend.parameters import check_parameters
from kkspdnn.pk.frontend.parse import parse
from kkspdnn.pk.frontend.roles import Roles
from kkspdnn.pk.frontend.workunit import Workunit
from kkspdnn.pk.signature import Form

_INDICES: Final = ("i", "j", "k", "l", "m", "n")
"""The usual names of the work-item indices."""


def check_names(workunit: Workunit, arguments: Mapping[str, Any]) -> None:
    """Raise TypeError unless a launch passes all arguments of a workunit and no other.

    workunit: in the form of the launch

    Raises WorkunitError if it has parameters that the language does not have.
    """
    roles = workunit.roles
    names = [parameter.arg for parameter in roles.arguments]
    if len(names) == len(arguments) and all(name in arguments for name in names):
        return
    check_parameters(parse(workunit))
    for name, role in _roles_by_name(roles).items():
        if name in arguments:
            raise TypeError(
                f"{workunit.__name__}: `{name}` is {role} here, not an argument: a workunit for "
                f"pk.parallel_{roles.form.pattern} on {_policy(roles.form)} begins with "
                f"{_beginning(roles.form)}"
            )
    message = describe_wrong_names(workunit.__name__, names, arguments)
    missing = next((name for name in names if name not in arguments), None)
    is_misspelt = any(name not in names for name in arguments)
    if missing in roles.generic and not is_misspelt:
        message += (
            f"; pk.parallel_{roles.form.pattern} on {_policy(roles.form)} gives {_given(roles)}, "
            "all others are arguments by name"
        )
    raise TypeError(message)


def describe_wrong_names(workunit: str, names: Collection[str], given: Collection[str]) -> str:
    """Return which argument of a launch is missing or unknown.

    names: of the arguments of the workunit; given: those of the launch, which differ
    """
    missing = [name for name in names if name not in given]
    unknown = [name for name in given if name not in names]
    if not missing:
        return f"{workunit} has no argument `{unknown[0]}`"
    also = f", and there is no parameter `{unknown[0]}`" if unknown else ""
    return f"{workunit}: argument `{missing[0]}` is missing{also}"


def _roles_by_name(roles: Roles) -> dict[str, str]:
    """Return the roles of the parameters that a launch gives, by their names."""
    item = "an index of the work item" if roles.form.rank else "the team"
    found = {parameter.arg: item for parameter in roles.items}
    if roles.accumulator is not None:
        found[roles.accumulator.arg] = "the accumulator"
    if roles.last is not None:
        found[roles.last.arg] = "the bool of the scan"
    return found


def _policy(form: Form) -> str:
    if form.rank > 1:
        return f"an MDRangePolicy of rank {form.rank}"
    return "a RangePolicy" if form.rank else "a TeamPolicy"


def _beginning(form: Form) -> str:
    """Return the usual names of the parameters that a launch of this form gives."""
    names = list(_INDICES[: form.rank]) or ["m"]
    if form.pattern != "for":
        names.append("acc")
    if form.pattern == "scan":
        names.append("last")
    return ", ".join(names)


def _given(roles: Roles) -> str:
    """Return what a launch gives, with the names of the workunit."""
    given = [f"`{parameter.arg}`" for parameter in roles.items]
    if roles.accumulator is not None:
        given.append(f"the accumulator `{roles.accumulator.arg}`")
    if roles.last is not None:
        given.append(f"the bool `{roles.last.arg}`")
    first = ", ".join(given[:-1])
    return f"{first} and {given[-1]}" if first else given[-1]
