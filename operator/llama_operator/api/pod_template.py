"""What a user may add to the pods: `spec.template`, metadata and a closed list of pod fields.

Every object has a default: server-side apply that takes the last field out of one leaves null
there, which the API server refuses unless a default takes its place.
"""

import re
from collections.abc import Collection
from typing import Annotated, Final

from pydantic import Field

from llama_operator.api.cel import Rule, ruled
from llama_operator.api.fields import PRINTABLE, ObjectName, keyed_by, text_rule
from llama_operator.api.model import ApiModel

RESERVED_DOMAIN: Final = "llama-operator.io/"
RESERVED_LABELS: Final = (
    "app.kubernetes.io/component",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/name",
)
"""Labels by which the operator finds its children, and Services their pods."""

_KEY_PATTERN: Final = (
    "^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
    "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
)
_KEY: Final = re.compile(_KEY_PATTERN.removesuffix("$") + r"\Z")
_KEY_PREFIX_LIMIT: Final = 253


def _is_key(key: str) -> bool:
    prefix, slash, _ = key.rpartition("/")
    return _KEY.match(key) is not None and (not slash or len(prefix) <= _KEY_PREFIX_LIMIT)


def _keys_rule(kind: str) -> Rule:
    return Rule(
        expression=(
            f"self.all(key, key.size() <= 317 && key.matches('{_KEY_PATTERN}') && "
            f"(!key.contains('/') || key.split('/')[0].size() <= {_KEY_PREFIX_LIMIT}))"
        ),
        message=(
            f"write keys of {kind} as Kubernetes takes them: a DNS name and a slash if any, then "
            "at most 63 letters, digits, dots, dashes and underscores, such as example.com/team"
        ),
        holds=lambda values: all(_is_key(key) for key in values),
    )


def _foreign_rule(kind: str, reserved: Collection[str] = ()) -> Rule:
    listed = f" || key in {sorted(reserved)!r}" if reserved else ""
    owned = f", and {', '.join(sorted(reserved))}" if reserved else ""
    return Rule(
        expression=f"self.all(key, !(key.startsWith('{RESERVED_DOMAIN}'){listed}))",
        message=f"{kind} under {RESERVED_DOMAIN}{owned} are the operator's own; use another key",
        holds=lambda values: (
            not any(key.startswith(RESERVED_DOMAIN) or key in reserved for key in values)
        ),
    )


LabelValue = Annotated[
    str,
    Field(max_length=63),
    ruled(
        text_rule(
            "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
            "write a label's value: letters, digits, dots, dashes and underscores, beginning and "
            "ending with a letter or digit",
        )
    ),
]
AnnotationValue = Annotated[str, Field(max_length=1024), ruled(PRINTABLE)]
CpuQuantity = Annotated[
    str,
    Field(max_length=16),
    ruled(
        text_rule(
            "^([1-9][0-9]{0,3}|[1-9][0-9]{0,6}m)$",
            'write CPU as whole cores or thousandths of one, such as "8" or 7500m',
        )
    ),
]
MemoryQuantity = Annotated[
    str,
    Field(max_length=16),
    ruled(
        text_rule(
            "^([1-9][0-9]{0,7}Mi|[1-9][0-9]{0,4}Gi|[1-9][0-9]?Ti)$",
            "write memory as whole Mi, Gi or Ti, such as 96Gi",
        )
    ),
]


class PodMetadata(ApiModel):
    """Labels and annotations of the pods, beside the operator's own."""

    labels: Annotated[
        dict[str, LabelValue],
        Field(max_length=16),
        ruled(_keys_rule("labels"), _foreign_rule("labels", RESERVED_LABELS)),
    ] = Field(default={}, description="Labels of the pods, e.g. team: search.")
    annotations: Annotated[
        dict[str, AnnotationValue],
        Field(max_length=16),
        ruled(_keys_rule("annotations"), _foreign_rule("annotations")),
    ] = Field(
        default={}, description="Annotations of the pods, e.g. sidecar.istio.io/inject: 'false'."
    )


class PullSecret(ApiModel):
    """A Secret with registry credentials in the namespace of the deployment."""

    name: ObjectName = Field(description="Name of the Secret, e.g. registry.")


class PodResources(ApiModel):
    """CPU and memory of a pod instead of the planned ones."""

    cpu: CpuQuantity | None = Field(
        default=None,
        description="CPU request, whole cores or thousandths, e.g. 7500m. Unset: planned.",
    )
    memory: MemoryQuantity | None = Field(
        default=None,
        description="Memory request and limit, /dev/shm included, e.g. 96Gi. Unset: planned.",
    )


class PodSpec(ApiModel):
    """The fields of a pod that a user may set."""

    service_account_name: ObjectName | None = Field(
        default=None,
        description="ServiceAccount of the pods, e.g. models; its token is not mounted. "
        "Unset: default.",
    )
    priority_class_name: ObjectName | None = Field(
        default=None, description="PriorityClass of the pods, e.g. production."
    )
    runtime_class_name: ObjectName | None = Field(
        default=None, description="RuntimeClass of the pods, e.g. nvidia."
    )
    scheduler_name: ObjectName | None = Field(
        default=None, description="Scheduler of the pods, e.g. volcano. Unset: the cluster's."
    )
    image_pull_secrets: Annotated[list[PullSecret], keyed_by("name")] = Field(
        default=[],
        max_length=16,
        description="Secrets with credentials of the engine image's registry, e.g. name registry.",
    )
    resources: PodResources = Field(
        default=PodResources(),
        description="CPU and memory instead of the planned ones, e.g. memory 96Gi.",
    )


class PodTemplate(ApiModel):
    """What is added to the pods: metadata and a closed list of fields."""

    metadata: PodMetadata = Field(
        default=PodMetadata(), description="Labels and annotations, e.g. labels team: search."
    )
    spec: PodSpec = Field(
        default=PodSpec(), description="Fields of the pods, e.g. priorityClassName production."
    )
