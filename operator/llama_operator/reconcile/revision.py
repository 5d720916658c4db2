"""Revisions: the record of what runs, in a ControllerRevision.

A revision holds the hash of the planning inputs, the hash of the inputs that only change the pod
template, the plan and the rendered objects. Nothing that runs moves as long as both hashes stay.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from pydantic import ValidationError

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.names import ANNOTATION_REPLAN, leader_worker_set_name, statefulset_name
from llama_operator.api.plan import Plan
from llama_operator.reconcile.observed import Child, Json

STATEFUL_SET_KIND: Final = "StatefulSet"
LEADER_WORKER_SET_KIND: Final = "LeaderWorkerSet"
WORKLOADS: Final = {
    STATEFUL_SET_KIND: "statefulSet",
    LEADER_WORKER_SET_KIND: "leaderWorkerSet",
}
"""Kinds of what makes the pods, and the field of a record that holds it."""
HISTORY_LIMIT: Final = 5
"""Revisions kept, the newest included."""

_TEMPLATE_FIELDS: Final = ("servedModelNames", "template", "tokenSecretRef")
_CACHE_FIELD: Final = "cache"
_TEMPLATE_ENGINE_FIELDS: Final = ("extraArgs", "env")
_RUNTIME_FIELDS: Final = ("replicas", "suspend")


def workload_name(kind: str, name: str) -> str:
    """Name of what makes the pods of a deployment, by its kind and the deployment's name."""
    return (
        leader_worker_set_name(name) if kind == LEADER_WORKER_SET_KIND else statefulset_name(name)
    )


def canonical(value: Any) -> bytes:  # noqa: ANN401 - JSON
    """The one byte string of a JSON value: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def digest(value: Any) -> str:  # noqa: ANN401 - JSON
    """Hex SHA-256 of a JSON value, 16 characters."""
    return hashlib.sha256(canonical(value)).hexdigest()[:16]


def planning_hash(deployment: LlamaDeployment) -> str:
    """Hash of all that planning reads from the spec, and of the replan annotation."""
    spec = _set_fields(deployment)
    resources = spec.get("template", {}).get("spec", {}).get("resources")
    if deployment.spec.cache is not None:
        # Whether there is one decides what is planned; which one only what pods mount.
        spec[_CACHE_FIELD] = deployment.spec.cache.kind.value
    for field in (*_TEMPLATE_FIELDS, *_RUNTIME_FIELDS):
        spec.pop(field, None)
    for field in _TEMPLATE_ENGINE_FIELDS:
        spec.get("engine", {}).pop(field, None)
    if not spec.get("engine", True):
        del spec["engine"]
    if resources:
        spec["resources"] = resources
    return digest(
        {"spec": spec, "replan": deployment.metadata.annotations.get(ANNOTATION_REPLAN, "")}
    )


def template_hash(deployment: LlamaDeployment) -> str:
    """Hash of what changes the pod template but not the plan."""
    spec = _set_fields(deployment)
    engine = spec.get("engine", {})
    return digest(
        {
            **{field: spec[field] for field in (*_TEMPLATE_FIELDS, _CACHE_FIELD) if field in spec},
            **{field: engine[field] for field in _TEMPLATE_ENGINE_FIELDS if field in engine},
        }
    )


def _set_fields(deployment: LlamaDeployment) -> Json:
    """The spec without defaults, so that a new field with a default changes no hash."""
    return deployment.spec.model_dump(
        mode="json", by_alias=True, exclude_defaults=True, exclude_none=True
    )


@dataclass(frozen=True, slots=True)
class Objects:
    """The rendered children of a revision, as recorded; replicas are set at each pass.

    `workload` makes the pods: a StatefulSet, or a LeaderWorkerSet for replicas on several nodes.
    `claim` and `fetch_job` are there where a volume keeps the model.
    """

    workload: Json
    service: Json
    headless_service: Json
    disruption_budget: Json
    claim: Json | None = None
    fetch_job: Json | None = None

    @property
    def workload_kind(self) -> str:
        """StatefulSet or LeaderWorkerSet."""
        return str(self.workload["kind"])

    def data(self) -> Json:
        """What the ControllerRevision carries of them."""
        told = {
            WORKLOADS[self.workload["kind"]]: self.workload,
            "service": self.service,
            "headlessService": self.headless_service,
            "podDisruptionBudget": self.disruption_budget,
            "persistentVolumeClaim": self.claim,
            "fetchJob": self.fetch_job,
        }
        return {name: body for name, body in told.items() if body is not None}


@dataclass(frozen=True, slots=True)
class Revision:
    """One recorded revision. `number` orders them; `name` is empty until it is recorded."""

    name: str
    number: int
    planning_hash: str
    template_hash: str
    render_version: int
    plan: Plan
    objects: Objects

    def data(self) -> Json:
        """What the ControllerRevision carries."""
        return {
            "planningHash": self.planning_hash,
            "templateHash": self.template_hash,
            "renderVersion": self.render_version,
            "plan": self.plan.to_object(),
            "objects": self.objects.data(),
        }


@lru_cache(maxsize=32)
def read_revision(child: Child) -> Revision | None:
    """The revision that a ControllerRevision records; None when it cannot be read.

    Passes over one deployment come close together, so the last few are remembered.
    """
    data = child.body.get("data")
    try:
        assert isinstance(data, dict)
        objects = data["objects"]
        return Revision(
            name=child.name,
            number=child.revision,
            planning_hash=data["planningHash"],
            template_hash=data["templateHash"],
            render_version=int(data["renderVersion"]),
            plan=Plan.model_validate(data["plan"]),
            objects=Objects(
                workload=_workload(objects),
                service=objects["service"],
                headless_service=objects["headlessService"],
                disruption_budget=objects["podDisruptionBudget"],
                claim=objects.get("persistentVolumeClaim"),
                fetch_job=objects.get("fetchJob"),
            ),
        )
    except (AssertionError, KeyError, TypeError, ValueError, ValidationError):
        return None


def _workload(objects: Json) -> Json:
    """What makes the pods.

    Raises:
        KeyError: it is not recorded.
        ValueError: another kind stands in its field.
    """
    for kind, field in WORKLOADS.items():
        if field in objects:
            workload: Json = objects[field]
            if workload["kind"] != kind:
                msg = f"{field} is a {workload['kind']}"
                raise ValueError(msg)
            return workload
    raise KeyError(*WORKLOADS.values())


def latest_record(children: Iterable[Child], owner_uid: str) -> Child | None:
    """The ControllerRevision of an owner with the highest number, readable or not."""
    records = [
        child
        for child in children
        if child.kind == "ControllerRevision"
        and child.owner_uid == owner_uid
        and not child.deleting
    ]
    return max(records, key=lambda child: child.revision, default=None)
