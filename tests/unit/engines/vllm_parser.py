"""A real argparse parser with the arguments that vLLM's own parser has, from a capture of it."""

import argparse
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

CAPTURES: Final = Path(__file__).parents[2] / "captures"
_HUMAN_READABLE = re.compile(r"^([0-9]+(?:\.[0-9]+)?)([kKmMgGtT])?$")
_DECIMAL: Final = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY: Final = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


class ArgumentRefused(Exception):
    """The parser would print this and exit with status 2."""


class VllmParser(argparse.ArgumentParser):
    """Takes names with dashes or underscores, as vLLM's does, but none cut short."""

    def error(self, message: str) -> NoReturn:
        raise ArgumentRefused(message)

    def parse(self, args: Sequence[str]) -> argparse.Namespace:
        return self.parse_args([_with_dashes(arg) for arg in args])


class EnableDisable(argparse.Action):
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


def human_readable_int(text: str) -> int:
    """8192, 8k = 8,000, 8K = 8,192; decimals only with decimal multipliers."""
    match = _HUMAN_READABLE.match(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no integer such as 8192 or 8k")
    number, suffix = match.groups()
    if suffix in _DECIMAL:
        return int(float(number) * _DECIMAL[suffix])
    return int(number) * _BINARY.get(suffix or "", 1)


def human_readable_int_or_auto(text: str) -> int:
    """As `human_readable_int`; `auto` and -1 mean detection."""
    return -1 if text in ("auto", "-1") else human_readable_int(text)


def text_or_json_object(text: str) -> object:
    """A JSON object when the text looks like one, else the text."""
    return json.loads(text) if re.match(r"(?s)^\s*{.*}\s*$", text) else text


def json_object(text: str) -> object:
    """A JSON object: what configurations are written as."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON object")
    return value


TYPES: Final[dict[str, Callable[[str], object]]] = {
    "None": str,
    "str": str,
    "int": int,
    "float": float,
    "human_readable_int": human_readable_int,
    "human_readable_int_or_auto": human_readable_int_or_auto,
    "loads": json.loads,
    "parse_dataclass": json_object,
    "union_dict_and_str": text_or_json_object,
    "parse_reasoning_parser": str,
    "_optional_type": str,
    "_parse_type": str,
    "<lambda>": str,
}
"""Types by the name in the capture. The last three hide their inner type: any text passes."""

STORE_ACTIONS: Final = ("_StoreAction", "LoRAParserAction", "DeprecatedLogConfigFileAction")


def vllm_parser() -> VllmParser:
    """The parser of `vllm serve` 0.33.0.

    Raises:
        ValueError: the capture has an action or type that is not translated here.
    """
    capture = json.loads((CAPTURES / "vllm-0.33.0.flags.json").read_text(encoding="utf-8"))
    parser = VllmParser(prog="vllm serve", allow_abbrev=False, add_help=False)
    for flag in capture["flags"]:
        _add(parser, flag)
    return parser


def _add(parser: VllmParser, flag: dict[str, Any]) -> None:
    names, action = flag["flags"], flag["action"]
    if action == "_HelpAction":
        parser.add_argument(*names, action="help")
    elif action == "_StoreTrueAction":
        parser.add_argument(*names, action="store_true")
    elif action == "EnableDisableAction":
        parser.add_argument(*names, action=EnableDisable, default=flag["default"])
    elif action in (*STORE_ACTIONS, "_AppendAction"):
        parser.add_argument(
            *names,
            action="append" if action == "_AppendAction" else "store",
            type=TYPES[flag["type"]],
            nargs=flag["nargs"],
            choices=flag["choices"],
            default=_default(flag),
        )
    else:
        msg = f"the action {action} of {names} is not translated"
        raise ValueError(msg)


def _default(flag: dict[str, Any]) -> Any:
    """The default; None for one of vLLM's own classes, of which the capture holds the repr."""
    default = flag["default"]
    is_repr = isinstance(default, str) and flag["type"] not in ("None", "str", "_optional_type")
    return None if is_repr else default


def _with_dashes(arg: str) -> str:
    name, equals, value = arg.partition("=")
    return (name.replace("_", "-") if name.startswith("--") else name) + equals + value
