"""The bodies that the operator would send for one deployment, rendered by the operator's code.

Name and uid stand in them as placeholders: whoever sends them puts in the real ones as text, which
costs a bare client next to nothing.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from controlplane import GpuNode
from llama_operator.api.deployment import LlamaDeployment
from llama_operator.catalog.catalog import Catalog
from llama_operator.cluster.client import encode
from llama_operator.cluster.resources import BY_KIND
from llama_operator.planning.nodes import inventory_from_nodes
from llama_operator.planning.plan import plan
from llama_operator.reconcile.actions import Create
from llama_operator.reconcile.decide import decide
from llama_operator.reconcile.desired import desire
from llama_operator.reconcile.status import Situation, status_of

Json = dict[str, Any]

GROUP: Final = "llama-operator.io"
BARE_GROUP: Final = "bench-operator.io"
"""The bare client's own copy of the API, so that the operator leaves its objects alone."""
VERSION: Final = "v1alpha1"
PLURAL: Final = "llamadeployments"
SPEC: Final[Json] = {"size": "8b", "format": "awq"}
PRODUCT: Final = "NVIDIA-A10G"

NAME: Final = "name-to-fill"
NAMESPACE: Final = "namespace-to-fill"
UID: Final = "uid-to-fill"
_LABEL: Final = '"app.kubernetes.io/managed-by":"%s"'


@dataclass(frozen=True)
class Body:
    """One request of the bare client.

    Attributes:
        method: POST or PATCH.
        path: with placeholders.
        content_type: of the body.
        text: JSON with placeholders.
    """

    method: str
    path: str
    content_type: str
    text: str


def gpu_nodes(count: int, prefix: str = "a10g", gpus: int = 4) -> list[GpuNode]:
    """Nodes of one product."""
    return [
        GpuNode(f"{prefix}-{number:05d}", PRODUCT, gpus, 23028, "8.6", driver="580.65.06")
        for number in range(count)
    ]


def deployment(namespace: str, name: str, group: str = GROUP, **spec: object) -> Json:
    """A LlamaDeployment; `spec` is merged into the one that all share."""
    return {
        "apiVersion": f"{group}/{VERSION}",
        "kind": "LlamaDeployment",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {**SPEC, **spec},
    }


def rendered() -> tuple[Body, ...]:
    """The creates of all children in the operator's order, and the first status.

    Raises:
        ValueError: the deployment of the benchmark fits no node of the benchmark.
    """
    body = deployment(NAMESPACE, NAME)
    body["metadata"] |= {"uid": UID, "generation": 1}
    parsed = LlamaDeployment.parse(body)
    nodes = [node.manifest() for node in gpu_nodes(4)]
    for node in nodes:
        node["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    catalog, inventory = Catalog.load(), inventory_from_nodes(nodes)
    desired = desire(
        parsed, None, lambda asked, current: plan(asked.spec, catalog, inventory, current=current)
    )
    if desired.revision is None:
        msg = f"{SPEC} fits no {PRODUCT}: {desired.refusal}"
        raise ValueError(msg)
    decision = decide(parsed, desired.revision, (), {})
    status = status_of(Situation(parsed, desired, decision), datetime.now(UTC))
    creates = [
        Body(
            "POST",
            f"{BY_KIND[action.kind].path(NAMESPACE)}?fieldManager=bare-client",
            "application/json",
            _foreign(action.body),
        )
        for action in decision.actions
        if isinstance(action, Create)
    ]
    return (*creates, _status_write(body, status.to_object()))


def _status_write(body: Json, status: Json) -> Body:
    metadata = {key: body["metadata"][key] for key in ("namespace", "name", "uid")}
    path = f"/apis/{BARE_GROUP}/{VERSION}/namespaces/{NAMESPACE}/{PLURAL}/{NAME}/status"
    return Body(
        "PATCH",
        f"{path}?fieldManager=bare-client&force=true",
        "application/apply-patch+yaml",
        _foreign({**body, "metadata": metadata, "spec": None, "status": status}),
    )


def _foreign(body: Json) -> str:
    """The body of an operator of the same kind: as long, but of another group and label."""
    text = encode({key: value for key, value in body.items() if value is not None}).decode()
    text = text.replace(f'"{GROUP}/{VERSION}"', f'"{BARE_GROUP}/{VERSION}"')
    return text.replace(_LABEL % "llama-operator", _LABEL % "bare--operator")


def filled(text: str, namespace: str, name: str, uid: str) -> str:
    """A text with its placeholders replaced."""
    return text.replace(NAMESPACE, namespace).replace(NAME, name).replace(UID, uid)
