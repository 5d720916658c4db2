"""What the templates are given: one typed object each."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from llama_operator.api.pod_template import PodSpec
from llama_operator.engines.engine import Container, EnvVar


@dataclass(frozen=True, slots=True)
class Owner:
    """The deployment as the owner of its children."""

    api_version: str
    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class ChildMetadata:
    """Metadata of a child; `owner` is None for a deployment that no API server has seen."""

    name: str
    namespace: str
    labels: Mapping[str, str]
    owner: Owner | None
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resources:
    """Requests and limits of the engine's container, as canonical quantities."""

    cpu: str
    memory: str
    ephemeral_storage: str
    gpu_resource: str
    gpus: str


@dataclass(frozen=True, slots=True)
class Volume:
    """An emptyDir volume and where it is mounted; `medium` is empty for disk."""

    name: str
    path: str
    medium: str
    size_limit: str


@dataclass(frozen=True, slots=True)
class CacheVolume:
    """The volume that holds the model and where it is mounted; one of the three is not empty."""

    path: str
    claim_name: str = ""
    host_path: str = ""
    image: str = ""


@dataclass(frozen=True, slots=True)
class Fetch:
    """A container that downloads a model to a volume; `env` is the token and the way to the hub.

    `progress_port` is where it tells how far it is, on the pod's own address; 0 for nowhere.
    """

    image: str
    args: tuple[str, ...]
    env: tuple[EnvVar, ...]
    cpu: str
    memory: str
    memory_limit: str
    message_path: str
    mount_path: str
    scratch_path: str
    user_id: int
    progress_port: int = 0


NodeTerm = tuple[Mapping[str, object], ...]
"""What must hold of the labels of a node, as the `matchExpressions` of its affinity."""


@dataclass(frozen=True, slots=True)
class PodTemplateValues:
    """Values of `pod-template.yaml.j2`.

    `container` gives image, arguments, environment, probes, user and times; `tolerations` are keys
    of taints. `added` are fields of the pod that the user set. `cache` is the volume of the model,
    `fetch` what fills it in the pod itself. `gpu_nodes` are the ways to tell nodes with accepted
    GPUs, of which one must hold, and `preferred_nodes` those of the chosen GPUs. `answers`:
    whether it has a port and probes.
    """

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    added: PodSpec
    gpu_nodes: tuple[NodeTerm, ...]
    preferred_nodes: tuple[NodeTerm, ...]
    tolerations: tuple[str, ...]
    container: Container
    resources: Resources
    volumes: tuple[Volume, ...]
    cache: CacheVolume | None = None
    fetch: Fetch | None = None
    answers: bool = True


@dataclass(frozen=True, slots=True)
class LeaderWorkerSetValues:
    """Values of `leader-worker-set.yaml.j2`; the templates are whole pod templates."""

    metadata: ChildMetadata
    replicas: int
    size: int
    restart_policy: str
    leader_template: Mapping[str, object]
    worker_template: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class StatefulSetValues:
    """Values of `statefulset.yaml.j2`; `template` is a whole pod template."""

    metadata: ChildMetadata
    service_name: str
    replicas: int
    selector: Mapping[str, str]
    template: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ServiceValues:
    """Values of `service.yaml.j2` and `headless-service.yaml.j2`, which gives no protocol."""

    metadata: ChildMetadata
    selector: Mapping[str, str]
    port: int
    app_protocol: str = "http"


@dataclass(frozen=True, slots=True)
class PodDisruptionBudgetValues:
    """Values of `pod-disruption-budget.yaml.j2`."""

    metadata: ChildMetadata
    selector: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ControllerRevisionValues:
    """Values of `controller-revision.yaml.j2`; `data` is what the revision records."""

    metadata: ChildMetadata
    revision: int
    data: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ClaimValues:
    """Values of `claim.yaml.j2`; `storage` is a canonical quantity."""

    metadata: ChildMetadata
    access_mode: str
    storage: str
    storage_class_name: str


@dataclass(frozen=True, slots=True)
class FetchJobValues:
    """Values of `fetch-job.yaml.j2`; after one of `final_exit_codes` no retry helps."""

    metadata: ChildMetadata
    pod_labels: Mapping[str, str]
    retries: int
    final_exit_codes: tuple[int, ...]
    deadline_seconds: int
    fetch: Fetch
    cache: CacheVolume
    scratch_limit: str
    image_pull_secrets: tuple[str, ...] = ()


Values = (
    PodTemplateValues
    | ClaimValues
    | FetchJobValues
    | LeaderWorkerSetValues
    | StatefulSetValues
    | ServiceValues
    | PodDisruptionBudgetValues
    | ControllerRevisionValues
)
