"""Many deployments at once, and what is asked of an operator that has them."""

import json
import time
from dataclasses import asdict
from typing import Any, Final

from benchmark.audited import requests_since
from benchmark.bodies import gpu_nodes
from benchmark.marks import added, has_status, last_at, serves
from benchmark.names import BARE, CONTROLLERS, OPERATED, QUIET
from benchmark.processes import cpu_seconds, memory_mib, settle
from benchmark.scale import Scale
from benchmark.sending import Answer, Request, send_all
from benchmark.site import IDENTITY, Site, collection, resource_of
from controlplane import wait_until

Json = dict[str, Any]

PATIENCE_SECONDS: Final = 900.0
_WARM_UP: Final = "warm-up"
_MERGE: Final = "application/merge-patch+json"


def names_of(count: int) -> list[str]:
    """Names of the deployments of a burst."""
    return [f"bench-{number:05d}" for number in range(count)]


class Crowd:
    """One side with a burst of deployments.

    Args:
        site: a fresh control plane with the nodes for it.
        scale: how many.
        side: `operated` or `bare`.
        mode: `controllers` or `quiet`.
    """

    def __init__(self, site: Site, scale: Scale, side: str, mode: str) -> None:
        self.site = site
        self._scale = scale
        self._side = side
        self._mode = mode
        self._names = names_of(scale.objects)
        self.operator = self.site.operator() if side == OPERATED else None
        helper = self.site.bare_client() if side == BARE else None
        self._edited = False
        self._pid = (self.operator or helper).process.pid  # type: ignore[union-attr]

    def burst(self) -> Json:
        """Create all deployments at once and time what becomes of them."""
        self._warm_up()
        position, cpu = self.site.plane.audit_position(), cpu_seconds(self._pid)
        answers = self.site.create(self._side, self._names)
        wait_until("children and status", self._settled, timeout=PATIENCE_SECONDS, interval=0.5)
        result: Json = {"side": self._side, "mode": self._mode, "objects": len(self._names)}
        result |= self._timed(answers) | {"cpu_until_children": cpu_seconds(self._pid) - cpu}
        if self.operator is None:
            return result
        result["requests_until_children"] = asdict(requests_since(self.site, position))
        if self._mode == CONTROLLERS:
            wait_until("all serve", self._served, timeout=PATIENCE_SECONDS, interval=0.5)
            settle(self._pid)
            result["ready"] = round(max(self._served()) - answers[0].sent, 3)
            result["cpu_until_ready"] = cpu_seconds(self._pid) - cpu
            result["requests"] = asdict(requests_since(self.site, position))
        return result

    def _warm_up(self) -> None:
        """Make one deployment that does not count, before the controllers are stopped."""
        plane = self.site.plane
        self.site.create(self._side, [_WARM_UP])
        path = f"/api/v1/namespaces/{self._side}/pods"
        wait_until(
            "its pod runs",
            lambda: (
                [item["status"]["phase"] for item in plane.api.get(path)["items"]] == ["Running"]
            ),
            timeout=60,
        )
        if self.operator is not None:
            self.site.marks.wait(resource_of(self._side), self._side, _WARM_UP, serves)
        if self._mode == QUIET:
            plane.stop_component("kube-controller-manager")
        settle(self._pid, 20)

    def _children(self, name: str) -> float | None:
        """When a deployment had its StatefulSet and both Services."""
        wanted = (
            ("statefulsets", f"{name}-a"),
            ("services", name),
            ("services", f"{name}-pods"),
        )
        return last_at(
            self.site.marks.first(resource, self._side, child, added) for resource, child in wanted
        )

    def _status(self, name: str) -> float | None:
        return last_at(
            [self.site.marks.first(resource_of(self._side), self._side, name, has_status)]
        )

    def _settled(self) -> bool:
        return all(self._children(name) and self._status(name) for name in reversed(self._names))

    def _served(self) -> list[float]:
        marks = [
            self.site.marks.first(resource_of(self._side), self._side, name, serves)
            for name in self._names
        ]
        times = [mark.at for mark in marks if mark is not None]
        return times if len(times) == len(self._names) else []

    def _timed(self, answers: list[Answer]) -> Json:
        children = [self._children(name) or 0.0 for name in self._names]
        status = [self._status(name) or 0.0 for name in self._names]
        began = min(answer.sent for answer in answers)
        finished = max(*children, *status) - began
        return {
            "seconds": round(finished, 3),
            "rate": round(len(self._names) / finished, 2),
            "created_within": round(max(answer.answered for answer in answers) - began, 3),
            "children_ms": [
                round((at - answer.sent) * 1000)
                for at, answer in zip(children, answers, strict=True)
            ],
        }

    def at_rest(self, seconds: float = 10.0) -> Json:
        """What the operator does while nothing changes."""
        position, cpu = self.site.plane.audit_position(), cpu_seconds(self._pid)
        time.sleep(seconds)
        used = cpu_seconds(self._pid) - cpu
        requests = requests_since(self.site, position)
        return {"seconds": seconds, "cpu": used, "requests": asdict(requests)}

    def edits(self) -> list[Json]:
        """Edit some deployments twice so that they are planned anew, all at the same time."""
        chosen = self._names[: self._scale.edits]
        return [self._edit(chosen, length) for length in (16384, 8192)]

    def _edit(self, chosen: list[str], length: int) -> Json:
        position, cpu = self.site.plane.audit_position(), cpu_seconds(self._pid)
        patch = json.dumps({"spec": {"context": {"maxModelLen": length}}})
        answers = send_all(
            self.site.admin,
            [
                Request("PATCH", f"{collection(self._side)}/{name}", patch, _MERGE)
                for name in chosen
            ],
        )
        generations = [json.loads(answer.body)["metadata"]["generation"] for answer in answers]
        wanted = dict(zip(chosen, generations, strict=True))
        for name in chosen:
            self.site.marks.wait(
                resource_of(self._side),
                self._side,
                name,
                lambda mark, name=name: mark.generation >= wanted[name],  # type: ignore[misc]
            )
        wait_until("edited pods serve", lambda: self._rolled(chosen, length), timeout=300)
        settle(self._pid)
        return {
            "objects": len(chosen),
            "cpu": cpu_seconds(self._pid) - cpu,
            "requests": asdict(requests_since(self.site, position)),
        }

    def _rolled(self, chosen: list[str], length: int) -> bool:
        items = self.site.plane.api.get(collection(self._side))["items"]
        rolled = [
            item
            for item in items
            if item["metadata"]["name"] in set(chosen)
            and item["status"]["plan"]["maxModelLen"] == length
            and [one["type"] for one in item["status"]["conditions"]] == ["Ready"]
            and item["status"]["conditions"][0]["status"] == "True"
        ]
        return len(rolled) == len(chosen)

    def deletions(self) -> Json:
        """Delete the last deployments; the garbage collector removes their children."""
        chosen = self._names[-self._scale.edits :]
        position, cpu = self.site.plane.audit_position(), cpu_seconds(self._pid)
        self.site.delete(self._side, chosen)
        gone = {f"{name}-a" for name in chosen}
        path = f"/apis/apps/v1/namespaces/{self._side}/statefulsets"
        wait_until(
            "children are gone",
            lambda: (
                not gone
                & {item["metadata"]["name"] for item in self.site.plane.api.get(path)["items"]}
            ),
            timeout=300,
            interval=0.5,
        )
        settle(self._pid)
        return {
            "objects": len(chosen),
            "cpu": cpu_seconds(self._pid) - cpu,
            "requests": asdict(requests_since(self.site, position)),
        }

    def memory(self) -> Json:
        """Memory with the deployments of the burst, and nodes as many as there are for them."""
        settle(self._pid)
        before = memory_mib(self._pid)
        self.site.plane.add_nodes(gpu_nodes(self._scale.more_nodes, "added"))
        settle(self._pid)
        return {
            "objects": len(self._names),
            "nodes": self._scale.nodes + self._scale.more_nodes,
            "after_burst": before,
            "settled": memory_mib(self._pid),
        }

    def restart(self, identity: str) -> Json:
        """Kill the operator, edit one deployment meanwhile, and start it again.

        Args:
            identity: of the started one; another than before must wait until the Lease expires.
        """
        assert self.operator is not None
        name = self._names[len(self._names) // 2]
        path = f"{collection(self._side)}/{name}"
        length = 12288 if self._edited else 4096
        self._edited = True
        self.operator.kill()
        killed = time.monotonic()
        patch = {"spec": {"context": {"maxModelLen": length}}}
        self.site.plane.api.request("PATCH", path, patch, _MERGE)
        started = time.monotonic()
        self.operator = self.site.operator(identity, wait=False)
        self._pid = self.operator.process.pid
        mark = self.site.marks.wait(
            "statefulsets",
            self._side,
            f"{name}-a",
            lambda mark: mark.at > killed and mark.generation > 1,
        )
        child = self.site.plane.api.get(
            f"/apis/apps/v1/namespaces/{self._side}/statefulsets/{name}-a"
        )
        arguments = child["spec"]["template"]["spec"]["containers"][0]["args"]
        if f"--max-model-len={length}" not in arguments:
            msg = f"the first reaction to the edit was wrong: {arguments}"
            raise RuntimeError(msg)
        self.operator.wait_ready(120)
        settle(self._pid)
        return {
            "identity": "same" if identity == IDENTITY else "new",
            "reacted": round(mark.at - started, 3),
            "cpu": cpu_seconds(self._pid),
            "memory": memory_mib(self._pid),
        }
