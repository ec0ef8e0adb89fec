"""`pk.printf("%d\\n", x)` in a workunit: the directives of its format fit its values."""

from __future__ import annotations

import ast
import re
from typing import Final

from kkspdnn.pk import ir
from kkspdnn.pk.frontend.expressions import Expressions

_DIRECTIVE: Final = re.compile(
    r"%(?P<flags>[-+ #0]*)(?P<width>\d*)(?P<precision>(?:\.\d*)?)"
    r"(?P<length>hh|h|ll|l|j|z|t|L)?(?P<kind>.)",
    re.DOTALL,
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
    pieces, kinds, end = [], [], 0
    for match in _DIRECTIVE.finditer(text):
        pieces.append(text[end : match.start()])
        end = match.end()
        if match[0] == "%%":
            pieces.append("%%")
            continue
        if match["kind"] not in _INTEGERS + _FLOATS:
            expressions.refuse(node, f"`{match[0]}` prints no number", hint)
        kinds.append(match["kind"])
        length = "ll" if match["kind"] in _INTEGERS else ""
        pieces.append(
            f"%{match['flags']}{match['width']}{match['precision']}{length}{match['kind']}"
        )
    pieces.append(text[end:])
    if "%" in text[end:]:
        expressions.refuse(node, "the format ends inside a directive", "write %% for %")
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
    return ir.Print(call.lineno, "".join(pieces), values)
