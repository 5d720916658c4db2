"""One judge for every fault: once it is over, is all as if nothing had been?

1. The children equal a fresh render: applying that render, as a dry run, changes nothing.
2. There is no orphan and no duplicate, and the pods are as many as asked for.
3. `observedGeneration` equals the generation, and the conditions tell the truth.
4. No pod and no child that had no reason to change has another uid.
5. The operator writes nothing but its Lease, and reads nothing.
6. No traceback is logged, and its memory is bounded.
"""

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.world import CHILD_PATHS, World
from controlplane import ApiError, wait_until
from faults.fresh import Machines, fresh_children, machines
from llama_operator.api.reasons import REASONS
from llama_operator.cluster import resources
from llama_operator.cluster.client import encode
from llama_operator.reconcile.revision import digest
from workstation import OperatorProcess
from workstation.install import OPERATOR_USER

Json = dict[str, Any]

QUIET_SECONDS = 3.0
RESTORE_SECONDS = 6.0
"""Three times the two seconds within which a child that was deleted is there again."""
MEMORY_LIMIT_MIB = 200
_SERVER_FIELDS = ("managedFields", "resourceVersion", "generation", "creationTimestamp")
_KEPT_KINDS = frozenset({"Job", "PersistentVolumeClaim"})
_SETTLED = frozenset({"Serving", "ScaledToZero", "Suspended"})
_UNHELPED = frozenset(reason for reason, facts in REASONS.items() if facts.stalled)


@dataclass(frozen=True)
class Picture:
    """Uids by plural and name, at one moment."""

    children: Mapping[str, Mapping[str, str]]

    def of(self, plural: str) -> Mapping[str, str]:
        """Uids of one kind of object by name."""
        return self.children[plural]


@dataclass(frozen=True)
class Seen:
    """A namespace at one moment: deployments by name, their pods, and its objects by plural."""

    llamas: Mapping[str, Json]
    pods: Mapping[str, list[Json]]
    owned: Mapping[str, list[Json]]


class Oracle:
    """Judges one namespace."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._proven: set[tuple[str, str, str]] = set()

    def picture(self) -> Picture:
        """Uids as they are now, to be compared later."""
        return Picture(self.world.children())

    def check(
        self,
        *operators: OperatorProcess,
        kept: Picture | None = None,
        reasons: Mapping[str, str] | None = None,
        last_good: Mapping[str, Json] | None = None,
        keeps_plan: bool | Collection[str] = False,
        within: float = 60.0,
        quiet_seconds: float = QUIET_SECONDS,
    ) -> None:
        """Wait until the namespace is settled, and assert every rule.

        Args:
            operators: the running ones; their log and memory are looked at.
            kept: uids that must be the same now, but for those of ControllerRevisions.
            reasons: reason of Ready by deployment, where it is another than Serving.
            last_good: by deployment whose present spec is refused, the spec that goes on.
            keeps_plan: compare with a render that had today's plan as its first candidate, for
                all or for these.
            within: seconds until all must be settled.
            quiet_seconds: how long the operator must then be silent.
        """
        expected = {**dict.fromkeys(self.deployments(), "Serving"), **(reasons or {})}
        last_good = last_good or {}
        self.wait_truths(expected, within, stalled=last_good)

        def assert_objects() -> None:
            seen, cluster = self.see(CHILD_PATHS), machines(self.world)
            for name in expected:
                keeps = keeps_plan if isinstance(keeps_plan, bool) else name in keeps_plan
                self._assert_children(seen, cluster, name, keeps, last_good.get(name))
            self.assert_no_orphans()

        # A child may be missing for a moment before any status could tell of it.
        deadline = time.monotonic() + min(within, RESTORE_SECONDS)
        while True:
            try:
                assert_objects()
                break
            except AssertionError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.1)
        if kept is not None:
            self.assert_kept(kept)
        self.assert_quiet(quiet_seconds, within=within)
        for operator in operators:
            assert_sound(operator)

    def deployments(self) -> dict[str, Json]:
        """All deployments of the namespace by name."""
        path = (
            f"/apis/llama-operator.io/v1alpha1/namespaces/{self.world.namespace}/llamadeployments"
        )
        return {item["metadata"]["name"]: item for item in self.world.api.get(path)["items"]}

    def see(self, plurals: Iterable[str] = ("pods",)) -> Seen:
        """Look at the whole namespace, a list for each kind of object."""
        llamas = self.deployments()
        owned = {plural: self.world.owned(plural) for plural in plurals}
        pods: dict[str, list[Json]] = {name: [] for name in llamas}
        for pod in owned["pods"]:
            if pod["metadata"]["labels"].get("app.kubernetes.io/name") == "llama-fetch":
                continue  # it downloads a model
            instance = pod["metadata"]["labels"]["app.kubernetes.io/instance"]
            pods.setdefault(instance, []).append(pod)
        return Seen(llamas, pods, owned)

    def wait_truth(
        self, name: str, reason: str, within: float = 60.0, *, stalled: bool = False
    ) -> None:
        """Wait until the status tells of the present spec, of the pods, and nothing besides."""
        self.wait_truths({name: reason}, within, stalled=[name] if stalled else ())

    def wait_truths(
        self, reasons: Mapping[str, str], within: float = 60.0, *, stalled: Collection[str] = ()
    ) -> None:
        """Wait until all statuses are true at the same time.

        Args:
            reasons: of Ready by deployment.
            within: seconds.
            stalled: those whose present spec is refused while another one goes on.
        """

        def lie() -> str:
            seen = self.see()
            for name, reason in reasons.items():
                if found := _lie(seen, name, reason, name in stalled):
                    return f"{name}: {found}"
            seen = self.see(("pods", "controllerrevisions"))
            told = [name for name, reason in reasons.items() if reason in _SETTLED]
            lies = (f"{name}: {found}" for name in told if (found := _other_plan(seen, name)))
            return next(lies, "")

        try:
            wait_until("all statuses are true", lambda: not lie(), timeout=within)
        except TimeoutError:
            raise AssertionError(lie() or "true only now") from None

    def assert_children(
        self, name: str, keeps_plan: bool = False, spec: Json | None = None
    ) -> None:
        """The children of one deployment are those of a fresh render, field by field.

        With `spec` it is that one which goes on, instead of the present one.
        """
        seen, cluster = self.see(CHILD_PATHS), machines(self.world)
        self._assert_children(seen, cluster, name, keeps_plan, spec)

    def _assert_children(
        self, seen: Seen, cluster: Machines, name: str, keeps_plan: bool, spec: Json | None
    ) -> None:
        llama = seen.llamas[name]
        llama = llama if spec is None else {**llama, "spec": spec}
        uid = llama["metadata"]["uid"]
        wanted = fresh_children(self.world, llama, keeps_plan, cluster)
        found = {
            (_kind(plural), item["metadata"]["name"]): item
            for plural, items in seen.owned.items()
            if plural != "pods"
            for item in items
            if uid in _owners(item)
        }
        missing = sorted(set(wanted) - set(found))
        assert not missing, f"{name}: {missing} is missing; there are {sorted(found)}"
        revisions = {key for key in found if key[0] == "ControllerRevision"}
        assert len(revisions) <= 5, f"too many records: {sorted(revisions)}"
        # A claim stays as long as the deployment, and Jobs as long as their records.
        kept = {key for key in found if key[0] in _KEPT_KINDS}
        surplus = sorted(set(found) - revisions - kept - set(wanted))
        assert not surplus, f"{name}: {surplus} is more than a fresh render has"
        for key, body in wanted.items():
            live = found[key]
            if key[0] == "ControllerRevision":
                assert _said(body["data"]) == _said(live["data"])
                continue
            if key[0] in _KEPT_KINDS:
                continue  # a Job cannot be changed, and a claim has grown
            proof = (live["metadata"]["uid"], live["metadata"]["resourceVersion"], digest(body))
            if proof in self._proven:
                continue
            try:
                applied = self._dry_run(key, body, live["metadata"]["uid"])
            except ApiError as error:
                msg = f"{key} is not as a fresh render makes it, which is refused: {error}"
                raise AssertionError(msg) from error
            assert _stored(applied) == _stored(live), f"{key} is not as a fresh render makes it"
            self._proven.add(proof)

    def _dry_run(self, key: tuple[str, str], body: Json, uid: str) -> Json:
        kind, name = key
        bound = {**body, "metadata": {**body["metadata"], "uid": uid}}
        resource = resources.BY_KIND[kind]
        path = resource.path(self.world.namespace, name)
        result: Json = self.world.api.request(
            "PATCH",
            f"{path}?fieldManager=llama-operator&force=true&dryRun=All",
            encode(bound),
            "application/apply-patch+yaml",
        )
        return result

    def assert_no_orphans(self) -> None:
        """Whatever carries our labels belongs to a deployment that is, or to what it made."""
        owners = {item["metadata"]["uid"] for item in self.deployments().values()}
        makers = {
            item["metadata"]["uid"]
            for plural in ("statefulsets", "jobs")
            for item in self.world.owned(plural)
        }
        for plural in CHILD_PATHS:
            for item in self.world.owned(plural):
                known = makers if plural == "pods" else owners
                orphaned = len(_owners(item)) != 1 or not _owners(item) <= known
                assert not orphaned, f"{plural}/{item['metadata']['name']} is an orphan"

    def assert_kept(self, kept: Picture, plurals: Iterable[str] | None = None) -> None:
        """Objects that were there are there, with the same uid."""
        now = self.world.children()
        for plural in plurals or (p for p in kept.children if p != "controllerrevisions"):
            assert now[plural] == kept.of(plural), f"{plural} are not the same ones"

    def assert_quiet(self, seconds: float = QUIET_SECONDS, within: float = 0.0) -> None:
        """For so long the operator asks for nothing but its Lease; that begins in time."""
        deadline = time.monotonic() + within
        while noise := self._noise(seconds):
            assert time.monotonic() < deadline, noise

    def _noise(self, seconds: float) -> list[str]:
        position = self.world.plane.audit_position()
        time.sleep(seconds)  # the property is about a span of time
        return [
            f"{event.verb} {event.resource}/{event.subresource} {event.namespace}/{event.name}"
            for event in self.world.plane.audit_events(OPERATOR_USER, position)
            if event.resource != "leases"
            and event.verb != "watch"
            # The log is written behind the answers, so its first lines may be older.
            and event.time.timestamp() > time.time() - seconds
        ]


def _lie(seen: Seen, name: str, reason: str, stalled: bool) -> str:
    """What the status of a deployment says wrongly; empty when it is true."""
    if name not in seen.llamas:
        return "it is gone"
    llama = seen.llamas[name]
    status, spec = llama.get("status") or {}, llama["spec"]
    conditions = {entry["type"]: entry for entry in status.get("conditions") or ()}
    generation = llama["metadata"]["generation"]
    ready = [pod for pod in seen.pods[name] if _is_ready(pod)]
    if status.get("observedGeneration") != generation:
        return f"observedGeneration is not {generation}: {status}"
    if any(entry["observedGeneration"] != generation for entry in conditions.values()):
        return f"a condition is not of generation {generation}: {conditions}"
    if conditions.get("Ready", {}).get("reason") != reason:
        return f"Ready has not the reason {reason}: {conditions}"
    if (conditions["Ready"]["status"] == "True") != (reason == "Serving"):
        return f"Ready has the wrong status: {conditions}"
    if status.get("readyReplicas", 0) != len(ready):
        return f"readyReplicas is not {len(ready)}: {status}"
    if reason in _UNHELPED:
        return "" if "Stalled" in conditions else f"Stalled is not told: {conditions}"
    if reason not in _SETTLED:
        return ""
    if set(conditions) != ({"Ready", "Stalled"} if stalled else {"Ready"}):
        return f"more or less than what is true is told: {conditions}"
    replicas = spec["replicas"] if reason == "Serving" else 0
    if not (status["replicas"] == replicas == len(ready) == len(seen.pods[name])):
        return f"{replicas} replicas are wanted, {len(ready)} ready: {status}"
    return ""


def _other_plan(seen: Seen, name: str) -> str:
    """Whether the status tells another plan than the newest record; empty when it does not."""
    llama = seen.llamas[name]
    uid, status = llama["metadata"]["uid"], llama.get("status") or {}
    records = [item for item in seen.owned["controllerrevisions"] if uid in _owners(item)]
    newest = max(records, key=lambda record: int(record["revision"]), default=None)
    if newest is None or status.get("plan") != newest["data"]["plan"]:
        return f"the plan is not the one that runs: {status.get('plan')}"
    return ""


def assert_sound(operator: OperatorProcess, memory_limit_mib: int = MEMORY_LIMIT_MIB) -> None:
    """The process runs, logged no traceback, and its memory is bounded."""
    assert operator.process.poll() is None, operator.process.returncode
    broken = [line for line in operator.lines() if "traceback" in line]
    assert not broken, broken[0]["traceback"]
    assert memory_mib(operator) < memory_limit_mib


def memory_mib(operator: OperatorProcess) -> float:
    """Resident memory of the process."""
    status = Path(f"/proc/{operator.process.pid}/status").read_text(encoding="ascii")
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


def _owners(item: Json) -> set[str]:
    return {owner["uid"] for owner in item["metadata"].get("ownerReferences", ())}


def _kind(plural: str) -> str:
    [kind] = [kind for kind, resource in resources.BY_KIND.items() if resource.plural == plural]
    return kind


def _is_ready(pod: Json) -> bool:
    return pod["metadata"].get("deletionTimestamp") is None and any(
        entry["type"] == "Ready" and entry["status"] == "True"
        for entry in (pod.get("status") or {}).get("conditions") or ()
    )


def _stored(item: Json) -> Json:
    metadata = {key: value for key, value in item["metadata"].items() if key not in _SERVER_FIELDS}
    return {
        **{key: value for key, value in item.items() if key not in ("apiVersion", "kind")},
        "metadata": metadata,
    }


def _said(data: Json) -> Json:
    """A record without why its plan was chosen, which tells of the cluster as it was then."""
    plan = {k: v for k, v in data["plan"].items() if k not in ("reasons", "summary")}
    return {**data, "plan": plan}
