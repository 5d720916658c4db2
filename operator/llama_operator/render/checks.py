"""Rendered objects are checked against the API models of the Kubernetes client."""

from collections.abc import Mapping
from typing import Any, Final

from kubernetes.client.models.v1_controller_revision import V1ControllerRevision
from kubernetes.client.models.v1_job import V1Job
from kubernetes.client.models.v1_persistent_volume_claim import V1PersistentVolumeClaim
from kubernetes.client.models.v1_pod_disruption_budget import V1PodDisruptionBudget
from kubernetes.client.models.v1_service import V1Service
from kubernetes.client.models.v1_stateful_set import V1StatefulSet
from pydantic import BaseModel, ValidationError

from llama_operator.errors import RenderError
from llama_operator.render.leader_worker_set import LeaderWorkerSet

Manifest = dict[str, Any]
"""A JSON object as the API server takes it."""

MODELS: Final[Mapping[str, type[BaseModel]]] = {
    "ControllerRevision": V1ControllerRevision,
    "Job": V1Job,
    "LeaderWorkerSet": LeaderWorkerSet,
    "PersistentVolumeClaim": V1PersistentVolumeClaim,
    "PodDisruptionBudget": V1PodDisruptionBudget,
    "Service": V1Service,
    "StatefulSet": V1StatefulSet,
}


def check(kind: str, manifest: Manifest) -> None:
    """Check an object against the API model of its kind.

    The models refuse unknown fields and wrong types, but take `pod_management_policy` for
    `podManagementPolicy`, and the API server would drop it. So what a model writes back must be
    what the template wrote.

    Raises:
        RenderError: the object does not fit; names the field.
    """
    try:
        model = MODELS[kind].model_validate(manifest)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        msg = f"{kind}: {path}: {first['msg']}"
        raise RenderError(msg) from None
    written = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if written != manifest:
        msg = f"{kind}: {_difference(manifest, written)} is no field of the API"
        raise RenderError(msg)


def _difference(left: object, right: object, path: str = "") -> str:
    """Path of the first place where two JSON values differ."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        for key in sorted(left.keys() | right.keys()):
            if left.get(key) != right.get(key):
                return _difference(left.get(key), right.get(key), f"{path}.{key}".lstrip("."))
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for index, (one, other) in enumerate(zip(left, right, strict=True)):
            if one != other:
                return _difference(one, other, f"{path}[{index}]")
    return path
