"""What a pass sees: the deployment, its children and its pods, projected from caches."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from llama_operator.api.names import FIELD_MANAGER, LABEL_INSTANCE
from llama_operator.api.v1alpha1 import GROUP, KIND

Json = dict[str, Any]

_DROPPED_METADATA: Final = ("managedFields", "creationTimestamp", "selfLink")


@dataclass(frozen=True, slots=True)
class Child:
    """One object that carries our labels.

    `owner_uid` is the uid of the LlamaDeployment that controls it, empty without one.
    `create_entry` is the index of the entry in managedFields that our create left behind, None
    once server-side apply owns its fields. Two children are equal when their versions are.
    """

    kind: str
    name: str
    uid: str
    resource_version: str
    instance: str
    owner_uid: str
    deleting: bool
    create_entry: int | None
    body: Json = field(compare=False, repr=False)


def child_of(kind: str, item: Mapping[str, Any], instance: str = "") -> Child | None:
    """Project an object; None when it has no instance label.

    Args:
        kind: kind of the object, which items of a list do not tell.
        item: the object.
        instance: takes the place of a label that somebody removed.
    """
    metadata = item.get("metadata") or {}
    instance = (metadata.get("labels") or {}).get(LABEL_INSTANCE) or instance
    if not instance:
        return None
    body = {key: value for key, value in item.items() if key != "metadata"}
    body["metadata"] = {
        key: value for key, value in metadata.items() if key not in _DROPPED_METADATA
    }
    return Child(
        kind=kind,
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        instance=instance,
        owner_uid=_owner_uid(metadata),
        deleting=metadata.get("deletionTimestamp") is not None,
        create_entry=_create_entry(metadata),
        body=body,
    )


def _owner_uid(metadata: Mapping[str, Any]) -> str:
    for owner in metadata.get("ownerReferences") or ():
        if (
            owner.get("controller")
            and owner.get("kind") == KIND
            and str(owner.get("apiVersion", "")).startswith(f"{GROUP}/")
        ):
            return str(owner["uid"])
    return ""


def _create_entry(metadata: Mapping[str, Any]) -> int | None:
    for index, entry in enumerate(metadata.get("managedFields") or ()):
        if (
            entry.get("manager") == FIELD_MANAGER
            and entry.get("operation") == "Update"
            and not entry.get("subresource")
        ):
            return index
    return None


@dataclass(frozen=True, slots=True)
class PodFailure:
    """Why a pod cannot serve: a reason's name, a stable message, and whether only an edit helps."""

    reason: str
    message: str
    needs_edit: bool = False


@dataclass(frozen=True, slots=True)
class PodFacts:
    """What a pass needs of one pod.

    `gpus` is what the pod requests; `unschedulable`: the scheduler said that no node takes it.
    """

    name: str
    uid: str
    instance: str
    node: str
    gpus: int
    ready: bool
    unschedulable: bool
    deleting: bool
    finished: bool
    template_hash: str
    failure: PodFailure | None


@dataclass(frozen=True, slots=True)
class Observed:
    """One deployment as the caches show it. `body` is the object as the API server gave it."""

    body: Json
    children: tuple[Child, ...] = ()
    pods: tuple[PodFacts, ...] = ()
