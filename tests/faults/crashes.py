"""Paths of a deployment's life that an operator may be killed on, and how they must end."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cluster.world import CHILD_PATHS, GROUP_PATH, World, gpu_node
from controlplane import GpuNode
from faults.oracle import Oracle
from workstation import OperatorProcess

Json = dict[str, Any]

A100 = "NVIDIA-A100-SXM4-80GB"
SMALL: Json = {"size": "8b", "format": "awq"}
SHORT: Json = {**SMALL, "context": {"maxModelLen": 8192}}
LONG: Json = {**SMALL, "context": {"maxModelLen": 16384}}
STATEFULSETS_USER = "system:serviceaccount:kube-system:statefulset-controller"
CLAIM: Json = {"claim": {}}
CACHED: Json = {**SMALL, "cache": CLAIM}
IMPOSSIBLE: Json = {"size": "405b", "format": "pytorch"}
"""810 GiB of weights; the nodes of these tests have eight GPUs of 80 GiB."""


def farm(world: World, gpus: int) -> None:
    """Nodes with at least so many free GPUs."""
    world.add_nodes(*(gpu_node(f"a100-{number}", A100, 8) for number in range(-(-gpus // 8))))
    world.add_nodes(GpuNode("cpu-0"))


def create(world: World, name: str, spec: Json) -> None:
    world.api.create(
        _path(world),
        {
            "apiVersion": "llama-operator.io/v1alpha1",
            "kind": "LlamaDeployment",
            "metadata": {"name": name},
            "spec": spec,
        },
    )


def patch(world: World, name: str, body: Json) -> None:
    world.api.request("PATCH", f"{_path(world)}/{name}", body, "application/merge-patch+json")


def _path(world: World) -> str:
    return f"{GROUP_PATH}/namespaces/{world.namespace}/llamadeployments"


def _edit(spec: Json) -> Callable[[World, str], None]:
    return lambda world, name: patch(world, name, {"spec": spec})


def _delete(world: World, name: str) -> None:
    world.api.delete(f"{_path(world)}/{name}")


def _merge(world: World, name: str, spec: Json) -> None:
    patch(world, name, {"spec": spec})


def _fetch(world: World, name: str, write: Callable[[World, str, Json], None], spec: Json) -> None:
    """Ask for a model on a claim, where there is a volume for it."""
    world.add_volumes()
    write(world, name, spec)


def _create_again(world: World, name: str) -> None:
    _delete(world, name)
    create(world, name, SMALL)


@dataclass(frozen=True)
class Path:
    """One thing that a user does, and what it must have led to.

    Attributes:
        name: names the deployments, so without dashes.
        before: specs that ran one after the other before; empty: there was nothing.
        act: what the user does.
        writes: writes that it takes at least.
        generation: how often the StatefulSet's spec was written in all.
        templates: how many pod templates it ever had.
        ended: how many pods the StatefulSet ended in all, to replace them or for good. (Those that
            were created say less: KWOK removes a pod by name, under load its successor too.)
        reason: reason of Ready at the end; empty: there is no object any more.
        refused: whether the last good spec goes on.
    """

    name: str
    act: Callable[[World, str], None]
    before: Sequence[Json] = ()
    writes: int = 0
    generation: int = 1
    templates: int = 1
    ended: int = 0
    reason: str = "Serving"
    refused: bool = False

    @property
    def beyond(self) -> int:
        """More writes than it takes, those of statuses in between included."""
        return max(9, self.writes + 6)


PATHS = {
    path.name: path
    for path in (
        # Record, two Services, StatefulSet, status, event.
        Path("create", lambda world, name: create(world, name, SMALL), writes=6),
        # Record, StatefulSet, status, event.
        Path("replan", _edit(LONG), [SHORT], 4, generation=2, templates=2, ended=1),
        Path(
            "retemplate",
            _edit({"engine": {"extraArgs": ["--seed=7"]}}),
            [SMALL],
            4,
            generation=2,
            templates=2,
            ended=1,
        ),
        # The first record is numbered anew.
        Path("goback", _edit(SHORT), [SHORT, LONG], 3, generation=3, templates=2, ended=2),
        # Record, two Services, claim, Job, StatefulSet, status, event.
        Path("fetch", lambda world, name: _fetch(world, name, create, CACHED), writes=8),
        # Record, claim, Job, StatefulSet, status, event.
        Path(
            "refetch",
            lambda world, name: _fetch(world, name, _merge, {"cache": {**CLAIM, "image": None}}),
            [{**SMALL, "cache": {"image": "example.com/llama:1"}}],
            6,
            generation=2,
            templates=2,
            ended=1,
        ),
        Path("scaleup", _edit({"replicas": 3}), [SMALL], 3, generation=2),
        Path("scaledown", _edit({"replicas": 1}), [{**SMALL, "replicas": 3}], 3, 2, ended=2),
        Path(
            "rollout",
            _edit(LONG),
            [{**SHORT, "replicas": 2}],
            4,
            generation=2,
            templates=2,
            ended=2,
        ),
        Path(
            "refusal",
            lambda world, name: create(world, name, IMPOSSIBLE),
            writes=1,
            generation=0,
            templates=0,
            reason="MultiNodeUnavailable",
        ),
        Path("refusededit", _edit(IMPOSSIBLE), [SMALL], 1, refused=True),
        # The garbage collector's work: there is no finalizer.
        Path("delete", _delete, [{**SMALL, "replicas": 2}], 0, 0, templates=0, reason=""),
        Path("createagain", _create_again, [SMALL], 6),
    )
}
"""By name."""


class Moves(NamedTuple):
    """What a StatefulSet went through: writes of its spec, pod templates, pods that it ended."""

    generation: int
    templates: int
    ended: int


@dataclass
class Case:
    """A deployment whose operators are killed after so many writes each."""

    path: Path
    kills: tuple[int, ...]
    name: str = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.path.name + "".join(f"x{number}" for number in self.kills)


def bring_up(world: World, cases: Sequence[Case]) -> None:
    """Run all specs that come before, each until all of them are settled."""
    for step in range(max(len(case.path.before) for case in cases)):
        due = [case for case in cases if step < len(case.path.before)]
        for case in due:
            spec = case.path.before[step]
            if step == 0:
                create(world, case.name, spec)
            else:
                patch(world, case.name, {"spec": spec})
        world.wait(
            "what comes before is settled",
            lambda due=due: all(
                _serves(found[case.name]) for found in [listed(world)] for case in due
            ),
            timeout=180,
        )


def listed(world: World) -> dict[str, Json]:
    """The deployments by name."""
    return {item["metadata"]["name"]: item for item in world.api.get(_path(world))["items"]}


def describe(world: World, name: str) -> str:
    """Where a deployment and its pods stand, for the message of a failure."""
    status = listed(world).get(name, {}).get("status")
    pods = [
        (pod["metadata"].get("deletionTimestamp"), pod["spec"].get("nodeName"), pod["status"])
        for pod in world.pods(name)
    ]
    return f"{name}: status {json.dumps(status)}, pods {json.dumps(pods)}"


def _serves(item: Json) -> bool:
    return _is_settled(item, "Serving", {"Ready"})


def _is_settled(item: Json, reason: str, kinds: set[str]) -> bool:
    status = item.get("status") or {}
    conditions = {entry["type"]: entry["reason"] for entry in status.get("conditions") or ()}
    return (
        status.get("observedGeneration") == item["metadata"]["generation"]
        and conditions.get("Ready") == reason
        and conditions.keys() == kinds
        and (reason != "Serving" or status.get("readyReplicas") == item["spec"]["replicas"])
    )


def is_settled(case: Case, found: Mapping[str, Json]) -> bool:
    """Whether the path has ended, by what the status says."""
    path, item = case.path, found.get(case.name)
    if item is None or not path.reason:
        return item is None and not path.reason
    stalled = path.refused or path.reason != "Serving"
    return _is_settled(item, path.reason, {"Ready", "Stalled"} if stalled else {"Ready"})


def owned_uids(world: World) -> dict[tuple[str, str], dict[tuple[str, str], str]]:
    """Uids of children besides pods, by name and uid of their deployment, by plural and name."""
    result: dict[tuple[str, str], dict[tuple[str, str], str]] = {}
    for plural in CHILD_PATHS.keys() - {"pods"}:
        for item in world.owned(plural):
            [owner] = item["metadata"]["ownerReferences"]
            children = result.setdefault((owner["name"], owner["uid"]), {})
            children[plural, item["metadata"]["name"]] = item["metadata"]["uid"]
    return result


def judge(
    world: World,
    oracle: Oracle,
    operator: OperatorProcess,
    cases: Sequence[Case],
    left: Mapping[tuple[str, str], Mapping[tuple[str, str], str]],
    since: int,
) -> None:
    """All ended as if nobody had been killed.

    Args:
        world: the namespace, with these cases alone.
        oracle: its judge.
        operator: the one that runs now.
        cases: what was done.
        left: children as the last of the killed ones left them, by `owned_uids`.
        since: position of the audit log before the first of them was made.
    """
    oracle.check(
        operator,
        reasons={case.name: case.path.reason for case in cases if case.path.reason},
        last_good={
            case.name: {**world.llama(case.name)["spec"], **case.path.before[-1]}
            for case in cases
            if case.path.refused
        },
        keeps_plan=True,
        within=120,
    )
    found = listed(world)
    assert found.keys() == {case.name for case in cases if case.path.reason}
    _judge_uids(found, owned_uids(world), left)
    sets = {item["metadata"]["name"]: item for item in world.owned("statefulsets")}
    templates = Counter(_owners(world))
    ended = Counter(
        event.name.rpartition("-a-")[0]
        for event in world.plane.audit_events(STATEFULSETS_USER, since)
        if (event.resource, event.verb, event.code) == ("pods", "delete", 200)
        and event.namespace == world.namespace
    )
    wanted = {
        case.name: Moves(case.path.generation, case.path.templates, case.path.ended)
        for case in cases
    }
    seen = {}
    for case in cases:
        live = sets.get(f"{case.name}-a", {"metadata": {"generation": 0, "uid": ""}})["metadata"]
        moves = Moves(live["generation"], templates[live["uid"]], ended[case.name])
        seen[case.name] = moves
    assert not {name: (seen[name], wanted[name]) for name in seen if seen[name] != wanted[name]}


def _judge_uids(
    found: Mapping[str, Json],
    now: Mapping[tuple[str, str], Mapping[tuple[str, str], str]],
    left: Mapping[tuple[str, str], Mapping[tuple[str, str], str]],
) -> None:
    for (name, owner), children in left.items():
        if name not in found or found[name]["metadata"]["uid"] != owner:
            continue
        for (plural, child), uid in children.items():
            budget_goes = plural == "poddisruptionbudgets" and found[name]["spec"]["replicas"] <= 1
            if not budget_goes:
                assert now[name, owner].get((plural, child)) == uid, f"{name}: {plural}/{child}"


def _owners(world: World) -> Iterator[str]:
    """The uid of its StatefulSet for each pod template that is or was."""
    path = f"/apis/apps/v1/namespaces/{world.namespace}/controllerrevisions"
    for item in world.api.get(path)["items"]:
        [owner] = item["metadata"]["ownerReferences"]
        if owner["kind"] == "StatefulSet":
            yield owner["uid"]
