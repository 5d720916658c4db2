"""What a pass sees: the deployment, its children and its pods, projected from caches."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from llama_operator.api.names import FIELD_MANAGER, LABEL_INSTANCE, WORKER
from llama_operator.api.v1alpha1 import GROUP, KIND
from llama_operator.reconcile.packing import Json, pack, unpack

__all__ = ["Child", "Json", "Observed", "PodFacts", "PodFailure", "child_of"]

_DROPPED_METADATA: Final = ("managedFields", "creationTimestamp", "selfLink")


class _Packed:
    """A field that keeps a JSON object packed and gives a new copy each time it is read."""

    def __get__(self, instance: "Child | None", owner: type["Child"]) -> Json:
        if instance is None:
            raise AttributeError
        return unpack(instance.__dict__["packed"])

    def __set__(self, instance: "Child", value: Json) -> None:
        instance.__dict__["packed"] = pack(value)


@dataclass(frozen=True)
class Child:
    """One object that carries our labels.

    `owner_uid` is the uid of the LlamaDeployment that controls it, empty without one.
    `owner_name` is that one's name. `last_manager` is who, besides us, set fields last.
    `create_entry` is the index of the entry in managedFields that our create left behind, None
    once server-side apply owns its fields; `applied` tells that there is an entry of server-side
    apply. `revision` is the number of a ControllerRevision, 0 for
    other kinds. Two children are equal when their versions are; the body is unpacked at each look.
    """

    kind: str
    name: str
    uid: str
    resource_version: str
    instance: str
    owner_uid: str
    deleting: bool
    create_entry: int | None
    body: _Packed = field(default=_Packed(), compare=False, repr=False)
    revision: int = 0
    owner_name: str = ""
    last_manager: str = ""
    applied: bool = False


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
    owner_uid, owner_name = _owner(metadata)
    return Child(
        kind=kind,
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        instance=instance,
        owner_uid=owner_uid,
        owner_name=owner_name,
        last_manager=_last_manager(metadata),
        deleting=metadata.get("deletionTimestamp") is not None,
        create_entry=_entry(metadata, "Update"),
        applied=_entry(metadata, "Apply") is not None,
        body=body,
        revision=_revision(item),
    )


def _revision(item: Mapping[str, Any]) -> int:
    number = item.get("revision")
    return number if isinstance(number, int) else 0


def _owner(metadata: Mapping[str, Any]) -> tuple[str, str]:
    """Uid and name of the LlamaDeployment that controls the object, empty without one."""
    for owner in metadata.get("ownerReferences") or ():
        if (
            owner.get("controller")
            and owner.get("kind") == KIND
            and str(owner.get("apiVersion", "")).startswith(f"{GROUP}/")
        ):
            return str(owner["uid"]), str(owner.get("name") or "")
    return "", ""


def _last_manager(metadata: Mapping[str, Any]) -> str:
    entries = [
        entry
        for entry in metadata.get("managedFields") or ()
        if entry.get("manager") != FIELD_MANAGER and entry.get("subresource") != "status"
    ]
    if not entries:
        return ""
    return str(max(entries, key=lambda entry: str(entry.get("time") or "")).get("manager") or "")


def _entry(metadata: Mapping[str, Any], operation: str) -> int | None:
    """Index of our entry in managedFields."""
    for index, entry in enumerate(metadata.get("managedFields") or ()):
        if (
            entry.get("manager") == FIELD_MANAGER
            and entry.get("operation") == operation
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

    `gpus` is what the pod requests of `gpu_resource`; `unschedulable`: the scheduler said that no
    node takes it. `job` names the Job of a pod that downloads a model, and `created` is when;
    empty for others. `progress_address` is where such a pod tells how far it is, while it runs.
    `component` is `leader` or `worker` for pods of a replica on several nodes, else empty.
    """

    name: str
    uid: str
    instance: str
    node: str
    gpu_resource: str
    gpus: int
    ready: bool
    unschedulable: bool
    deleting: bool
    finished: bool
    template_hash: str
    failure: PodFailure | None
    job: str = ""
    created: str = ""
    progress_address: str = ""
    component: str = ""

    @property
    def serves(self) -> bool:
        """Whether requests reach it: it is ready and answers for its replica."""
        return self.ready and not self.deleting and self.component != WORKER


@dataclass(frozen=True, slots=True)
class Observed:
    """One deployment as the caches show it. `body` is the object as the API server gave it."""

    body: Json
    children: tuple[Child, ...] = ()
    pods: tuple[PodFacts, ...] = ()
