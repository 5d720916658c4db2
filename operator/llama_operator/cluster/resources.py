"""The API resources that the operator reads and writes."""

from typing import Final

from llama_operator.api.v1alpha1 import GROUP, KIND, PLURAL, VERSION
from llama_operator.cluster.client import Resource

LLAMA_DEPLOYMENTS: Final = Resource(GROUP, VERSION, PLURAL, KIND)
STATEFUL_SETS: Final = Resource("apps", "v1", "statefulsets", "StatefulSet")
CONTROLLER_REVISIONS: Final = Resource("apps", "v1", "controllerrevisions", "ControllerRevision")
SERVICES: Final = Resource("", "v1", "services", "Service")
DISRUPTION_BUDGETS: Final = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
JOBS: Final = Resource("batch", "v1", "jobs", "Job")
LEADER_WORKER_SETS: Final = Resource(
    "leaderworkerset.x-k8s.io", "v1", "leaderworkersets", "LeaderWorkerSet"
)
"""Of a CRD that a cluster may have or not."""
CUSTOM_RESOURCES: Final = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    namespaced=False,
)
CLAIMS: Final = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
PODS: Final = Resource("", "v1", "pods", "Pod")
NODES: Final = Resource("", "v1", "nodes", "Node", namespaced=False)
RESOURCE_SLICES: Final = Resource(
    "resource.k8s.io", "v1", "resourceslices", "ResourceSlice", namespaced=False
)
DEVICE_CLASSES: Final = Resource(
    "resource.k8s.io", "v1", "deviceclasses", "DeviceClass", namespaced=False
)
CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
EVENTS: Final = Resource("events.k8s.io", "v1", "events", "Event")
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")

BY_KIND: Final = {
    resource.kind: resource
    for resource in (
        STATEFUL_SETS,
        CONTROLLER_REVISIONS,
        SERVICES,
        DISRUPTION_BUDGETS,
        JOBS,
        CLAIMS,
        LEADER_WORKER_SETS,
    )
}
"""Kinds of children that the operator writes."""
