"""An operator among thousands of large nodes whose heartbeats and labels keep changing."""

import json
import time
from datetime import datetime
from typing import Any, Final

from benchmark.bodies import gpu_nodes
from benchmark.processes import cpu_seconds, memory_mib, settle
from benchmark.scale import Scale
from benchmark.sending import Request, send_all
from benchmark.site import Site
from workstation import OperatorProcess

Json = dict[str, Any]

NODE_BYTES: Final = 10_000
_IMAGE: Final = "registry.example/team/application-%03d@sha256:%064x"
_STRATEGIC: Final = "application/strategic-merge-patch+json"
_CONDITIONS: Final = ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")
_REST_SECONDS: Final = 10.0


def large_node(body: Json, beat: str = "2026-01-01T00:00:00Z") -> Json:
    """A node as large as real ones are: most of it are the images that it holds."""
    body["status"]["conditions"] = conditions(beat)
    images: list[Json] = []
    body["status"]["images"] = images
    while len(json.dumps(body, separators=(",", ":"))) < NODE_BYTES:
        number = len(images)
        images.append({"names": [_IMAGE % (number, number)], "sizeBytes": 100_000_000 + number})
    return body


def conditions(beat: str) -> list[Json]:
    """Conditions of a healthy node with the time of its last heartbeat."""
    return [
        {
            "type": kind,
            "status": "True" if kind == "Ready" else "False",
            "reason": f"Kubelet{kind}",
            "message": f"the kubelet says {kind}",
            "lastHeartbeatTime": beat,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        for kind in _CONDITIONS
    ]


def many_nodes(site: Site, scale: Scale) -> Json:
    """Measure first list, memory at rest, and CPU time for each event of a node."""
    # Nobody else is to touch the nodes: no kubelet plays them, so the node controller would
    # call them lost.
    for name in ("kube-controller-manager", "kube-scheduler"):
        site.plane.stop_component(name)
    operator = site.operator()
    settle(operator.process.pid)
    base = memory_mib(operator.process.pid)
    operator.stop()
    bodies = [large_node(node.manifest()) for node in gpu_nodes(scale.many_nodes)]
    requests = [Request("POST", "/api/v1/nodes", json.dumps(body)) for body in bodies]
    send_all(site.admin, requests)
    operator = site.operator()
    pid = operator.process.pid
    settle(pid)
    listed = {"seconds": _list_seconds(operator), "cpu": cpu_seconds(pid)}
    settled = memory_mib(pid)
    result: Json = {"nodes": scale.many_nodes, "node_bytes": len(requests[0].body or "")}
    result |= {"base": base, "first_list": listed, "settled": settled, "events": []}
    for kind in ("heartbeats", "labels"):
        result["events"].append(_events(site, pid, kind, scale))
    settle(pid)
    return result | {"after_events": memory_mib(pid)}


def _list_seconds(operator: OperatorProcess) -> float:
    """From the first line of the operator's log, when it is loaded, to filled caches."""
    lines = list(operator.lines())
    [filled] = [line["time"] for line in lines if line["message"] == "caches are filled"]
    passed = datetime.fromisoformat(filled) - datetime.fromisoformat(lines[0]["time"])
    return round(passed.total_seconds(), 3)


def _events(site: Site, pid: int, kind: str, scale: Scale) -> Json:
    """CPU time of the operator for changes of nodes, beside what it uses at rest."""
    before = cpu_seconds(pid)
    time.sleep(_REST_SECONDS)
    rest = (cpu_seconds(pid) - before) / _REST_SECONDS
    requests = [
        _change(kind, f"a10g-{number % scale.many_nodes:05d}", number)
        for number in range(scale.node_events)
    ]
    before, started = cpu_seconds(pid), time.monotonic()
    send_all(site.admin, requests, parallel=8)
    settle(pid, still=2.0)
    return {
        "kind": kind,
        "events": len(requests),
        "seconds": round(time.monotonic() - started, 3),
        "cpu": round(cpu_seconds(pid) - before, 3),
        "rest_cpu_per_second": round(rest, 4),
    }


def _change(kind: str, node: str, number: int) -> Request:
    if kind == "labels":
        patch: Json = {"metadata": {"labels": {"example.com/churn": str(number)}}}
        return Request("PATCH", f"/api/v1/nodes/{node}", json.dumps(patch), _STRATEGIC)
    beat = f"2026-01-02T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z"
    patch = {"status": {"conditions": conditions(beat)}}
    return Request("PATCH", f"/api/v1/nodes/{node}/status", json.dumps(patch), _STRATEGIC)
