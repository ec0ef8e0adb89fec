"""`pk.printf("%d\\n", x)` in a workunit: the directives of its format fit its values."""

from __future__ import annotations

import ast
import re
from typing import Final

from kkspdnn.pk import ir
from kkspdnn.pk.frontend.expressions import Expressions

_DIRECTIVE: Final = re.compile(
    r"%(?P<options>[-+ #0]*\d*(?:\.\d*)?)(?:hh|h|ll|l|j|z|t|L)?(?P<kind>.)", re.DOTALL
)
_INTEGERS: Final = "diouxX"
_FLOATS: Final = "eEfFgGaA"


def printed(expressions: Expressions, call: ast.Call) -> ir.Print:
    """Return the statement `pk.printf(format, values)`.

    Integers are printed as int64 and numbers with a fraction as double, whatever length the
    directives name.
    """
    hint = 'write pk.printf("%d %f\\n", i, x)'
    match call:
        case ast.Call(args=[ast.Constant(value=str(text)) as node, *arguments], keywords=[]):
            pass
        case _:
            expressions.refuse(call, "pk.printf takes a string literal and values", hint)
    values = tuple(expressions.expression(argument) for argument in arguments)
    directives = [each for each in _DIRECTIVE.finditer(text) if each[0] != "%%"]
    for each in directives:
        if each["kind"] not in _INTEGERS + _FLOATS:
            expressions.refuse(node, f"`{each[0]}` prints no number", hint)
    if "%" in _DIRECTIVE.sub("", text):
        expressions.refuse(node, "the format ends inside a directive", "write %% for %")
    kinds = [each["kind"] for each in directives]
    if len(kinds) != len(values):
        expressions.refuse(
            call, f"the format has {len(kinds)} directive(s) for {len(values)} value(s)", hint
        )
    for argument, value, kind in zip(arguments, values, kinds, strict=True):
        if value.type.is_float != (kind in _FLOATS):
            wanted = "%f" if value.type.is_float else "%d"
            expressions.refuse(
                argument, f"%{kind} does not print {value.type.name}", f"write {wanted}"
            )
    return ir.Print(call.lineno, _DIRECTIVE.sub(_with_length, text), values)


def _with_length(directive: re.Match[str]) -> str:
    """A directive for an int64 or a double."""
    if directive[0] == "%%":
        return "%%"
    length = "ll" if directive["kind"] in _INTEGERS else ""
    return f"%{directive['options']}{length}{directive['kind']}"
