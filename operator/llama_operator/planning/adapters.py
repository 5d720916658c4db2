"""LoRA adapters of a spec: what sizing is asked, and what a plan says of them."""

from collections.abc import Iterator
from typing import Final

from llama_operator.api.enums import EngineType
from llama_operator.api.v1alpha1 import LlamaDeploymentSpec
from llama_operator.planning.wording import counted
from llama_operator.sizing.adapters import Adapters
from llama_operator.sizing.estimate import StageEstimate
from llama_operator.sizing.settings import Setting
from llama_operator.units import format_gib

SLOTS_AT_START: Final = EngineType.VLLM.value
"""The engine that allocates slots for all matrices, so that their bytes are exact."""


def planned_adapters(spec: LlamaDeploymentSpec) -> Adapters | None:
    """Adapters that an engine is to hold; None without any."""
    lora = spec.lora
    return Adapters(len(lora.adapters), lora.rank) if lora is not None else None


def adapter_reasons(
    spec: LlamaDeploymentSpec, setting: Setting, memory: StageEstimate
) -> Iterator[str]:
    """What adapters take of each GPU."""
    if spec.lora is None:
        return
    exact = setting.rules.engine == SLOTS_AT_START and not setting.model.has_experts()
    names = ", ".join(adapter.name for adapter in spec.lora.adapters)
    what = counted(len(spec.lora.adapters), "adapter")
    yield (
        f"lora: {what} of rank {spec.lora.rank} at most ({names}): "
        f"{'' if exact else 'at most '}{format_gib(memory.adapter_bytes)} per GPU"
    )
