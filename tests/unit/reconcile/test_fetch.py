"""A model on a volume: claim and Job first, the StatefulSet once it is there."""

import copy
from typing import Any

import pytest

from llama_operator.api.enums import CacheKind
from llama_operator.api.plan import ModelCache, Plan
from llama_operator.planning.outcome import Planned
from llama_operator.reconcile.actions import Apply
from llama_operator.reconcile.decide import decide
from llama_operator.reconcile.desired import desire
from llama_operator.reconcile.observed import Child, child_of
from llama_operator.reconcile.revision import Revision, planning_hash, template_hash
from support.deployments import deployment, plan

CLAIM: dict[str, Any] = {"cache": {"claim": {}}}
FIRST = "org/first"
SECOND = "org/second"


def cached(repository: str = FIRST, model_bytes: int = 7 << 30) -> Plan:
    cache = ModelCache(kind=CacheKind.CLAIM, model_bytes=model_bytes)
    return plan().model_copy(update={"repository": repository, "cache": cache})


def revised(
    repository: str = FIRST,
    before: Revision | None = None,
    spec: dict[str, Any] | None = None,
    model_bytes: int = 7 << 30,
) -> Revision:
    """The revision of a spec; another repository stands for another model."""
    wanted = {**CLAIM, "model": repository.rpartition("/")[2], **(spec or {})}
    chosen = cached(repository, model_bytes) if wanted["cache"] else plan()
    planned = Planned(chosen, fits_now=True)
    found = desire(deployment(wanted), before, lambda *_: planned).revision
    assert found is not None
    return found


class Cluster:
    """Children as an API server would keep them."""

    def __init__(self) -> None:
        self._bodies: dict[tuple[str, str], dict[str, Any]] = {}
        self._version = 0

    def children(self) -> list[Child]:
        found = [child_of(body["kind"], body) for body in self._bodies.values()]
        return [child for child in found if child is not None]

    def run(self, revision: Revision, **spec: Any) -> list[tuple[str, str, str]]:
        """One pass: what it does, done."""
        body = deployment({**CLAIM, **spec})
        actions = decide(body, revision, self.children(), {}).actions
        for action in actions:
            self._version += 1
            key = (action.kind, action.name)
            if type(action).__name__ == "Delete":
                del self._bodies[key]
                continue
            assert not isinstance(action, type(None))
            new = copy.deepcopy(action.body)  # type: ignore[union-attr]
            old = self._bodies.get(key, {})
            new["metadata"] |= {"uid": f"u-{key}", "resourceVersion": str(self._version)}
            self._bodies[key] = {**new, **({"status": old["status"]} if "status" in old else {})}
        return [(type(action).__name__, action.kind, action.name) for action in actions]

    def end(self, revision: Revision, condition: str) -> None:
        """The Job of a revision ends."""
        body = revision.objects.fetch_job
        assert body is not None
        conditions = [{"type": condition, "status": "True", "message": "it ended"}]
        self._bodies["Job", body["metadata"]["name"]]["status"] = {"conditions": conditions}

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return self._bodies[kind, name]

    def remove(self, kind: str, name: str) -> None:
        del self._bodies[kind, name]


def job_name(revision: Revision) -> str:
    assert revision.objects.fetch_job is not None
    return str(revision.objects.fetch_job["metadata"]["name"])


def serving(revision: Revision) -> Cluster:
    """The children of a revision that was fetched and is served."""
    cluster = Cluster()
    cluster.run(revision)
    cluster.end(revision, "Complete")
    cluster.run(revision)
    assert cluster.run(revision) == []
    return cluster


def test_claim_and_job_come_first_and_the_stateful_set_when_the_model_is_there() -> None:
    revision, cluster = revised(), Cluster()
    assert cluster.run(revision) == [
        ("Create", "Service", "llama-pods"),
        ("Create", "Service", "llama"),
        ("Create", "ControllerRevision", revision.name),
        ("Create", "PersistentVolumeClaim", "llama-models"),
        ("Create", "Job", job_name(revision)),
    ]
    assert cluster.run(revision) == []
    cluster.end(revision, "Complete")
    assert cluster.run(revision) == [("Create", "StatefulSet", "llama-a")]
    assert cluster.run(revision) == []


def test_a_claim_of_somebody_else_is_filled_and_never_written() -> None:
    spec = {"cache": {"claim": {"name": "shared"}}}
    revision, cluster = revised(spec=spec), Cluster()
    kinds = [kind for _, kind, _ in cluster.run(revision, **spec)]
    assert kinds == ["Service", "Service", "ControllerRevision", "Job"]
    [volume, _] = cluster.get("Job", job_name(revision))["spec"]["template"]["spec"]["volumes"]
    assert volume["persistentVolumeClaim"] == {"claimName": "shared"}


def test_without_a_cache_nothing_is_recorded_of_one() -> None:
    revision = revised(spec={"cache": None})
    assert set(revision.data()["objects"]) == {
        "statefulSet", "service", "headlessService", "podDisruptionBudget",
    }  # fmt: skip


def test_another_model_is_fetched_while_the_old_one_serves() -> None:
    old = revised()
    cluster = serving(old)
    new = revised(SECOND, old)
    template = cluster.get("StatefulSet", "llama-a")["spec"]["template"]
    assert cluster.run(new) == [
        ("Create", "ControllerRevision", new.name),
        ("Apply", "PersistentVolumeClaim", "llama-models"),
        ("Create", "Job", job_name(new)),
    ]
    assert cluster.run(new) == []
    assert cluster.get("StatefulSet", "llama-a")["spec"]["template"] == template
    cluster.end(new, "Complete")
    assert cluster.run(new) == [("Apply", "StatefulSet", "llama-a")]
    assert cluster.get("StatefulSet", "llama-a")["spec"]["template"] != template
    assert cluster.run(new) == []


def test_what_runs_is_scaled_and_repaired_while_another_model_is_fetched() -> None:
    old = revised()
    cluster = serving(old)
    new = revised(SECOND, old)
    cluster.run(new)
    image = cluster.get("StatefulSet", "llama-a")["spec"]["template"]["spec"]["containers"][0]
    image["image"] = "else:1"
    assert ("Apply", "StatefulSet", "llama-a") in cluster.run(new, replicas=3)
    live = cluster.get("StatefulSet", "llama-a")["spec"]
    assert live["replicas"] == 3
    assert live["template"]["spec"]["containers"][0]["args"][0] == FIRST
    assert live["template"]["spec"]["containers"][0]["image"] == "vllm/vllm-openai:v0.33.0"


def test_a_stateful_set_that_somebody_deletes_meanwhile_comes_back_as_it_was() -> None:
    old = revised()
    cluster = serving(old)
    new = revised(SECOND, old)
    cluster.run(new)
    cluster.remove("StatefulSet", "llama-a")
    assert cluster.run(new) == [("Create", "StatefulSet", "llama-a")]
    container = cluster.get("StatefulSet", "llama-a")["spec"]["template"]["spec"]["containers"][0]
    assert container["args"][0] == FIRST


def test_the_claim_holds_both_models_of_an_edit_and_never_shrinks() -> None:
    old = revised()
    cluster = serving(old)
    new = revised(SECOND, old, model_bytes=3 << 30)

    def storage() -> str:
        claim = cluster.get("PersistentVolumeClaim", "llama-models")
        return str(claim["spec"]["resources"]["requests"]["storage"])

    assert storage() == "7Gi"
    cluster.run(new)
    assert storage() == "10Gi"  # 7 GiB that serve, 3 GiB that come
    cluster.end(new, "Complete")
    cluster.run(new)
    cluster.run(new)
    assert storage() == "10Gi"


def test_a_claim_grows_no_more_once_the_model_is_there() -> None:
    old = revised()
    cluster = serving(old)
    new = revised(SECOND, old, model_bytes=9 << 30)
    cluster.run(new)
    claim = cluster.get("PersistentVolumeClaim", "llama-models")
    assert claim["spec"]["resources"]["requests"]["storage"] == "16Gi"
    claim["spec"]["resources"]["requests"]["storage"] = "7Gi"  # its class lets none grow
    cluster.end(new, "Complete")
    assert cluster.run(new) == [("Apply", "StatefulSet", "llama-a")]


def test_an_edit_of_pods_alone_fetches_nothing() -> None:
    old = revised()
    cluster = serving(old)
    new = revised(before=old, spec={"engine": {"extraArgs": ["--seed=7"]}})
    assert job_name(new) == job_name(old)
    assert cluster.run(new) == [
        ("Create", "ControllerRevision", new.name),
        ("Apply", "StatefulSet", "llama-a"),
    ]


@pytest.mark.parametrize("condition", ["Running", "Failed"])
def test_a_download_that_an_edit_left_is_removed(condition: str) -> None:
    old, cluster = revised(), Cluster()
    cluster.run(old)
    cluster.end(old, condition)
    new = revised(SECOND, old)
    assert ("Delete", "Job", job_name(old)) in cluster.run(new)
    assert ("Create", "StatefulSet", "llama-a") not in cluster.run(new)


def test_a_download_that_failed_is_tried_again_for_another_revision_alone() -> None:
    old, cluster = revised(), Cluster()
    cluster.run(old)
    cluster.end(old, "Failed")
    assert cluster.run(old) == []
    new = revised(before=old, spec={"tokenSecretRef": {"name": "hf-token"}})
    assert job_name(new) == job_name(old)
    assert ("Delete", "Job", job_name(old)) in cluster.run(new)
    assert cluster.run(new) == [("Create", "Job", job_name(new))]


def test_a_claim_that_is_gone_is_made_and_filled_again() -> None:
    revision = revised()
    cluster = serving(revision)
    cluster.remove("PersistentVolumeClaim", "llama-models")
    assert cluster.run(revision) == [
        ("Create", "PersistentVolumeClaim", "llama-models"),
        ("Delete", "Job", job_name(revision)),
    ]
    assert cluster.run(revision) == [("Create", "Job", job_name(revision))]
    assert cluster.run(revision) == []


def test_what_runs_keeps_its_record_however_many_edits_come_while_a_model_is_fetched() -> None:
    first = revised()
    cluster = serving(first)
    latest = first
    for number in range(7):
        latest = revised(SECOND, latest, {"context": {"maxModelLen": 1024 + number}})
        cluster.run(latest)
        cluster.run(latest)
    records = [child.name for child in cluster.children() if child.kind == "ControllerRevision"]
    assert first.name in records
    assert len(records) == 5
    assert ("Apply", "StatefulSet", "llama-a") in cluster.run(latest, replicas=2)


def test_jobs_go_with_the_last_record_that_names_them() -> None:
    first = revised()
    cluster = serving(first)
    latest = revised(SECOND, first)
    cluster.run(latest)
    cluster.end(latest, "Complete")
    cluster.run(latest)
    done = []
    for number in range(5):
        latest = revised(SECOND, latest, {"context": {"maxModelLen": 1024 + number}})
        done += cluster.run(latest)
        done += cluster.run(latest)
    assert done.count(("Delete", "ControllerRevision", first.name)) == 1
    assert done.count(("Delete", "Job", job_name(first))) == 1
    assert [child.name for child in cluster.children() if child.kind == "Job"] == [job_name(latest)]


def test_the_claim_of_another_deployment_is_told_and_left_alone() -> None:
    revision, cluster = revised(), Cluster()
    cluster.run(revision)
    claim = cluster.get("PersistentVolumeClaim", "llama-models")
    claim["metadata"]["ownerReferences"] = []
    decision = decide(deployment(CLAIM), revision, cluster.children(), {})
    assert decision.conflicts == ("PersistentVolumeClaim/llama-models",)
    assert not any(action.kind == "PersistentVolumeClaim" for action in decision.actions)


def test_a_growing_claim_is_bound_to_its_uid() -> None:
    old = revised()
    cluster = serving(old)
    actions = decide(deployment(CLAIM), revised(SECOND, old), cluster.children(), {}).actions
    [grown] = [action for action in actions if isinstance(action, Apply)]
    assert grown.body["metadata"]["uid"] == grown.child.uid


@pytest.mark.parametrize(
    ("cache", "planned_anew", "other_pods"),
    [
        pytest.param(None, True, True, id="none"),
        pytest.param({"claim": {}}, False, False, id="the same"),
        pytest.param({"claim": {"name": "a"}}, False, True, id="another claim"),
        pytest.param({"claim": {"storageClassName": "a"}}, False, True, id="another class"),
        pytest.param({"image": "a/b:c"}, True, True, id="an image"),
        pytest.param({"hostPath": "/mnt/models"}, True, True, id="a folder"),
    ],
)
def test_which_volume_it_is_changes_pods_and_whether_there_is_one_the_plan(
    cache: dict[str, Any] | None, planned_anew: bool, other_pods: bool
) -> None:
    one, other = deployment(CLAIM), deployment({"cache": cache})
    assert (planning_hash(one) != planning_hash(other)) == planned_anew
    assert (template_hash(one) != template_hash(other)) == other_pods
