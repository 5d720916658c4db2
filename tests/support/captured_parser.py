"""A real argparse parser with the arguments of an engine's own, from a capture of them.

A capture is a file of tests/captures whose `flags` have the names, action, type, nargs, choices
and default that argparse takes. Types and actions stand there by name; those of Python are here,
an engine brings its own.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

CAPTURES: Final = Path(__file__).parents[1] / "captures"
Type = Callable[[str], object]
TYPES: Final[Mapping[str, Type]] = {
    "None": str,
    "str": str,
    "int": int,
    "float": float,
    "loads": json.loads,
}
STORING: Final = ("_StoreAction", "_AppendAction")
TRUE: Final = "_StoreTrueAction"


class ArgumentRefused(Exception):
    """The engine would print this and exit."""


class CapturedParser(argparse.ArgumentParser):
    """Takes what the engine takes, but no name cut short, and raises where it would exit."""

    def error(self, message: str) -> NoReturn:
        raise ArgumentRefused(message)

    def parse(self, args: Sequence[str]) -> argparse.Namespace:
        return self.parse_args(args)


class Switch(argparse.Action):
    """A pair of switches: one name turns on, the other off; neither takes a value."""

    def __init__(self, option_strings: Sequence[str], dest: str, default: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, default=default)
        self._off = {
            name
            for name in option_strings[1:]
            if name.startswith("--no-")
            or (name.startswith("--disable-") and option_strings[0].startswith("--enable-"))
            or (name.startswith("--enable-") and option_strings[0].startswith("--disable-"))
        }

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, option_string not in self._off)


SWITCHES: Final = ("BooleanOptionalAction", "EnableDisableAction")


def capture(file: str) -> dict[str, Any]:
    """A capture of tests/captures."""
    content: dict[str, Any] = json.loads((CAPTURES / file).read_text(encoding="utf-8"))
    return content


def add_captured(
    parser: CapturedParser,
    flags: Sequence[Mapping[str, Any]],
    types: Mapping[str, Type],
    actions: Mapping[str, str],
) -> None:
    """Add the flags of a capture; `actions` has the actions of this package for an engine's own.

    Raises:
        ValueError: a flag has an action or type that is not translated.
    """
    for flag in flags:
        action = actions.get(flag["action"], flag["action"])
        names = flag["flags"]
        more: dict[str, Any] = {"required": True} if flag.get("required") else {}
        if action == "_HelpAction":
            parser.add_argument(*names, action="help")
        elif action == TRUE:
            parser.add_argument(*names, action="store_true")
        elif action in SWITCHES:
            parser.add_argument(*names, action=Switch, default=flag["default"])
        elif action in STORING and flag["type"] in types:
            parser.add_argument(
                *names,
                action="append" if action == "_AppendAction" else "store",
                type=types[flag["type"]],
                nargs=flag["nargs"],
                choices=flag["choices"],
                default=_default(flag),
                **more,
            )
        else:
            msg = f"{action} with the type {flag['type']} of {names} is not translated"
            raise ValueError(msg)


def _default(flag: Mapping[str, Any]) -> Any:
    """The default; None for one of vLLM's own classes, of which the capture holds the repr."""
    default = flag["default"]
    is_repr = isinstance(default, str) and flag["type"] not in TEXT
    return None if is_repr else default


TEXT: Final = ("None", "str", "_optional_type")
"""Types whose default can be text; argparse would take the text of others as a value."""
