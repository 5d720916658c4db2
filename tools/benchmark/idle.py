"""One deployment at a time on an idle system: creation, repair, take-over."""

import time
from collections.abc import Callable
from typing import Any, Final

from benchmark.bodies import gpu_nodes
from benchmark.marks import Mark, added, has_status, last_at, serves
from benchmark.names import BARE, OPERATED
from benchmark.processes import settle
from benchmark.scale import Scale
from benchmark.site import Site, collection, resource_of
from controlplane import wait_until
from workstation import OperatorProcess

Json = dict[str, Any]

_NODES: Final = 24
_COLLECTED_SECONDS: Final = 120.0
"""The garbage collector learns of a new CRD up to 40 s later."""
_KINDS: Final = {
    "statefulsets": "/apis/apps/v1",
    "controllerrevisions": "/apis/apps/v1",
    "services": "/api/v1",
    "poddisruptionbudgets": "/apis/policy/v1",
}


def idle_site() -> Site:
    """A small control plane whose watcher looks at every kind of child."""
    return Site(gpu_nodes(_NODES), children=tuple(_KINDS))


def single(site: Site, scale: Scale) -> Json:
    """Create one deployment after another, of the operator and of the bare client in turn."""
    operator = site.operator()
    site.bare_client()
    samples: dict[str, list[Json]] = {OPERATED: [], BARE: []}
    for number in range(scale.warm_ups + scale.singles):
        for side, taken in samples.items():
            taken.append(_one(site, side, f"single-{number:03d}"))
            settle(operator.process.pid, 10, still=0.3)
    return {
        side: {"warm_up": taken[: scale.warm_ups], "samples": taken[scale.warm_ups :]}
        for side, taken in samples.items()
    }


def _one(site: Site, side: str, name: str) -> Json:
    """Create one deployment, wait until it is done, and remove every trace of it."""
    [answer] = site.create(side, [name])
    children = [
        site.marks.wait(resource, side, child, added)
        for resource, child in (
            ("statefulsets", f"{name}-a"),
            ("services", name),
            ("services", f"{name}-pods"),
        )
    ]
    status = site.marks.wait(resource_of(side), side, name, has_status)
    seen = last_at(children) or 0.0
    result = {
        "create_ms": _ms(answer.answered - answer.sent),
        "children_ms": _ms(seen - answer.sent),
        "status_ms": _ms(status.at - answer.sent),
    }
    if side == BARE:
        wait_until("the bare client tells of it", lambda: name in site.applied)
        told = site.applied[name]
        result["applied_ms"] = _ms(told["finished"] - told["started"])
    else:
        ready = site.marks.wait(resource_of(side), side, name, serves)
        result["ready_ms"] = _ms(ready.at - answer.sent)
    site.delete(side, [name])
    for path in ("/apis/apps/v1/%s/statefulsets", "/api/v1/%s/pods", "/api/v1/%s/services"):
        where = path % f"namespaces/{side}"
        wait_until(
            f"{where} are gone",
            lambda: not site.plane.api.get(where)["items"],  # noqa: B023 - called at once
            timeout=_COLLECTED_SECONDS,
        )
    return result


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)


def _serving(site: Site, name: str, **spec: object) -> None:
    site.create(OPERATED, [name], **spec)
    site.marks.wait(resource_of(OPERATED), OPERATED, name, serves)
    _wait_settled(site, name)


def _wait_settled(site: Site, name: str) -> None:
    """Wait until a deployment is Ready and nothing else."""
    path = f"{collection(OPERATED)}/{name}"
    wait_until(
        f"{name} is settled",
        lambda: (
            [
                (one["type"], one["status"])
                for one in site.plane.api.get(path)["status"]["conditions"]
            ]
            == [("Ready", "True")]
        ),
        timeout=60,
    )


def drift(site: Site, scale: Scale) -> Json:
    """Delete children of each kind and wait until they are there again."""
    operator = site.operator()
    _serving(site, "drifting", replicas=2)
    targets = _children_of(site, "drifting")
    result: Json = {kind: [] for kind in targets}
    for _ in range(scale.drifts):
        for kind, (resource, name) in targets.items():
            result[kind].append(_ms(_recreated(site, resource, name)))
            _wait_settled(site, "drifting")
            settle(operator.process.pid, 10, still=0.5)
    return result


def _children_of(site: Site, name: str) -> dict[str, tuple[str, str]]:
    records = site.plane.api.get(f"/apis/apps/v1/namespaces/{OPERATED}/controllerrevisions")
    [record] = [
        item["metadata"]["name"]
        for item in records["items"]
        if item["metadata"]["name"].startswith(f"{name}-plan-")
    ]
    return {
        "StatefulSet": ("statefulsets", f"{name}-a"),
        "Service": ("services", name),
        "headless Service": ("services", f"{name}-pods"),
        "PodDisruptionBudget": ("poddisruptionbudgets", name),
        "ControllerRevision": ("controllerrevisions", record),
    }


def _recreated(site: Site, resource: str, name: str) -> float:
    """Delete a child; returns the seconds until another of its name is seen."""
    path = f"{_KINDS[resource]}/namespaces/{OPERATED}/{resource}/{name}"
    uid = site.plane.api.get(path)["metadata"]["uid"]
    deleted = time.monotonic()
    site.plane.api.delete(path)
    back = site.marks.wait(resource, OPERATED, name, _after(deleted, uid))
    return back.at - deleted


def _after(time_before: float, uid: str) -> Callable[[Mark], bool]:
    def wanted(mark: Mark) -> bool:
        return mark.event == "ADDED" and mark.at > time_before and mark.uid != uid

    return wanted


def takeover(site: Site, scale: Scale) -> Json:
    """End the leader, by force and politely, and wait for the first deed of the standby."""
    leader = site.operator("operator-0")
    number = 1
    standby = _standby(site, number)
    _serving(site, "watched-over")
    result: Json = {}
    for how in ("SIGKILL", "SIGTERM"):
        result[how] = []
        for _ in range(scale.takeovers):
            result[how].append(round(_taken_over(site, leader, how), 3))
            standby.wait_ready(60)
            _wait_settled(site, "watched-over")
            number += 1
            leader, standby = standby, _standby(site, number)
    return result


def _standby(site: Site, number: int) -> OperatorProcess:
    made = site.operator(f"operator-{number}", wait=False)
    wait_until("the standby is ready", lambda: made.get("/readyz")[0] == 200, timeout=60)
    return made


def _taken_over(site: Site, leader: OperatorProcess, how: str) -> float:
    """Seconds from the signal until a Service that is deleted after it is there again."""
    path = f"/api/v1/namespaces/{OPERATED}/services/watched-over"
    uid = site.plane.api.get(path)["metadata"]["uid"]
    signalled = time.monotonic()
    if how == "SIGKILL":
        leader.kill()
    else:
        leader.process.terminate()
    site.plane.api.delete(path)
    back = site.marks.wait("services", OPERATED, "watched-over", _after(signalled, uid))
    return back.at - signalled
