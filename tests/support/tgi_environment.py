"""Whether an environment is one that TGI's launcher takes, from captures of its options.

Every option of the launcher has a variable, and a variable that is no option's is ignored without
a word, so one that is misspelt has to be found here.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from support.captured_parser import capture

UNSIGNED: Final = {"u16": 16, "u32": 32, "u64": 64, "usize": 64}
"""Rust's types of whole numbers by their bits; none is negative."""
BOOLEANS: Final = ("true", "false")
"""What clap takes for a switch's variable; 1 and True are errors."""
OTHERS: Final = frozenset(
    {
        *("HF_TOKEN", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_ENDPOINT"),
        "HF_HUB_DISABLE_TELEMETRY",
        *("HF_HUB_ENABLE_HF_TRANSFER", "HF_KERNELS_CACHE", "LOG_LEVEL", "HOME"),
        *("ATTENTION", "PREFIX_CACHING", "CUDA_VISIBLE_DEVICES", "NCCL_DEBUG"),
    }
)
"""Variables that are read without being options: by the launcher, its shards or their libraries."""


class VariableRefused(Exception):
    """The launcher would exit over this variable, or would not read it."""


def check(version: str, environment: Mapping[str, str]) -> None:
    """Nothing when each variable is an option's with a value of its type, or one of OTHERS.

    Raises:
        VariableRefused: the variable, the value and what is taken.
    """
    content = capture(f"text-generation-launcher-{version}.options.json")
    options = {option["environment"]: option for option in content["options"]}
    for name, value in environment.items():
        if name in options:
            _check(options[name], value)
        elif name not in OTHERS:
            raise VariableRefused(f"{name} is no option of {version}, which would not read it")
    for together in content["conflicts"]:
        if environment.keys() >= set(together):
            raise VariableRefused(f"only one of {' and '.join(together)}")
    _compare(version, environment)


def _compare(version: str, environment: Mapping[str, str]) -> None:
    """What the launcher compares before it loads anything (`launcher/src/main.rs`)."""
    inputs = environment.get("MAX_INPUT_TOKENS", environment.get("MAX_INPUT_LENGTH"))
    if inputs is None:
        return
    if int(inputs) >= int(environment.get("MAX_TOTAL_TOKENS", 2**64)):
        raise VariableRefused("MAX_INPUT_TOKENS must be less than MAX_TOTAL_TOKENS")
    prefill = environment.get("MAX_BATCH_PREFILL_TOKENS", inputs)
    if version.startswith("2.") and int(inputs) > int(prefill):
        raise VariableRefused("MAX_BATCH_PREFILL_TOKENS must be at least MAX_INPUT_TOKENS")


def _check(option: Mapping[str, Any], value: str) -> None:
    kind, choices = option["type"], option["choices"]
    if not (value in choices if choices else _TYPES[kind](value)):
        allowed = ", ".join(choices) if choices else kind
        raise VariableRefused(f"{option['environment']}={value!r} is none of {allowed}")


def _is_unsigned(bits: int) -> Callable[[str], bool]:
    return lambda value: re.fullmatch(r"[0-9]+", value) is not None and int(value) < 2**bits


def _is_float(value: str) -> bool:
    return re.fullmatch(r"-?[0-9]+(?:\.[0-9]*)?", value) is not None


def _are_unsigned(value: str) -> bool:
    return all(_TYPES["usize"](item) for item in value.split(","))


_TYPES: Final[dict[str, Callable[[str], bool]]] = {
    **{kind: _is_unsigned(bits) for kind, bits in UNSIGNED.items()},
    "String": lambda value: True,
    "Vec<String>": lambda value: True,
    "Vec<usize>": _are_unsigned,
    "bool": lambda value: value in BOOLEANS,
    "f32": _is_float,
}
