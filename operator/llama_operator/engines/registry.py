"""The engines that the operator knows, by name. Another engine is one more module and one entry."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from llama_operator.engines.engine import Engine
from llama_operator.engines.llamacpp import LlamaCpp
from llama_operator.engines.mlx import MLX
from llama_operator.engines.sglang import SGLang
from llama_operator.engines.tgi import TGI
from llama_operator.engines.transformers import Transformers
from llama_operator.engines.vllm import VLLM
from llama_operator.errors import SpecError

ENGINES: Final[Mapping[str, Engine]] = MappingProxyType(
    {known.name: known for known in (VLLM(), SGLang(), TGI(), LlamaCpp(), Transformers(), MLX())}
)
"""Engines by their name in `spec.engine.type` and `plan.engine`."""


def engine(name: str) -> Engine:
    """The engine of this name, e.g. `vLLM`.

    Raises:
        SpecError: there is no such engine.
    """
    known = ENGINES.get(name)
    if known is None:
        raise SpecError("spec.engine.type", f"{name!r} is no engine; write one of {_names()}")
    return known


def _names() -> str:
    return ", ".join(sorted(ENGINES))
