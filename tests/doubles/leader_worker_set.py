"""What the controller of LeaderWorkerSets makes of a set: groups of pods, and its status.

Names, labels and variables are those of LeaderWorkerSet v0.9.0 (pkg/controllers, pkg/webhooks,
pkg/utils/pod).
"""

import json
from typing import Any

from cluster.world import World

Json = dict[str, Any]

GROUP = "leaderworkerset.x-k8s.io"
LABELS = "leaderworkerset.sigs.k8s.io"
CRD_NAME = f"leaderworkersets.{GROUP}"


class LeaderWorkerSets:
    """Plays the controller in one namespace, a step each time it is asked to."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._path = f"/apis/{GROUP}/v1/namespaces/{world.namespace}/leaderworkersets"

    def all(self) -> list[Json]:
        """Every set of the namespace; none without the CRD."""
        found = self._world.try_get(self._path)
        return [] if found is None else list(found["items"])

    def step(self) -> None:
        """Make the pods that are missing, and remove those beyond the replicas."""
        for one in self.all():
            if one["metadata"].get("deletionTimestamp") is None:
                self._converge(one)

    def _converge(self, one: Json) -> None:
        size = one["spec"]["leaderWorkerTemplate"]["size"]
        wanted = {
            _pod_name(one, group, index): self._pod(one, group, index)
            for group in range(one["spec"]["replicas"])
            for index in range(size)
        }
        there = {
            pod["metadata"]["name"]: pod
            for pod in self._world.owned("pods")
            if pod["metadata"]["labels"].get(f"{LABELS}/name") == one["metadata"]["name"]
        }
        pods = f"/api/v1/namespaces/{self._world.namespace}/pods"
        for name in there.keys() - wanted.keys():
            self._world.api.delete(f"{pods}/{name}")
        for name in wanted.keys() - there.keys():
            self._world.api.create(pods, wanted[name])
        self._tell(one, len(wanted) // size)

    def _pod(self, one: Json, group: int, index: int) -> Json:
        name, metadata = one["metadata"]["name"], one["metadata"]
        templates = one["spec"]["leaderWorkerTemplate"]
        template = templates["workerTemplate" if index else "leaderTemplate"]
        size = templates["size"]
        leader = _pod_name(one, group, 0)
        variables = {
            "LWS_LEADER_ADDRESS": f"{leader}.{name}.{metadata['namespace']}",
            "LWS_GROUP_SIZE": str(size),
            "LWS_WORKER_INDEX": str(index),
        }
        spec = json.loads(json.dumps(template["spec"]))
        for container in spec["containers"]:
            own = [{"name": key, "value": value} for key, value in variables.items()]
            container["env"] = [*own, *container.get("env", ())]
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": _pod_name(one, group, index),
                "labels": {
                    **template["metadata"]["labels"],
                    f"{LABELS}/name": name,
                    f"{LABELS}/group-index": str(group),
                    f"{LABELS}/worker-index": str(index),
                },
                "annotations": template["metadata"].get("annotations", {}),
                "ownerReferences": [
                    {
                        "apiVersion": f"{GROUP}/v1",
                        "kind": "LeaderWorkerSet",
                        "name": name,
                        "uid": metadata["uid"],
                        "controller": True,
                        "blockOwnerDeletion": True,
                    }
                ],
            },
            "spec": {**spec, "hostname": _pod_name(one, group, index), "subdomain": name},
        }

    def _tell(self, one: Json, groups: int) -> None:
        generation = one["metadata"]["generation"]
        status = {"replicas": groups, "updatedReplicas": groups, "observedGeneration": generation}
        if {**one.get("status", {}), **status} == one.get("status"):
            return
        patch = json.dumps({"status": status})
        self._world.kubectl(
            "patch", "leaderworkerset", one["metadata"]["name"],
            "--subresource=status", "--type=merge", "-p", patch,
        )  # fmt: skip


def _pod_name(one: Json, group: int, index: int) -> str:
    leader = f"{one['metadata']['name']}-{group}"
    return f"{leader}-{index}" if index else leader
