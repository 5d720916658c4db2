"""Names and labels of the children of a LlamaDeployment. They cannot change later."""

import hashlib
from typing import Final

from llama_operator.api.v1alpha1 import GROUP

MANAGED_BY: Final = "llama-operator"
FIELD_MANAGER: Final = "llama-operator"
LABEL_NAME: Final = "app.kubernetes.io/name"
LABEL_INSTANCE: Final = "app.kubernetes.io/instance"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
LABEL_COMPONENT: Final = "app.kubernetes.io/component"
LEADER: Final = "leader"
WORKER: Final = "worker"
"""Values of the label for the component: the pod of a replica that answers, and the others."""
LABEL_JOB: Final = "batch.kubernetes.io/job-name"
"""Set by the Job controller on a Job's pods."""
FETCH_CONTAINER: Final = "fetch"
"""Name of the container that downloads a model, in the pod of a Job or before an engine."""
FETCH_NAME: Final = "llama-fetch"
"""`app.kubernetes.io/name` of pods that download a model; the Service selects others."""
LABEL_COLOR: Final = f"{GROUP}/color"
ANNOTATION_REVISION: Final = f"{GROUP}/revision"
ANNOTATION_ATTEMPT: Final = f"{GROUP}/attempt"
"""Of a Job that was made anew after it failed: which one it is, from 2 on."""
ANNOTATION_REPLAN: Final = f"{GROUP}/replan"
ANNOTATION_RENDERING: Final = f"{GROUP}/rendering"
CATALOG_LABEL: Final = f"{GROUP}/catalog"
BASE_LIMIT: Final = 40
"""Longest base of a StatefulSet's name: room for `-a`, the pod's ordinal and revision hashes."""
PROGRESS_PORT: Final = 8090
"""Where the pod of a download answers `GET /progress`."""
PROGRESS_PORT_NAME: Final = "progress"
COLORS: Final = ("a", "b")
PORT: Final = 8000


def base_name(name: str) -> str:
    """The deployment's name cut to 40 characters; a cut name ends in a hash of the whole."""
    if len(name) <= BASE_LIMIT:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: BASE_LIMIT - 9].rstrip('-')}-{digest}"


def statefulset_name(name: str, color: str = "a") -> str:
    """Name of the StatefulSet of a color: `<base>-a` or `<base>-b`."""
    return f"{base_name(name)}-{color}"


def leader_worker_set_name(name: str) -> str:
    """Name of the LeaderWorkerSet of replicas on several nodes: `<base>-lws`.

    Its controller makes a StatefulSet and a Service of the same name.
    """
    return f"{base_name(name)}-lws"


def service_name(name: str) -> str:
    """Name of the Service that clients use."""
    return name


def headless_service_name(name: str) -> str:
    """Name of the headless Service that gives pods their DNS names."""
    return f"{base_name(name)}-pods"


def revision_name(name: str, digest: str) -> str:
    """Name of a ControllerRevision; `digest` is the hash of what it records."""
    return f"{base_name(name)}-plan-{digest[:10]}"


def claim_name(name: str, variant: str = "") -> str:
    """Name of the claim that is made for a deployment; `variant` tells odd ones apart."""
    return f"{base_name(name)}-models" + (f"-{variant[:8]}" if variant else "")


def fetch_name(name: str, digest: str) -> str:
    """Name of the Job that downloads a model; `digest` is the hash of what it fetches and where."""
    return f"{base_name(name)}-fetch-{digest[:10]}"


def fetch_labels(name: str) -> dict[str, str]:
    """Labels of pods that download the model of a deployment."""
    return {**selector_labels(name), LABEL_NAME: FETCH_NAME}


def selector_labels(name: str) -> dict[str, str]:
    """Labels that select the pods of a deployment, of both colors. Immutable once set."""
    return {LABEL_NAME: "llama", LABEL_INSTANCE: name, LABEL_MANAGED_BY: MANAGED_BY}


def leader_labels(name: str) -> dict[str, str]:
    """Labels that select the pods of a deployment that answer, where a replica has several."""
    return {**selector_labels(name), LABEL_COMPONENT: LEADER}


def child_labels(name: str) -> dict[str, str]:
    """Labels of every child."""
    return selector_labels(name)


def selector_text(name: str, *, leaders: bool = False) -> str:
    """The selector as a string, for the scale subresource, which counts one pod a replica."""
    labels = leader_labels(name) if leaders else selector_labels(name)
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def service_url(name: str, namespace: str, scheme: str = "http") -> str:
    """OpenAI base URL inside the cluster; `scheme` is http or https."""
    return f"{scheme}://{service_name(name)}.{namespace}.svc:{PORT}/v1"
