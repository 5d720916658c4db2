"""The parser of `vllm serve`, from a capture of it."""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

from support.captured_parser import TYPES, CapturedParser, Type, add_captured, capture

CAPTURE: Final = "vllm-0.33.0.flags.json"
_HUMAN_READABLE = re.compile(r"^([0-9]+(?:\.[0-9]+)?)([kKmMgGtT])?$")
_DECIMAL: Final = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY: Final = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


class VllmParser(CapturedParser):
    """Takes names with dashes or underscores, as vLLM's does."""

    def parse(self, args: Sequence[str]) -> argparse.Namespace:
        return super().parse([_with_dashes(arg) for arg in args])


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


VLLM_TYPES: Final[Mapping[str, Type]] = {
    **TYPES,
    "human_readable_int": human_readable_int,
    "human_readable_int_or_auto": human_readable_int_or_auto,
    "parse_dataclass": json_object,
    "union_dict_and_str": text_or_json_object,
    "parse_reasoning_parser": str,
    "_optional_type": str,
    "_parse_type": str,
    "<lambda>": str,
}
"""Types by the name in the capture. The last three hide their inner type: any text passes."""

VLLM_ACTIONS: Final = {
    "LoRAParserAction": "_StoreAction",
    "DeprecatedLogConfigFileAction": "_StoreAction",
}


def vllm_parser() -> VllmParser:
    """The parser of `vllm serve` 0.33.0."""
    parser = VllmParser(prog="vllm serve", allow_abbrev=False, add_help=False)
    add_captured(parser, capture(CAPTURE)["flags"], VLLM_TYPES, VLLM_ACTIONS)
    return parser


def _with_dashes(arg: str) -> str:
    name, equals, value = arg.partition("=")
    return (name.replace("_", "-") if name.startswith("--") else name) + equals + value
