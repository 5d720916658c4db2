"""The LeaderWorkerSet of replicas on several nodes, and the model that it is checked against."""

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from kubernetes.client.models.v1_object_meta import V1ObjectMeta
from kubernetes.client.models.v1_pod_template_spec import V1PodTemplateSpec
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from llama_operator.api import names
from llama_operator.api.deployment import LlamaDeployment
from llama_operator.render.metadata import child_metadata
from llama_operator.render.values import LeaderWorkerSetValues

SET_LABELS: Final = ("kueue.x-k8s.io/",)
"""Labels of the pods that belong on the set itself: Kueue admits the set as a whole."""
SET_ANNOTATIONS: Final = ("leaderworkerset.sigs.k8s.io/", "scheduling.volcano.sh/")
"""Annotations that the controller reads from the set: `exclusive-topology`, Volcano's queue."""


class GroupRestart(StrEnum):
    """What happens to a group of pods when a container of it ends."""

    AFTER_START = "RecreateGroupAfterStart"
    """All are made anew, but not while some have not started, as with slow image pulls."""
    ON_POD_RESTART = "RecreateGroupOnPodRestart"
    """All are made anew; the one that early versions have."""


def leader_worker_set_values(
    deployment: LlamaDeployment,
    *,
    annotations: Mapping[str, str],
    replicas: int,
    size: int,
    restart: GroupRestart,
    leader_template: Mapping[str, Any],
    worker_template: Mapping[str, Any],
) -> LeaderWorkerSetValues:
    """Values of the template: what gang schedulers and the controller read goes to the set too.

    Args:
        deployment: whose name, namespace and UID it carries.
        annotations: of the set.
        replicas: groups of pods.
        size: pods of a group.
        restart: what happens when a container ends.
        leader_template: pod template of the first pod of a group.
        worker_template: pod template of the others.
    """
    name = names.leader_worker_set_name(deployment.metadata.name)
    added = deployment.spec.template.metadata
    metadata = child_metadata(
        deployment, name, {**_under(added.annotations, SET_ANNOTATIONS), **annotations}
    )
    return LeaderWorkerSetValues(
        metadata=replace(metadata, labels={**_under(added.labels, SET_LABELS), **metadata.labels}),
        replicas=replicas,
        size=size,
        restart_policy=restart.value,
        leader_template=leader_template,
        worker_template=worker_template,
    )


def _under(values: Mapping[str, str], prefixes: tuple[str, ...]) -> dict[str, str]:
    return {key: value for key, value in values.items() if key.startswith(prefixes)}


class _Model(BaseModel):
    """Fields of leaderworkerset.x-k8s.io/v1 that are rendered, and no others."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", validate_by_name=False, serialize_by_alias=True
    )


class _RollingUpdate(_Model):
    max_unavailable: int
    max_surge: int


class _Rollout(_Model):
    type: Literal["RollingUpdate"]
    rolling_update_configuration: _RollingUpdate


class _Templates(_Model):
    size: Annotated[int, Field(ge=2)]
    restart_policy: GroupRestart
    leader_template: V1PodTemplateSpec
    worker_template: V1PodTemplateSpec


class _Spec(_Model):
    replicas: Annotated[int, Field(ge=0)]
    startup_policy: Literal["LeaderCreated"]
    rollout_strategy: _Rollout
    leader_worker_template: _Templates


class LeaderWorkerSet(_Model):
    """leaderworkerset.x-k8s.io/v1, as far as it is rendered."""

    api_version: Literal["leaderworkerset.x-k8s.io/v1"]
    kind: Literal["LeaderWorkerSet"]
    metadata: V1ObjectMeta
    spec: _Spec
