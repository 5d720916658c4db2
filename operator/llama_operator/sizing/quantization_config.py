"""From the `quantization_config` of a `config.json` to the name of a quantization."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from llama_operator.errors import UnsupportedSchemeError
from llama_operator.sizing.scheme_names import UNQUANTIZED

BLOCK_SIZE: Final = (128, 128)
"""The only `weight_block_size` whose bytes are known."""
_KEYS: Final = ("quantization_config", "compression_config", "quantization")
"""Where a configuration tells it; the last one is MLX's."""
_MODELOPT: Final[Mapping[str, str]] = {
    "FP8": "fp8",
    "FP8_PER_CHANNEL_PER_TOKEN": "fp8-dynamic",
    "FP8_PB_WO": "fp8-block",
    "NVFP4": "nvfp4",
    "NVFP4_AWQ": "nvfp4",
    "W4A16_NVFP4": "nvfp4",
}
_COMPRESSED_FLOATS: Final[Mapping[tuple[int, str], str]] = {
    (8, "channel"): "fp8-dynamic",
    (8, "tensor"): "fp8",
    (8, "block"): "fp8-block",
    (4, "tensor_group"): "nvfp4",
    (4, "group"): "mxfp4",
}


def quantization_name(config: Mapping[str, Any]) -> str:
    """The quantization that a configuration names, as `scheme_for` reads it.

    Looked up outside first, then in `text_config`; `none` where there is nothing. Known methods:
    awq, gptq, auto-round, compressed-tensors, fp8, fbgemm_fp8, modelopt, bitsandbytes, mxfp4, and
    MLX's bits and group size.

    Args:
        config: a whole `config.json`.

    Raises:
        UnsupportedSchemeError: the method is not known, or a value of it is not; names key, value
            and what is known.
    """
    text = config.get("text_config")
    for section in (config, text if isinstance(text, Mapping) else {}):
        for key in _KEYS:
            found = section.get(key)
            if found is None:
                continue
            if not isinstance(found, Mapping):
                raise _error(key, found, "a mapping")
            if found:
                return _method_name(key, found)
    return UNQUANTIZED


def _method_name(key: str, values: Mapping[str, Any]) -> str:
    method = values.get("quant_method")
    if method is None and "bits" in values:
        return f"mlx-{_integer(values, 'bits')}bit-g{_integer(values, 'group_size', 64)}"
    if method is None and ("quant_algo" in values or "config_groups" in values):
        method = "modelopt" if "quant_algo" in values else "compressed-tensors"
    rule = _METHODS.get(method) if isinstance(method, str) else None
    if rule is None:
        raise _error(f"{key}.quant_method", method, f"one of {', '.join(sorted(_METHODS))}")
    return rule(values)


def _awq(values: Mapping[str, Any]) -> str:
    key = "group_size" if "group_size" in values else "q_group_size"
    bits = _integer(values, "bits" if "bits" in values else "w_bit", 4)
    return f"awq-int{bits}-{_group(values, key)}"


def _gptq(values: Mapping[str, Any]) -> str:
    return f"gptq-int{_integer(values, 'bits', 4)}-{_group(values, 'group_size')}"


def _auto_round(values: Mapping[str, Any]) -> str:
    packing = values.get("packing_format")
    return _awq(values) if isinstance(packing, str) and "awq" in packing else _gptq(values)


def _fp8(values: Mapping[str, Any]) -> str:
    block = values.get("weight_block_size")
    if block is None:
        return "fp8"
    if not isinstance(block, list | tuple) or tuple(block) != BLOCK_SIZE:
        raise _error("weight_block_size", block, f"{list(BLOCK_SIZE)} or null")
    return "fp8-block"


def _modelopt(values: Mapping[str, Any]) -> str:
    inner = values.get("quantization")
    algorithm = values.get("quant_algo")
    if algorithm is None and isinstance(inner, Mapping):
        algorithm = inner.get("quant_algo")
    name = _MODELOPT.get(algorithm.upper()) if isinstance(algorithm, str) else None
    if name is None:
        if algorithm is None and isinstance(values.get("config_groups"), Mapping):
            return _compressed_tensors(values)
        raise _error("quant_algo", algorithm, f"one of {', '.join(_MODELOPT)}")
    return name


def _bitsandbytes(values: Mapping[str, Any]) -> str:
    if values.get("load_in_8bit") or values.get("_load_in_8bit"):
        return "bnb-int8"
    kind = values.get("bnb_4bit_quant_type", "nf4")
    if kind not in ("nf4", "fp4"):
        raise _error("bnb_4bit_quant_type", kind, "nf4 or fp4")
    return "bnb-nf4-dq" if values.get("bnb_4bit_use_double_quant") else "bnb-nf4"


def _compressed_tensors(values: Mapping[str, Any]) -> str:
    groups = values.get("config_groups")
    if not isinstance(groups, Mapping) or not groups:
        raise _error("config_groups", groups, "a mapping with at least one group")
    names = {_compressed_group(name, group) for name, group in groups.items()}
    if len(names) > 1:
        raise _error("config_groups", ", ".join(sorted(names)), "one quantization for all groups")
    return names.pop()


def _compressed_group(name: str, group: object) -> str:
    weights = group.get("weights") if isinstance(group, Mapping) else None
    where = f"config_groups.{name}.weights"
    if not isinstance(group, Mapping) or not isinstance(weights, Mapping):
        raise _error(where, weights, "a mapping")
    bits, strategy = _integer(weights, "num_bits"), weights.get("strategy")
    if strategy is None:
        strategy = "group" if weights.get("group_size") else "tensor"
    if weights.get("type") == "float":
        return _compressed_float(where, weights, bits, str(strategy))
    if weights.get("type", "int") != "int" or strategy not in ("group", "channel", "tensor"):
        raise _error(where, f"{weights.get('type')} by {strategy}", "int by group or channel")
    if bits == 8 and group.get("input_activations") is not None:
        return "int8-w8a8"
    suffix = _group(weights, "group_size") if strategy == "group" else "channel"
    if weights.get("symmetric", True):
        return "gptq-w4a16" if (bits, suffix) == (4, "g128") else f"gptq-w{bits}a16-{suffix}"
    return f"awq-int{bits}-{suffix}"


def _compressed_float(where: str, weights: Mapping[str, Any], bits: int, strategy: str) -> str:
    name = _COMPRESSED_FLOATS.get((bits, strategy))
    if name is None:
        known = ", ".join(f"{known} bits by {how}" for known, how in _COMPRESSED_FLOATS)
        raise _error(where, f"{bits} bits by {strategy}", f"one of {known}")
    if name == "fp8-block":
        return _fp8({"weight_block_size": weights.get("block_structure", list(BLOCK_SIZE))})
    return name


def _group(values: Mapping[str, Any], key: str) -> str:
    size = values.get(key, 128)
    return "channel" if size == -1 else f"g{_integer(values, key, 128)}"


def _integer(values: Mapping[str, Any], key: str, default: int | None = None) -> int:
    value = values.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 4096:
        raise _error(key, value, "a whole number from 1 to 4096")
    return value


def _error(key: str, value: object, allowed: str) -> UnsupportedSchemeError:
    shown = repr(value) if isinstance(value, str | int | float) or value is None else "it"
    return UnsupportedSchemeError(
        f"quantization_config: {key}: {shown[:80]} is not known; it must be {allowed}"
    )


_METHODS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "awq": _awq,
    "gptq": _gptq,
    "auto-round": _auto_round,
    "intel/auto-round": _auto_round,
    "compressed-tensors": _compressed_tensors,
    "fp8": _fp8,
    "fbgemm_fp8": lambda _: "fbgemm-fp8",
    "modelopt": _modelopt,
    "modelopt_fp4": _modelopt,
    "bitsandbytes": _bitsandbytes,
    "mxfp4": lambda _: "mxfp4",
}
