"""The options of `transformers serve`: the parameters of one function, as typer reads them."""

import ast

from captures.source import Library, Module, Unreadable, keywords
from captures.table import STORE, SWITCH, Flag, with_negations

MODULE = "transformers.cli.serve"
PLAIN = ("str", "int", "float")


def flags(library: Library) -> list[Flag]:
    """The positional model and the options, in the order of the source.

    Raises:
        Unreadable: a parameter has a form that is not followed.
    """
    module = library.module(MODULE)
    function = module.function("__init__")
    parameters = function.args.args[1:]
    defaults = function.args.defaults
    if len(parameters) != len(defaults):
        raise Unreadable(f"parameters of {MODULE} without a default")
    return [
        _flag(library, module, parameter, module.value(default))
        for parameter, default in zip(parameters, defaults, strict=True)
    ]


def _flag(library: Library, module: Module, parameter: ast.arg, default: object) -> Flag:
    match parameter.annotation:
        case ast.Subscript(
            value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[annotation, ast.Call() as call])
        ):
            kind = _without_none(annotation)
        case _:
            raise Unreadable(f"the annotation of {parameter.arg}")
    if call.args or not keywords(call).keys() <= {"help", "hidden"}:
        raise Unreadable(f"names of its own for {parameter.arg}")
    if isinstance(call.func, ast.Attribute) and call.func.attr == "Argument":
        return Flag([parameter.arg], STORE, kind, nargs="?", default=default)
    name = "--" + parameter.arg.replace("_", "-")
    if kind == "bool":
        return Flag(with_negations([name]), SWITCH, nargs=0, default=default)
    if kind in PLAIN:
        return Flag([name], STORE, kind, default=default)
    choices = [
        library.member(*module.find(kind), member) for member in library.members(module, kind)
    ]
    return Flag([name], STORE, "str", choices=choices, default=default)


def _without_none(annotation: ast.expr) -> str:
    """The name of the type in `X` or `X | None`."""
    match annotation:
        case (
            ast.Name(id=name)
            | ast.BinOp(left=ast.Name(id=name), op=ast.BitOr(), right=ast.Constant(value=None))
        ):
            return name
    raise Unreadable(ast.unparse(annotation))
