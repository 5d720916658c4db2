"""What a plan says of where the model lies, and which volumes this operator does not mount."""

from collections.abc import Iterator
from typing import Final

from llama_operator.api.enums import CacheKind
from llama_operator.api.v1alpha1 import LlamaDeploymentSpec
from llama_operator.errors import SpecError
from llama_operator.planning.choices import Choice
from llama_operator.planning.outcome import Refusal
from llama_operator.planning.refuse import refuse_spec
from llama_operator.units import format_gib

LARGE_DOWNLOAD_BYTES: Final = 20_000_000_000
"""From here on a cache is proposed: seven minutes at the slow end of hubs, for each new pod."""


def cache_reasons(spec: LlamaDeploymentSpec, choice: Choice) -> Iterator[str]:
    """Where pods find the model; a warning where each of them downloads a large one."""
    needed = format_gib(choice.model_disk_bytes)
    if spec.cache is not None:
        yield f"cache: {where(spec)} holds the model, {needed}; pods download nothing"
    elif choice.all_download_bytes > LARGE_DOWNLOAD_BYTES:
        yield (
            f"each new pod downloads {format_gib(choice.all_download_bytes)}; spec.cache.claim "
            f"would keep them on a claim of {needed}"
        )


def where(spec: LlamaDeploymentSpec) -> str:
    """The volume of a spec for people."""
    cache = spec.cache
    if cache is None:
        return "the disk of each pod"
    if cache.kind is CacheKind.HOST_PATH:
        return f"the folder {cache.host_path} of each node"
    if cache.kind is CacheKind.IMAGE:
        return f"image {cache.image}"
    name = cache.claim.name if cache.claim is not None else None
    return f"claim {name}" if name else "a claim of its own"


def refuse_host_path(spec: LlamaDeploymentSpec) -> Refusal | None:
    """The refusal of a folder of nodes, for an operator that was not told to allow them."""
    if spec.cache is None or spec.cache.kind is not CacheKind.HOST_PATH:
        return None
    return refuse_spec(
        SpecError(
            "spec.cache.hostPath",
            "this operator mounts no folders of nodes; use spec.cache.claim, or run the operator "
            "with --allow-host-path",
        )
    )
