"""The volume that holds a model: how pods mount it, its claim, and the Job that fills it."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from llama_operator import __version__
from llama_operator.api import names
from llama_operator.api.cache import AccessMode, CacheClaim
from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.enums import CacheKind
from llama_operator.api.plan import Plan
from llama_operator.engines.containers import (
    CACHE_PATH,
    HUGGING_FACE_PATH,
    TEMPORARY_PATH,
    USER_ID,
    token,
)
from llama_operator.engines.engine import EnvVar
from llama_operator.render.checks import Manifest
from llama_operator.render.metadata import child_metadata
from llama_operator.render.quantities import canonical_bytes
from llama_operator.render.renderer import render_template
from llama_operator.render.scalars import to_json
from llama_operator.render.values import CacheVolume, ClaimValues, Fetch, FetchJobValues
from llama_operator.sizing.startup import FETCH_RETRIES, fetch_seconds
from llama_operator.units import GIB, MIB

DOWNLOADER_IMAGE: Final = f"llama-operator/llama-operator:{__version__}"
"""The operator's own image, as the chart names it by default."""
MESSAGE_PATH: Final = "/dev/termination-log"
FINAL_EXIT_CODES: Final = (2, 3)
"""Bad input or a refusal of the hub, and no room: what the command says that no retry mends."""
WAY_TO_THE_HUB: Final = frozenset(
    {"HF_ENDPOINT", "MODELSCOPE_DOMAIN", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "ALL_PROXY"}
)
"""Variables of `spec.engine.env` that a download gets as well; proxies in small letters too."""
FETCH_CPU: Final = "500m"
"""Estimate, not measured: TLS and SHA-256 of 50 MB/s, the slow end of hubs, on half a core."""
FETCH_MEMORY: Final = canonical_bytes(256 * MIB)
FETCH_MEMORY_LIMIT: Final = canonical_bytes(1 * GIB)
"""Estimate, not measured: a Python process of some 100 MiB and buffers of four files; pages of
files that it writes are counted too, and give way."""
SCRATCH_LIMIT: Final = canonical_bytes(64 * MIB)
_PART: Final = re.compile(r"-00001-of-([0-9]{5})\.gguf$")


def cache_volume(plan: Plan, deployment: LlamaDeployment) -> CacheVolume | None:
    """The volume of a plan's model; None where each pod downloads it."""
    cache = deployment.spec.cache
    if plan.cache is None or cache is None:
        return None
    return CacheVolume(
        path=CACHE_PATH,
        claim_name=_claim_name(cache.claim, deployment) if cache.claim is not None else "",
        host_path=cache.host_path or "",
        image=cache.image or "",
    )


def host_fetch(plan: Plan, deployment: LlamaDeployment, image: str) -> Fetch | None:
    """The container that fills a folder of the node before the engine starts, else None.

    Each node has its own, so no single Job could fill them; where the model is there it only looks.
    """
    if plan.cache is None or plan.cache.kind is not CacheKind.HOST_PATH:
        return None
    fetch = _fetch(plan, deployment, image)
    # A node without a way to the hub starts what it has.
    return replace(fetch, args=(*fetch.args, "--if-missing"))


def claim(plan: Plan, deployment: LlamaDeployment) -> Manifest | None:
    """The claim that is made for a deployment, with room for this plan's model; else None.

    What cannot be changed of a claim is in its name, so that an edit makes another one.

    Raises:
        RenderError: the object is refused by its API model.
    """
    cache = deployment.spec.cache
    if plan.cache is None or cache is None or cache.claim is None or cache.claim.name is not None:
        return None
    return render_template(
        "PersistentVolumeClaim",
        "claim.yaml.j2",
        ClaimValues(
            metadata=child_metadata(deployment, _claim_name(cache.claim, deployment)),
            access_mode=cache.claim.access_mode,
            storage=canonical_bytes(plan.cache.model_bytes),
            storage_class_name=cache.claim.storage_class_name or "",
        ),
    )


def fetch_job(plan: Plan, deployment: LlamaDeployment, image: str) -> Manifest | None:
    """The Job that downloads the model to a claim; None where there is no claim.

    Its name is a hash of what it fetches and of the volume.

    Raises:
        RenderError: the object is refused by its API model.
    """
    volume = cache_volume(plan, deployment)
    if plan.cache is None or volume is None or not volume.claim_name:
        return None
    fetch = _fetch(plan, deployment, image)
    name = names.fetch_name(
        deployment.metadata.name, _digest([*fetch.args, "claim", volume.claim_name])
    )
    return render_template(
        "Job",
        "fetch-job.yaml.j2",
        FetchJobValues(
            metadata=child_metadata(deployment, name),
            pod_labels=names.fetch_labels(deployment.metadata.name),
            retries=FETCH_RETRIES,
            final_exit_codes=FINAL_EXIT_CODES,
            deadline_seconds=fetch_seconds(plan.cache.model_bytes),
            fetch=replace(fetch, progress_port=names.PROGRESS_PORT),
            cache=volume,
            scratch_limit=SCRATCH_LIMIT,
            image_pull_secrets=tuple(
                secret.name for secret in deployment.spec.template.spec.image_pull_secrets
            ),
        ),
    )


def _claim_name(cache: CacheClaim, deployment: LlamaDeployment) -> str:
    if cache.name is not None:
        return cache.name
    odd = (cache.storage_class_name or "", cache.access_mode.value)
    usual = odd == ("", AccessMode.READ_WRITE_MANY.value)
    return names.claim_name(deployment.metadata.name, "" if usual else _digest(odd))


def _fetch(plan: Plan, deployment: LlamaDeployment, image: str) -> Fetch:
    return Fetch(
        image=image,
        args=tuple(_arguments(plan, deployment)),
        env=(*token(plan, deployment), *_way(deployment)),
        cpu=FETCH_CPU,
        memory=FETCH_MEMORY,
        memory_limit=FETCH_MEMORY_LIMIT,
        message_path=MESSAGE_PATH,
        mount_path=CACHE_PATH,
        scratch_path=TEMPORARY_PATH,
        user_id=USER_ID,
    )


def _way(deployment: LlamaDeployment) -> Iterator[EnvVar]:
    """What the user told the engine of mirrors and proxies, which the download needs instead."""
    for variable in deployment.spec.engine.env:
        if variable.name.upper() in WAY_TO_THE_HUB:
            yield EnvVar(variable.name, value=variable.value)


def _arguments(plan: Plan, deployment: LlamaDeployment) -> Iterator[str]:
    yield from ("prefetch", plan.repository, "--hub", plan.hub, "--into", HUGGING_FACE_PATH)
    for file in _files(plan.file):
        yield from ("--file", file)
    if plan.draft is not None:
        yield from ("--draft", plan.draft.repository)
        for file in _files(plan.draft.file):
            yield from ("--draft-file", file)
    if deployment.spec.lora is not None:
        for adapter in deployment.spec.lora.adapters:
            path = f":{adapter.file}" if adapter.file is not None else ""
            yield from ("--adapter", f"{adapter.repository}{path}")
    yield from ("--json-termination", MESSAGE_PATH)


def _files(first: str) -> Iterator[str]:
    """The files of a plan: none for the whole repository, every part of a split one."""
    if not first:
        return
    found = _PART.search(first)
    if found is None:
        yield first
        return
    for part in range(1, int(found[1]) + 1):
        yield f"{first[: found.start()]}-{part:05}-of-{found[1]}.gguf"


def _digest(value: object) -> str:
    return hashlib.sha256(to_json(value).encode()).hexdigest()
