"""The scenarios by name, and a run of those that are asked for."""

import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any, Final

from benchmark import machine
from benchmark.bodies import SPEC, gpu_nodes
from benchmark.crowd import Crowd
from benchmark.idle import drift, idle_site, single, takeover
from benchmark.many_nodes import many_nodes
from benchmark.names import BARE, CONTROLLERS, OPERATED, QUIET
from benchmark.scale import Scale
from benchmark.site import IDENTITY, Site
from benchmark.sizing import sizing

Json = dict[str, Any]
Tell = Callable[[str], None]

_CROWDED: Final = frozenset({"burst", "cost", "memory", "restart"})


def run(scale: Scale, names: Collection[str], tell: Tell, keep: Callable[[Json], None]) -> Json:
    """Run scenarios; returns everything that was measured.

    Args:
        scale: how much of everything.
        names: of scenarios.
        tell: told what begins.
        keep: given what there is so far, after each part, so that a late failure loses little.
    """
    started = time.monotonic()
    result: Json = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "scale": scale.__dict__,
        "spec": SPEC,
        "machine": machine.machine(),
        "versions": machine.versions(),
        "scenarios": {},
    }
    found: Json = result["scenarios"]
    if "sizing" in names:
        tell("sizing")
        found["sizing"] = sizing(scale)
        keep(result)
    for name, measure in (("single", single), ("drift", drift), ("takeover", takeover)):
        if name in names:
            tell(name)
            with idle_site() as site:
                _describe(result, site)
                found[name] = measure(site, scale)
            keep(result)
    if _CROWDED & set(names):
        _crowds(result, scale, names, tell, keep)
    if "memory" in names:
        tell(f"memory: {scale.many_nodes} nodes")
        with Site(kwok=False) as site:
            found["memory"] = {"many_nodes": many_nodes(site, scale), "crowds": found["memory"]}
    result["seconds"] = round(time.monotonic() - started)
    return result


def _crowds(
    result: Json, scale: Scale, names: Collection[str], tell: Tell, keep: Callable[[Json], None]
) -> None:
    """Bursts, and what follows on the control planes that hold the operator's."""
    found = result["scenarios"]
    found |= {name: [] for name in sorted(_CROWDED & set(names))}
    for number in range(scale.runs):
        for mode in (CONTROLLERS, QUIET):
            for side in (OPERATED, BARE):
                if "burst" not in names and (mode, side) != (CONTROLLERS, OPERATED):
                    continue
                tell(f"burst {number + 1} of {scale.runs}: {side}, {mode}")
                with Site(gpu_nodes(scale.nodes)) as site:
                    _describe(result, site)
                    crowd = Crowd(site, scale, side, mode)
                    burst = crowd.burst()
                    if "burst" in names:
                        found["burst"].append(burst)
                    if (mode, side) == (CONTROLLERS, OPERATED):
                        _afterwards(found, crowd, burst, names, tell)
                keep(result)


def _afterwards(found: Json, crowd: Crowd, burst: Json, names: Collection[str], tell: Tell) -> None:
    if "memory" in names:
        tell("  memory")
        found["memory"].append(crowd.memory())
    if "cost" in names:
        tell("  cost: at rest, edits")
        kept = ("objects", "cpu_until_children", "cpu_until_ready", "requests")
        cost = {key: burst[key] for key in (*kept, "requests_until_children")}
        found["cost"].append(cost | {"rest": crowd.at_rest(), "edits": crowd.edits()})
    if "restart" in names:
        tell("  restart")
        for identity in (IDENTITY, "operator-anew"):
            found["restart"].append(crowd.restart(identity))
    if "cost" in names:
        tell("  cost: deletions")
        found["cost"][-1]["deletions"] = crowd.deletions()


def _describe(result: Json, site: Site) -> None:
    result["versions"]["kubernetes"] = site.plane.api.get("/version")["gitVersion"]
    result["machine"]["etcd_file_system"] = machine.file_system(site.plane.directory)
