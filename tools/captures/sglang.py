"""The options of SGLang's server: fields of its configuration.

They are read as `srt/arg_groups/arg_utils.py` reads them: a field `name: A[type, ...]` is an
option `--name` when the annotation has a help text or an `Arg(...)`. What has choices of its own
at run time, and what is deprecated, is added by `ServerArgs.add_cli_args` itself.
"""

import ast
from dataclasses import replace

from captures.mlx_lm import added, type_name
from captures.source import Library, Module, Unreadable, keywords, local_values
from captures.table import STORE, STORE_TRUE, SWITCH, Flag, with_negations

FIELDS = "sglang.srt.arg_groups.fields"
SERVER = "sglang.srt.server_args"
MARKS = ("NS", "Derived")
"""Other annotations that a field can have; they say nothing of the command line."""
DEPRECATED = {"DeprecatedStoreTrueAction": 0, "DeprecatedStoreConstAction": None}
"""Actions of deprecated options and the words they take."""
NUMBERS = ("int", "float")
MEMBER_NAMES = {"--kv-canary-real-data": ("sglang.kernels.ops.kv_canary.consts", "RealKvHashMode")}
"""Options whose choices are the names of an enumeration, in small letters."""


def flags(library: Library) -> list[Flag]:
    """The options: fields in the order of the source, then those added by hand.

    Raises:
        Unreadable: a declaration has a form that is not followed.
    """
    found = []
    fields: dict[str, tuple[Module, ast.AnnAssign]] = {}
    for name in library.names(FIELDS):
        module = library.module(name)
        for namespace in module.classes():
            for node in namespace.body:
                if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                    fields[node.target.id] = module, node
    for name, (module, node) in fields.items():
        if (flag := _of_field(module, name, node)) is not None:
            found.append(flag)
    return [*found, *_by_hand(library, fields)]


def _of_field(module: Module, name: str, node: ast.AnnAssign) -> Flag | None:
    match node.annotation:
        case ast.Subscript(value=ast.Name(id="A"), slice=ast.Tuple(elts=[kind, *marks])):
            given = _given(marks)
        case _:
            given = None
    if given is None or ("no_cli" in given and module.value(given["no_cli"])):
        return None
    names = [
        module.value(given["cli_name"]) if "cli_name" in given else "--" + name.replace("_", "-"),
        *(module.value(given["aliases"]) if "aliases" in given else []),
    ]
    default, is_given = _default(module, node.value)
    flag = _typed(module, kind, given, Flag(names, default=default))
    is_scalar = flag.action == STORE and flag.nargs is None and "Literal" not in ast.dump(kind)
    return replace(flag, required=is_scalar and not is_given)


def _given(marks: list[ast.expr]) -> dict[str, ast.expr] | None:
    """The arguments of `Arg`, none for a help text, None where the field is no option."""
    for mark in marks:
        match mark:
            case ast.Call(func=ast.Name(id="Arg")):
                return keywords(mark)
            case ast.Call(func=ast.Name(id=name)) if name in MARKS:
                continue
            case ast.Constant() | ast.JoinedStr() | ast.BinOp():
                return {}
            case _:
                raise Unreadable(ast.unparse(mark))
    return None


def _typed(module: Module, kind: ast.expr, given: dict[str, ast.expr], flag: Flag) -> Flag:
    """The rules of `add_cli_args_from_dataclass`, in its order."""
    inner = _without_none(kind)
    choices = module.value(given["choices"]) if "choices" in given else None
    parser = type_name(given["type_parser"]) if "type_parser" in given else None
    nargs = module.value(given["nargs"]) if "nargs" in given else None
    if "action" in given:
        action = type_name(given["action"])
        if action == SWITCH:
            return replace(flag, flags=with_negations(flag.flags), action=SWITCH, nargs=0)
        return _of_action(module, action, given, flag)
    match inner:
        case ast.Subscript(value=ast.Name(id="Literal"), slice=values):
            found = module.value(values)
            literal = found if isinstance(found, list) else [found]
            of_values = type(literal[0]).__name__
            kept = parser or (of_values if of_values in NUMBERS else "str")
            return replace(flag, type=kept, choices=choices or literal)
        case ast.Subscript(value=ast.Name(id="List" | "list"), slice=element) if parser is None:
            return replace(flag, type=_scalar(element), nargs=nargs or "+", choices=choices)
        case ast.Name(id="bool"):
            return replace(flag, action=STORE_TRUE, nargs=0)
    return replace(flag, type=parser or _scalar(inner), nargs=nargs, choices=choices)


def _of_action(module: Module, action: str, given: dict[str, ast.expr], flag: Flag) -> Flag:
    match given.get("action_kwargs"):
        case ast.Dict(keys=keys, values=values):
            more = {
                module.value(key): value for key, value in zip(keys, values, strict=True) if key
            }
        case _:
            raise Unreadable(f"{flag.flags[0]} with the action {action}")
    return replace(
        flag, action=action, type=type_name(more["type"]), nargs=module.value(more["nargs"])
    )


def _without_none(kind: ast.expr) -> ast.expr:
    """X of `Optional[X]` and `X | None`; unions of more stay as they are, as in the original."""
    match kind:
        case ast.Subscript(value=ast.Name(id="Optional"), slice=inner):
            return inner
        case ast.BinOp(left=inner, op=ast.BitOr(), right=ast.Constant(value=None)):
            return inner
    return kind


def _scalar(kind: ast.expr) -> str:
    """str, int and float are their own functions; all others are text."""
    return kind.id if isinstance(kind, ast.Name) and kind.id in NUMBERS else "str"


def _default(module: Module, node: ast.expr | None) -> tuple[object, bool]:
    """The value, and whether there is one."""
    match node:
        case None:
            return None, False
        case ast.Call(keywords=[ast.keyword(arg="default_factory", value=ast.Name(id="list"))]):
            return [], True
    return module.value(node), True


def _by_hand(library: Library, fields: dict[str, tuple[Module, ast.AnnAssign]]) -> list[Flag]:
    module = library.module(SERVER)
    function = module.function("add_cli_args")
    scope = local_values(function)
    found = []
    for node in ast.walk(function):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if node.func.attr != "add_argument":
            continue
        given = keywords(node)
        names = [module.value(name) for name in node.args]
        kept = [keyword for keyword in node.keywords if keyword.arg not in ("choices", "default")]
        action = given.get("action")
        if isinstance(action, ast.Name) and action.id in DEPRECATED:
            flag = Flag(names, action.id, nargs=DEPRECATED[action.id], default=False)
        else:
            flag = added(module, ast.Call(node.func, node.args, kept))
            flag = replace(flag, default=_declared(fields, given.get("default"), flag.default))
        if names[0] in MEMBER_NAMES:
            where, enumeration = MEMBER_NAMES[names[0]]
            members = library.members(library.module(where), enumeration)
            flag = replace(flag, choices=[member.lower() for member in members])
        elif "choices" in given:
            flag = replace(flag, choices=module.value(given["choices"], scope))
        found.append(flag)
    return found


def _declared(
    fields: dict[str, tuple[Module, ast.AnnAssign]], node: ast.expr | None, otherwise: object
) -> object:
    """The default of the field that `_declared_default("name")` names."""
    match node:
        case None:
            return otherwise
        case ast.Call(func=ast.Name(id="_declared_default"), args=[ast.Constant(value=str(name))]):
            module, field = fields[name]
            return _default(module, field.value)[0]
    raise Unreadable(ast.unparse(node))
