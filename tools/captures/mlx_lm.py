"""The options of `mlx_lm.server`: calls of argparse in one function."""

import ast

from captures.source import Library, Module, keywords
from captures.table import STORE, STORE_TRUE, Flag

MODULE = "mlx_lm.server"
ACTIONS = {"store_true": STORE_TRUE}


def flags(library: Library) -> list[Flag]:
    """The options in the order of the source.

    Raises:
        Unreadable: a declaration has a form that is not followed.
    """
    module = library.module(MODULE)
    return [
        added(module, node)
        for node in ast.walk(module.function("main"))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "add_argument"
    ]


def added(module: Module, call: ast.Call) -> Flag:
    """The option of one call of `add_argument`."""
    given = keywords(call)
    literal = {
        name: module.value(node)
        for name, node in given.items()
        if name in ("action", "nargs", "choices", "default", "required")
    }
    is_true = literal.get("action") == "store_true"
    return Flag(
        flags=[module.value(name) for name in call.args],
        action=ACTIONS[literal["action"]] if "action" in literal else STORE,
        type=type_name(given.get("type")),
        nargs=0 if is_true else literal.get("nargs"),
        choices=literal.get("choices"),
        default=False if is_true else literal.get("default"),
        required=literal.get("required", False),
    )


def type_name(node: ast.expr | None) -> str:
    """The name of a type's function, as the function itself tells it."""
    match node:
        case None:
            return "None"
        case ast.Lambda():
            return "<lambda>"
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ast.unparse(node)
