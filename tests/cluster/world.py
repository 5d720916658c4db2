"""What a test needs of the cluster: nodes, a namespace, and words for what it looks at."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from controlplane import ControlPlane, GpuNode, wait_until

GROUP_PATH = "/apis/llama-operator.io/v1alpha1"
CHILD_PATHS = {
    "statefulsets": "/apis/apps/v1",
    "controllerrevisions": "/apis/apps/v1",
    "services": "/api/v1",
    "poddisruptionbudgets": "/apis/policy/v1",
    "jobs": "/apis/batch/v1",
    "persistentvolumeclaims": "/api/v1",
    "pods": "/api/v1",
}
Json = dict[str, Any]

PRODUCTS = {
    "NVIDIA-A100-SXM4-80GB": (81920, "8.0"),
    "NVIDIA-A100-SXM4-40GB": (40960, "8.0"),
    "NVIDIA-A10G": (23028, "8.6"),
    "NVIDIA-L4": (23034, "8.9"),
    "NVIDIA-H100-80GB-HBM3": (81559, "9.0"),
}
"""MiB as the label gives it, compute capability (public node label listings)."""


def gpu_node(name: str, product: str, gpus: int, **fields: Any) -> GpuNode:
    memory, capability = PRODUCTS[product]
    return GpuNode(name, product, gpus, memory, capability, **fields)


class World:
    """One namespace of one test."""

    def __init__(self, plane: ControlPlane, namespace: str, directory: Path) -> None:
        self.plane = plane
        self.namespace = namespace
        self.directory = directory
        self.api = plane.api_client()
        self._nodes: list[str] = []
        self._volumes: list[str] = []
        plane.kubectl("create", "namespace", namespace)
        wait_until(
            "the namespace has its ServiceAccount",
            lambda: self.exists(f"/api/v1/namespaces/{namespace}/serviceaccounts/default"),
        )

    def close(self) -> None:
        crowd = len(self.owned("statefulsets"))
        # In one request: `kubectl delete --all` asks for each by itself, a few a second.
        self.api.delete(f"{GROUP_PATH}/namespaces/{self.namespace}/llamadeployments")
        wait_until(
            "all children are gone", lambda: not any(self.children().values()), timeout=60 + crowd
        )
        self.plane.kubectl("delete", "namespace", self.namespace, "--wait=false")
        if self._nodes:
            self.remove_nodes(self._nodes)
        if self._volumes:
            self.kubectl("delete", "persistentvolume", *self._volumes, "--wait=false")
        self.api.close()

    def add_nodes(self, *nodes: GpuNode) -> None:
        self.plane.add_nodes(list(nodes))
        self._nodes.extend(node.name for node in nodes)

    def remove_nodes(self, names: Sequence[str]) -> None:
        self.plane.remove_nodes(list(names))
        self._nodes = [name for name in self._nodes if name not in names]

    def add_volumes(self, count: int = 1, storage_class: str = "") -> None:
        """Volumes that the cluster binds to claims of a class, as a provisioner would make them."""
        for _ in range(count):
            name = f"{self.namespace}-{len(self._volumes)}"
            self._volumes.append(name)
            self.api.create(
                "/api/v1/persistentvolumes",
                {
                    "apiVersion": "v1",
                    "kind": "PersistentVolume",
                    "metadata": {"name": name},
                    "spec": {
                        "capacity": {"storage": "100Gi"},
                        "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
                        "persistentVolumeReclaimPolicy": "Retain",
                        "storageClassName": storage_class,
                        "hostPath": {"path": "/tmp/none"},
                    },
                },
            )

    def add_claim(self, name: str, storage_class: str = "") -> None:
        """A claim that belongs to nobody's deployment, with a volume."""
        self.add_volumes(1, storage_class)
        self.api.create(
            f"/api/v1/namespaces/{self.namespace}/persistentvolumeclaims",
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": name},
                "spec": {
                    "accessModes": ["ReadWriteMany"],
                    "storageClassName": storage_class,
                    "resources": {"requests": {"storage": "50Gi"}},
                },
            },
        )

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        return self.plane.kubectl(
            "--namespace", self.namespace, *arguments, input=stdin, check=check
        ).stdout

    def refused(self, *arguments: str, stdin: str | None = None) -> str:
        """Standard error of a kubectl call that must fail."""
        result = self.plane.kubectl(
            "--namespace", self.namespace, *arguments, input=stdin, check=False
        )
        assert result.returncode != 0, result.stdout
        return result.stderr

    def apply(self, name: str, spec: Json, **metadata: Any) -> None:
        self.apply_text(self.manifest(name, spec, **metadata))

    def manifest(self, name: str, spec: Json, **metadata: Any) -> str:
        return yaml.safe_dump(
            {
                "apiVersion": "llama-operator.io/v1alpha1",
                "kind": "LlamaDeployment",
                "metadata": {"name": name, **metadata},
                "spec": spec,
            }
        )

    def apply_text(self, text: str) -> str:
        return self.kubectl("apply", "-f", "-", stdin=text)

    def exists(self, path: str) -> bool:
        return self.try_get(path) is not None

    def try_get(self, path: str) -> Json | None:
        from controlplane import ApiError

        try:
            found: Json = self.api.get(path)
        except ApiError as error:
            if error.code == 404:
                return None
            raise
        return found

    def llama(self, name: str) -> Json:
        found: Json = self.api.get(
            f"{GROUP_PATH}/namespaces/{self.namespace}/llamadeployments/{name}"
        )
        return found

    def try_llama(self, name: str) -> Json | None:
        return self.try_get(f"{GROUP_PATH}/namespaces/{self.namespace}/llamadeployments/{name}")

    def owned(self, plural: str) -> list[Json]:
        """Objects of a kind that carry our labels here; StatefulSets' own revisions left out."""
        answer = self.api.get(
            f"{CHILD_PATHS[plural]}/namespaces/{self.namespace}/{plural}"
            "?labelSelector=app.kubernetes.io%2Fmanaged-by%3Dllama-operator"
        )
        return [
            item
            for item in answer["items"]
            if plural != "controllerrevisions"
            or not any(
                owner["kind"] == "StatefulSet"
                for owner in item["metadata"].get("ownerReferences", ())
            )
        ]

    def children(self) -> dict[str, dict[str, str]]:
        """Uids of all children by plural and name."""
        return {
            plural: {
                item["metadata"]["name"]: item["metadata"]["uid"] for item in self.owned(plural)
            }
            for plural in CHILD_PATHS
        }

    def conditions(self, name: str) -> dict[str, tuple[str, str, str]]:
        status = self.llama(name).get("status") or {}
        return {
            entry["type"]: (entry["status"], entry["reason"], entry["message"])
            for entry in status.get("conditions", ())
        }

    def wait_condition(
        self, name: str, kind: str, status: str, reason: str, timeout: float = 60
    ) -> str:
        """Wait for a condition of the present generation; returns its message."""

        def seen() -> str | None:
            body = self.llama(name)
            for entry in body.get("status", {}).get("conditions", ()):
                if (
                    entry["type"] == kind
                    and entry["status"] == status
                    and entry["reason"] == reason
                    and entry["observedGeneration"] == body["metadata"]["generation"]
                ):
                    return entry["message"] or " "
            return None

        try:
            found = wait_until(f"{name} is {kind}={status} {reason}", seen, timeout=timeout)
        except TimeoutError as error:
            msg = f"{error}; status is {json.dumps(self.llama(name).get('status'), indent=1)}"
            raise AssertionError(msg) from None
        assert found is not None
        return found

    def wait_ready(self, name: str, timeout: float = 60) -> Json:
        """Wait until Ready and settled; returns the object."""
        self.wait_condition(name, "Ready", "True", "Serving", timeout)
        self.wait(
            f"{name} is settled",
            lambda: (
                set(self.conditions(name)) == {"Ready"}
                and self.llama(name)["status"]["observedGeneration"]
                == self.llama(name)["metadata"]["generation"]
            ),
            timeout=timeout,
        )
        return self.llama(name)

    def wait(self, what: str, condition: Callable[[], object], timeout: float = 60) -> None:
        wait_until(what, condition, timeout=timeout)

    def pods(self, name: str, application: str = "llama") -> list[Json]:
        """Pods of a deployment's engine, or those that download its model."""
        return [
            pod
            for pod in self.owned("pods")
            if pod["metadata"]["labels"]["app.kubernetes.io/instance"] == name
            and pod["metadata"]["labels"].get("app.kubernetes.io/name") == application
        ]

    def pod_uids(self, name: str) -> set[str]:
        return {pod["metadata"]["uid"] for pod in self.pods(name)}
