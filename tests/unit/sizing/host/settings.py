"""llama.cpp settings with Llama models."""

from dataclasses import replace
from typing import Any

from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.settings import Setting
from unit.sizing.budget.settings import L4, LLAMA_8B, setting


def llama_cpp(
    model: ModelShape = LLAMA_8B,
    scheme: str = "Q4_K_M",
    product: str = L4,
    *,
    free_bytes: int | None = None,
    gpus: int = 1,
    max_model_len: int = 8192,
    **values: Any,
) -> Setting:
    """A setting with so many bytes free on each GPU; by default all of an idle one."""
    made = setting(
        model,
        scheme,
        product,
        tp=gpus,
        engine="llama.cpp",
        version=None,
        utilization=1.0,
        max_model_len=max_model_len,
        **values,
    )
    assert made.gpu is not None
    if free_bytes is None:
        return made
    return replace(made, total_bytes=free_bytes + made.gpu.reserved_at_start_bytes)
