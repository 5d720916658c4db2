"""Where models are kept between pods: `spec.cache`."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from llama_operator.api.cel import Rule, ruled
from llama_operator.api.enums import CacheKind
from llama_operator.api.fields import ImageReference, ObjectName, text_rule
from llama_operator.api.model import ApiModel

HostFolder = Annotated[
    str,
    Field(max_length=256),
    ruled(
        text_rule(
            "^(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$",
            "write an absolute path of letters, digits, dots, dashes and underscores, no part of "
            "it beginning with a dot, such as /mnt/models",
        )
    ),
]


class AccessMode(StrEnum):
    """Who may mount a claim."""

    READ_WRITE_MANY = "ReadWriteMany"
    READ_WRITE_ONCE = "ReadWriteOnce"


class CacheClaim(ApiModel):
    """A PersistentVolumeClaim in the namespace of the deployment."""

    name: ObjectName | None = Field(
        default=None,
        description="Name of a claim that exists, e.g. shared-models. Unset: one is made for this "
        "deployment, as large as the plan says.",
    )
    storage_class_name: ObjectName | None = Field(
        default=None,
        description="Storage class of the claim that is made, e.g. fast. Unset: the cluster's own.",
    )
    access_mode: AccessMode = Field(
        default=AccessMode.READ_WRITE_MANY,
        description="Who may mount the claim that is made, e.g. ReadWriteOnce for the pods of one "
        "node.",
    )

    rules = (
        Rule(
            expression="!has(self.name) || !has(self.storageClassName)",
            message="a claim that exists has its storage class already; remove name or "
            "storageClassName",
            holds=lambda claim: claim.name is None or claim.storage_class_name is None,
            field=".storageClassName",
        ),
    )


class CacheSpec(ApiModel):
    """A volume that holds the model, so that pods download nothing."""

    claim: CacheClaim | None = Field(
        default=None, description="A PersistentVolumeClaim, e.g. name shared-models."
    )
    host_path: HostFolder | None = Field(
        default=None,
        description="A folder of each node, e.g. /mnt/models; only where the operator runs with "
        "--allow-host-path.",
    )
    image: ImageReference | None = Field(
        default=None,
        description="An OCI image that holds the model in the layout of the cache, "
        "e.g. registry.example.com/llama-70b-awq:1.",
    )

    rules = (
        Rule(
            expression="[has(self.claim), has(self.hostPath), has(self.image)]"
            ".filter(is_set, is_set).size() == 1",
            message="write exactly one of claim, hostPath and image",
            holds=lambda cache: (
                sum(part is not None for part in (cache.claim, cache.host_path, cache.image)) == 1
            ),
        ),
    )

    @property
    def kind(self) -> CacheKind:
        """Which of the three it is."""
        if self.claim is not None:
            return CacheKind.CLAIM
        return CacheKind.HOST_PATH if self.host_path is not None else CacheKind.IMAGE

    @property
    def is_of_one_node(self) -> bool:
        """Whether a claim is made that a single node mounts at a time."""
        return (
            self.claim is not None
            and self.claim.name is None
            and self.claim.access_mode is AccessMode.READ_WRITE_ONCE
        )
