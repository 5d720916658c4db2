"""Projection of pods: ready, scheduled, or why not."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import from_json

from llama_operator.api.names import (
    FETCH_CONTAINER,
    FETCH_NAME,
    LABEL_COMPONENT,
    LABEL_INSTANCE,
    LABEL_JOB,
    LABEL_NAME,
    PROGRESS_PORT,
)
from llama_operator.api.reasons import Reason
from llama_operator.planning.gpu_resources import is_gpu_resource
from llama_operator.reconcile.observed import PodFacts, PodFailure

MESSAGE_LIMIT: Final = 300
_PULL_REASONS: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "RegistryUnavailable"}
)
_GPU_MEMORY_TEXTS: Final = (
    "out of memory",
    "KV cache is needed",
    "less than desired GPU memory utilization",
    "No available memory for the cache blocks",
)
"""What vLLM prints when GPU memory does not suffice (vLLM 0.33, v1/core/kv_cache_utils.py and
v1/worker/gpu_worker.py)."""
_REASONS: Final = frozenset(Reason)
_HUB_TEXTS: Final = ("GatedRepoError", "401 Client Error", "403 Client Error", "Access to model")
"""What huggingface_hub 2.4 says of a repository that a token cannot read (utils/_http.py)."""


def pod_facts(item: Mapping[str, Any]) -> PodFacts | None:
    """Project a pod; None when it has no instance label."""
    metadata = item.get("metadata") or {}
    labels = metadata.get("labels") or {}
    instance = labels.get(LABEL_INSTANCE)
    if not instance:
        return None
    spec, status = item.get("spec") or {}, item.get("status") or {}
    conditions = {entry.get("type"): entry for entry in status.get("conditions") or ()}
    scheduled = conditions.get("PodScheduled") or {}
    ready = (conditions.get("Ready") or {}).get("status") == "True"
    resource, gpus = _gpus(spec)
    fetches = labels.get(LABEL_NAME) == FETCH_NAME
    return PodFacts(
        name=metadata["name"],
        uid=metadata["uid"],
        instance=instance,
        node=spec.get("nodeName") or "",
        gpu_resource=resource,
        gpus=gpus,
        ready=ready,
        unschedulable=scheduled.get("status") == "False"
        and scheduled.get("reason") == "Unschedulable",
        deleting=metadata.get("deletionTimestamp") is not None,
        finished=status.get("phase") in ("Succeeded", "Failed"),
        template_hash=labels.get("controller-revision-hash", ""),
        failure=None if ready else _failure(metadata["name"], status),
        job=labels.get(LABEL_JOB, "") if fetches else "",
        created=str(metadata.get("creationTimestamp") or "") if fetches else "",
        component=labels.get(LABEL_COMPONENT, ""),
        progress_address=_progress_address(metadata, spec, status) if fetches else "",
    )


def _progress_address(
    metadata: Mapping[str, Any], spec: Mapping[str, Any], status: Mapping[str, Any]
) -> str:
    """Host and port of a download that runs and has the port; empty for any other."""
    address = str(status.get("podIP") or "")
    ports = (port for one in spec.get("containers") or () for port in one.get("ports") or ())
    if (
        not address
        or status.get("phase") != "Running"
        or metadata.get("deletionTimestamp") is not None
        or not any(port.get("containerPort") == PROGRESS_PORT for port in ports)
    ):
        return ""
    return f"[{address}]:{PROGRESS_PORT}" if ":" in address else f"{address}:{PROGRESS_PORT}"


def _gpus(spec: Mapping[str, Any]) -> tuple[str, int]:
    """Extended resource and number of the GPUs that a pod requests; pods of ours request one."""
    found: dict[str, int] = {}
    for container in spec.get("containers") or ():
        limits = (container.get("resources") or {}).get("limits") or {}
        for resource, value in limits.items():
            if is_gpu_resource(resource) and str(value).isdigit():
                found[resource] = found.get(resource, 0) + int(value)
    return max(found.items(), key=lambda item: item[1], default=("", 0))


def _failure(pod: str, status: Mapping[str, Any]) -> PodFailure | None:
    containers = (
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    )
    for container in containers:
        state = container.get("state") or {}
        waiting = state.get("waiting") or {}
        reason = waiting.get("reason") or ""
        if reason in _PULL_REASONS:
            return PodFailure(
                Reason.IMAGE_PULL_FAILED,
                f"pod {pod}: image {container.get('image')} cannot be pulled",
            )
        if reason == "InvalidImageName":
            return PodFailure(
                Reason.IMAGE_PULL_FAILED,
                f"pod {pod}: {container.get('image')} is not an image name; mend spec.engine.image",
                needs_edit=True,
            )
        if reason in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError"):
            return PodFailure(
                Reason.CONTAINER_FAILED, f"pod {pod}: {_short(waiting.get('message') or reason)}"
            )
        last = container.get("lastState") or {}
        ended = state.get("terminated") or last.get("terminated")
        if ended is not None and not container.get("ready"):
            if container.get("name") != FETCH_CONTAINER:
                return _exit_failure(pod, ended)
            if ended.get("exitCode"):
                return _fetch_failure(pod, ended)
    if status.get("phase") == "Failed":
        text = _short(status.get("message") or status.get("reason") or "failed")
        return PodFailure(Reason.CONTAINER_FAILED, f"pod {pod}: {text}")
    return None


def _exit_failure(pod: str, ended: Mapping[str, Any]) -> PodFailure:
    text = str(ended.get("message") or "")
    if ended.get("reason") == "OOMKilled":
        return PodFailure(
            Reason.OUT_OF_MEMORY, f"pod {pod}: the node's memory limit was exceeded (OOMKilled)"
        )
    if any(mark in text for mark in _GPU_MEMORY_TEXTS):
        return PodFailure(Reason.OUT_OF_MEMORY, f"pod {pod}: {_short(_last_line(text))}")
    if any(mark in text for mark in _HUB_TEXTS):
        line = next(line for line in text.splitlines() if any(mark in line for mark in _HUB_TEXTS))
        return PodFailure(Reason.REPOSITORY_ACCESS_DENIED, f"pod {pod}: {_short(line.strip())}")
    code = ended.get("exitCode")
    detail = _last_line(text) or str(ended.get("reason") or "no message")
    return PodFailure(Reason.CONTAINER_FAILED, f"pod {pod}: exit code {code}: {_short(detail)}")


def _fetch_failure(pod: str, ended: Mapping[str, Any]) -> PodFailure:
    """What a download says of its end: `{"reason", "message"}`, or the last lines of its log."""
    text = str(ended.get("message") or "")
    try:
        told = from_json(text)
        word, message = str(told["reason"]), str(told["message"])
    except (ValueError, KeyError, TypeError):
        word, message = "", _last_line(text) or str(ended.get("reason") or "no message")
    reason = Reason(word) if word in _REASONS else Reason.DOWNLOAD_FAILED
    return PodFailure(reason, f"pod {pod}: {_short(message)}")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _short(text: str) -> str:
    return text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 1] + "…"
