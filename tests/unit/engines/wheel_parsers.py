"""The parsers of the engines whose command lines tools/captures reads from their wheels.

Names that the engine would take cut short (`--tp` for `--tp-size`) are refused: a later version
can have a second name that begins so.
"""

import argparse
import json
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

from support.captured_parser import TYPES, CapturedParser, Type, add_captured, capture

_SIZE = re.compile(r"^(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|k|M|G|T)$")
_SI: Final = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_IEC: Final = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_CACHE_SIZE = re.compile(r"^([0-9.]+)\s*([A-Za-z]*)$")
_CACHE_UNITS: Final = {"": 1, "M": 10**6, "MB": 10**6, "G": 10**9, "GB": 10**9}


def human_readable_int(text: str) -> int:
    """8192, 8k = 8,000, 8Ki = 8,192; decimals only before SI suffixes."""
    if (match := _SIZE.match(text)) is None:
        return int(text)
    number, suffix = match.groups()
    if suffix in _IEC:
        return int(number) * _IEC[suffix]
    return int(Decimal(number) * _SI[suffix])


def cuda_graph_config(text: str) -> object:
    """A JSON object of the phases decode and prefill."""
    phases = json.loads(text)
    if not isinstance(phases, dict) or not phases.keys() <= {"decode", "prefill"}:
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON object of decode and prefill")
    return phases


def cache_bytes(text: str) -> int:
    """1000, 10MB, 10 GB: decimal units."""
    match = _CACHE_SIZE.match(text)
    if match is None or match.group(2).upper() not in _CACHE_UNITS:
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 10GB")
    try:
        return int(Decimal(match.group(1)) * _CACHE_UNITS[match.group(2).upper()])
    except InvalidOperation as error:
        raise argparse.ArgumentTypeError(str(error)) from error


SGLANG_TYPES: Final[Mapping[str, Type]] = {
    **TYPES,
    "human_readable_int": human_readable_int,
    "json_list_type": json.loads,
    "nullable_str": str,
    "parse_cuda_graph_config_arg": cuda_graph_config,
    "parse_cuda_graph_backend_arg": str,
}
SGLANG_ACTIONS: Final = {
    "LoRAPathAction": "_StoreAction",
    "DeprecatedStoreTrueAction": "_StoreTrueAction",
    "DeprecatedStoreConstAction": "_StoreAction",
}
MLX_TYPES: Final[Mapping[str, Type]] = {
    **TYPES,
    "_parse_size": cache_bytes,
    "<lambda>": lambda text: text.split(","),
}


def sglang_parser() -> CapturedParser:
    """The parser of `python -m sglang.launch_server` and `sglang serve` 0.5.23."""
    return _parser("sglang-0.5.23.flags.json", SGLANG_TYPES, SGLANG_ACTIONS)


def transformers_parser() -> CapturedParser:
    """The parser of `transformers serve` 5.23.0."""
    return _parser("transformers-5.23.0.serve.json", TYPES, {})


def mlx_parser() -> CapturedParser:
    """The parser of `mlx_lm.server` 0.32.2."""
    return _parser("mlx-lm-0.32.2.flags.json", MLX_TYPES, {})


def _parser(file: str, types: Mapping[str, Type], actions: Mapping[str, str]) -> CapturedParser:
    content = capture(file)
    parser = CapturedParser(prog=content["engine"], allow_abbrev=False, add_help=False)
    add_captured(parser, content["flags"], types, actions)
    return parser
