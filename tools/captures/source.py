"""Values that stand in Python source, found without running it."""

import ast
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

Definition = ast.expr | ast.ClassDef | ast.FunctionDef
Value = Any
"""What a literal can be; whoever reads one knows which."""
MAKERS = {"set": set, "frozenset": set, "list": list, "tuple": list}
"""Calls that gather another value; sets come out sorted, as their order is no property of them."""


class Unreadable(ValueError):
    """The value is computed in a way that is not followed here."""


class Module:
    """One module: what its names stand for, and the values of its expressions.

    Followed are literals, lists, sums, names of the module and of those it imports from, members
    of classes, and functions without arguments by their last return.
    """

    def __init__(self, name: str, library: "Library") -> None:
        self._library = library
        self._package = name.rpartition(".")[0]
        self.tree = ast.parse(library.text(name))
        self._names = _definitions(self.tree.body)
        self._imports = _imports(self.tree.body, self._package)

    def classes(self) -> list[ast.ClassDef]:
        """The classes of the module, in order."""
        return [node for node in self.tree.body if isinstance(node, ast.ClassDef)]

    def function(self, name: str) -> ast.FunctionDef:
        """A function of the module or of one of its classes.

        Raises:
            Unreadable: there is none of that name.
        """
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef) and node.name == name:
                return node
        raise Unreadable(f"no function {name}")

    def value(self, node: ast.expr, scope: Mapping[str, ast.expr] | None = None) -> Value:
        """The value of an expression; `scope` has the local names.

        Raises:
            Unreadable: it is none of what is followed.
        """
        scope = scope or {}
        match node:
            case ast.Constant(value=value):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self.value(operand, scope)
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return [self.value(item, scope) for item in items]
            case ast.Set(elts=items):
                return sorted(self.value(item, scope) for item in items)
            case ast.Dict(keys=[], values=[]):
                return {}
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self.value(left, scope) + self.value(right, scope)
            case ast.BinOp(left=left, op=ast.Mult(), right=right):
                return self.value(left, scope) * self.value(right, scope)
            case ast.Name(id=name) if name in scope:
                return self.value(scope[name], scope)
            case ast.Name(id=name):
                return self._named(name)
            case ast.Attribute(value=member, attr="value"):  # of a member of an enumeration
                return self.value(member, scope)
            case ast.Attribute(value=ast.Name(id=name), attr=attribute):
                return self._library.member(*self.find(name), attribute)
            case ast.Call(func=ast.Name(id=maker), args=[argument]) if maker in MAKERS:
                made = MAKERS[maker](self.value(argument, scope))
                return sorted(made) if isinstance(made, set) else made
            case ast.Call(func=ast.Name(id=name), args=[], keywords=[]):
                return self._returned(name)
        raise Unreadable(ast.unparse(node))

    def find(self, name: str) -> tuple["Module", Definition]:
        """What a name stands for, and the module in which that is.

        Raises:
            Unreadable: it is neither defined nor imported.
        """
        if name in self._names:
            return self, self._names[name]
        if name in self._imports:
            module, original = self._imports[name]
            return self._library.module(module).find(original)
        raise Unreadable(name)

    def _named(self, name: str) -> Value:
        module, definition = self.find(name)
        if isinstance(definition, ast.expr):
            return module.value(definition)
        raise Unreadable(f"{name} is no value")

    def _returned(self, name: str) -> Value:
        module, definition = self.find(name)
        if not isinstance(definition, ast.FunctionDef):
            raise Unreadable(f"{name} is no function")
        last = definition.body[-1]
        if not isinstance(last, ast.Return) or last.value is None:
            raise Unreadable(f"{name} does not end with a return")
        return module.inside(definition).value(last.value)

    def inside(self, function: ast.FunctionDef) -> "Module":
        """The module as code in one of its functions sees it: with the function's imports."""
        seen = object.__new__(Module)
        seen.__dict__.update(self.__dict__)
        seen._imports = self._imports | _imports(function.body, self._package)
        return seen


class Library:
    """The modules of one wheel."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = files
        self.module = cache(self._module)

    def text(self, name: str) -> str:
        """The source of a module.

        Raises:
            Unreadable: the wheel has none of that name.
        """
        path = name.replace(".", "/")
        for file in (f"{path}.py", f"{path}/__init__.py"):
            if file in self._files:
                return self._files[file]
        raise Unreadable(f"no module {name}")

    def names(self, package: str) -> list[str]:
        """The modules right in a package, by name."""
        folder = package.replace(".", "/") + "/"
        return sorted(
            file.removesuffix(".py").replace("/", ".")
            for file in self._files
            if file.startswith(folder) and "/" not in file.removeprefix(folder)
        )

    def member(self, module: Module, definition: Definition, name: str) -> Value:
        """The value of a class's attribute.

        Raises:
            Unreadable: it is no class, or has no such attribute.
        """
        if not isinstance(definition, ast.ClassDef):
            raise Unreadable(f"{name} of what is no class")
        scope = {
            key: node
            for key, node in _definitions(definition.body).items()
            if isinstance(node, ast.expr)
        }
        if name not in scope:
            raise Unreadable(f"{definition.name}.{name}")
        return module.value(scope[name], scope)

    def members(self, module: Module, name: str) -> list[str]:
        """The names of an enumeration's members.

        Raises:
            Unreadable: the name is that of no class.
        """
        _, definition = module.find(name)
        if not isinstance(definition, ast.ClassDef):
            raise Unreadable(f"{name} is no class")
        return list(_definitions(definition.body))

    def _module(self, name: str) -> Module:
        return Module(name, self)


def local_values(function: ast.FunctionDef) -> dict[str, ast.expr]:
    """What is assigned to names in a function's own lines, the last one each."""
    return {
        name: node
        for name, node in _definitions(function.body).items()
        if isinstance(node, ast.expr)
    }


def keywords(call: ast.Call) -> dict[str, ast.expr]:
    """The arguments of a call that have names."""
    return {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg is not None}


def _definitions(body: Iterable[ast.stmt]) -> dict[str, Definition]:
    found: dict[str, Definition] = {}
    for node in body:
        match node:
            case ast.ClassDef() | ast.FunctionDef():
                found[node.name] = node
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found[name] = value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                found[name] = value
    return found


def _imports(body: Iterable[ast.stmt], package: str) -> dict[str, tuple[str, str]]:
    """Local name to module and name there; one dot before a module is the package's own."""
    return {
        alias.asname or alias.name: (
            f"{package}.{node.module}" if node.level == 1 else node.module,
            alias.name,
        )
        for node in body
        if isinstance(node, ast.ImportFrom) and node.module and node.level <= 1
        for alias in node.names
    }
