"""Children and status under the hands of others: kept, reverted, brought back, never stolen."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from cluster.world import World, gpu_node
from cluster.writes import operator_writes, told
from workstation import OperatorProcess

pytestmark = pytest.mark.cluster

A100 = "NVIDIA-A100-SXM4-80GB"
SMALL = {"size": "8b", "format": "awq"}


@pytest.fixture
def a100(world: World) -> World:
    world.add_nodes(gpu_node("a100-0", A100, 8))
    return world


def stop(holder: list[OperatorProcess]) -> None:
    assert holder[0].stop() == 0


def start(world: World, holder: list[OperatorProcess]) -> None:
    holder[0] = OperatorProcess(world.plane, holder[0].log.parent)
    holder[0].wait_ready()


def stateful_set(world: World, name: str) -> dict[str, Any]:
    found: dict[str, Any] = world.api.get(
        f"/apis/apps/v1/namespaces/{world.namespace}/statefulsets/{name}-a"
    )
    return found


def status_without_times(world: World, name: str) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(json.dumps(world.llama(name)["status"]))
    for condition in status.get("conditions", ()):
        del condition["lastTransitionTime"]
    return status


@pytest.fixture
def orphaning(a100: World) -> Iterator[World]:
    """Whatever is left behind without an owner is gone afterwards."""
    yield a100
    kinds = "statefulsets,services,controllerrevisions,poddisruptionbudgets"
    a100.kubectl("delete", "llama,pods," + kinds, "--all", "--force")


def test_children_that_were_orphaned_are_named_and_not_touched(
    orphaning: World, operator: OperatorProcess
) -> None:
    world = orphaning
    world.apply("small", {**SMALL, "context": {"maxModelLen": 4096}})
    world.wait_ready("small")
    world.apply("small", {**SMALL, "context": {"maxModelLen": 8192}})
    world.wait_ready("small")
    old = world.llama("small")["metadata"]["uid"]
    world.kubectl("delete", "llama", "small", "--cascade=orphan")

    def left() -> dict[tuple[str, str], tuple[str, dict[str, Any]]]:
        """Versions and metadata of what the first deployment made."""
        paths = {"statefulsets": "/apis/apps/v1", "controllerrevisions": "/apis/apps/v1",
                 "services": "/api/v1"}  # fmt: skip
        return {
            (plural, item["metadata"]["name"]): (item["metadata"]["uid"], item["metadata"])
            for plural, root in paths.items()
            for item in world.api.get(f"{root}/namespaces/{world.namespace}/{plural}")["items"]
            if not item["metadata"]["name"].startswith("small-a-")
        }

    world.wait("nobody owns them", lambda: old not in str(left()))
    before = left()
    assert len(before) == 5  # two revisions, two Services, the StatefulSet
    position = world.plane.audit_position()
    world.apply("small", {**SMALL, "context": {"maxModelLen": 8192}})
    message = world.wait_condition("small", "Stalled", "True", "NameConflict")
    assert world.conditions("small")["Ready"][:2] == ("False", "NameConflict")
    for word in ("StatefulSet/small-a", "Service/small", "Service/small-pods", "rename"):
        assert word in message
    assert left().items() >= before.items()
    assert told(operator_writes(world, position)) == {
        "create controllerrevisions": 1,
        "patch llamadeployments/status": 1,
    }
    world.kubectl("delete", "statefulset/small-a", "service/small", "service/small-pods")
    world.wait_ready("small", timeout=90)


def test_a_child_that_is_deleted_while_the_operator_is_down_comes_back_at_its_start(
    a100: World, shared_operator: list[OperatorProcess]
) -> None:
    a100.apply("small", {**SMALL, "replicas": 2})
    a100.wait_ready("small")
    before = a100.children()
    stop(shared_operator)
    try:
        a100.kubectl("delete", "service/small", "poddisruptionbudget/small", "statefulset/small-a")
        for name in before["controllerrevisions"]:
            a100.kubectl("delete", "controllerrevision", name)
        a100.wait("its pods are gone", lambda: not a100.pods("small"))
    finally:
        start(a100, shared_operator)
    wanted = {plural: set(names) for plural, names in before.items()}
    a100.wait(
        "all children are back",
        lambda: {plural: set(names) for plural, names in a100.children().items()} == wanted,
    )
    a100.wait_ready("small")
    after = a100.children()
    assert after["services"]["small-pods"] == before["services"]["small-pods"]


def test_fields_of_others_stay_through_a_rollout(a100: World, operator: OperatorProcess) -> None:
    a100.apply("small", {**SMALL, "context": {"maxModelLen": 8192}})
    a100.wait_ready("small")
    for child in ("statefulset/small-a", "service/small"):
        a100.kubectl("annotate", child, "example.com/note=kept")
        a100.kubectl("label", child, "example.com/team=ml")
    restart_hint = {"spec": {"template": {"metadata": {"annotations": {"example.com/a": "b"}}}}}
    a100.kubectl("patch", "statefulset", "small-a", "-p", json.dumps(restart_hint))
    traffic = {"spec": {"trafficDistribution": "PreferSameNode"}}
    a100.kubectl("patch", "service", "small", "-p", json.dumps(traffic))
    a100.apply("small", {**SMALL, "context": {"maxModelLen": 16384}})
    a100.wait_ready("small")
    live = stateful_set(a100, "small")
    service = a100.api.get(f"/api/v1/namespaces/{a100.namespace}/services/small")
    for item in (live, service):
        assert item["metadata"]["annotations"]["example.com/note"] == "kept"
        assert item["metadata"]["labels"]["example.com/team"] == "ml"
    assert live["spec"]["template"]["metadata"]["annotations"]["example.com/a"] == "b"
    assert service["spec"]["trafficDistribution"] == "PreferSameNode"
    [pod] = a100.pods("small")
    assert "--max-model-len=16384" in pod["spec"]["containers"][0]["args"]


def test_a_cluster_policy_that_rewrites_a_child_at_once_is_not_fought(
    a100: World, operator: OperatorProcess
) -> None:
    """A mutating policy has the last word; applying again and again would only be a war."""
    policy = f"""
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {{name: mirror}}
spec:
  matchConstraints:
    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {a100.namespace}}}}}
    resourceRules:
      - {{apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE],
          resources: [statefulsets]}}
  failurePolicy: Fail
  reinvocationPolicy: Never
  mutations:
    - patchType: JSONPatch
      jsonPatch:
        expression: >-
          [JSONPatch{{op: "replace", path: "/spec/template/spec/containers/0/image",
          value: "mirror.example.com/vllm:v1"}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {{name: mirror}}
spec: {{policyName: mirror}}
"""
    probe = yaml.safe_dump(
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "probe"},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"app": "probe"}},
                "template": {
                    "metadata": {"labels": {"app": "probe"}},
                    "spec": {"containers": [{"name": "c", "image": "example.com/c:1"}]},
                },
            },
        }
    )
    dry = ("create", "--dry-run=server", "-o", "yaml", "-f", "-")
    a100.apply_text(policy)
    try:
        a100.wait(
            "the policy works", lambda: "mirror.example.com" in a100.kubectl(*dry, stdin=probe)
        )
        position = a100.plane.audit_position()
        a100.apply("small", SMALL)
        a100.wait_ready("small")
        [pod] = a100.pods("small")
        assert pod["spec"]["containers"][0]["image"] == "mirror.example.com/vllm:v1"
        for number in range(5):
            a100.kubectl("annotate", "statefulset/small-a", "--overwrite", f"beat={number}")
        a100.kubectl("scale", "llama", "small", "--replicas=2")
        a100.wait("two pods", lambda: a100.llama("small")["status"].get("readyReplicas") == 2)
        written = told(operator_writes(a100, position))
        # The create, an attempt to mend it with the field ownership, and the two replicas.
        assert written["create statefulsets"] == 1
        assert written["patch statefulsets"] <= 4
    finally:
        a100.plane.kubectl("delete", "mutatingadmissionpolicybinding/mirror")
        a100.plane.kubectl("delete", "mutatingadmissionpolicy/mirror")


@pytest.mark.parametrize(
    "child",
    ["statefulset/small-a", "service/small", "service/small-pods", "poddisruptionbudget/small"],
)
def test_a_child_that_lost_its_labels_gets_them_back(
    a100: World, operator: OperatorProcess, child: str
) -> None:
    a100.apply("small", {**SMALL, "replicas": 2})
    a100.wait_ready("small")
    before = a100.children()
    labels = ("app.kubernetes.io/instance-", "app.kubernetes.io/managed-by-")
    a100.kubectl("label", child, *labels)
    a100.wait("it is ours again", lambda: a100.children() == before)
    a100.wait_ready("small")


def test_a_deployment_whose_service_has_the_name_of_anothers_is_told_so(
    a100: World, operator: OperatorProcess
) -> None:
    """The headless Service of `small` is `small-pods`, as is the Service of `small-pods`."""
    a100.apply("small", SMALL)
    a100.wait_ready("small")
    a100.apply("small-pods", SMALL)
    message = a100.wait_condition("small-pods", "Stalled", "True", "NameConflict")
    assert "Service small-pods" in message
    a100.wait_ready("small")
    a100.kubectl("delete", "llama", "small-pods")


GARBLED = {
    "observedGeneration": 7,
    "url": "http://evil.example.com/v1",
    "replicas": 9,
    "readyReplicas": 0,
    "conditions": [
        {
            "type": kind,
            "status": status,
            "reason": "Garbled",
            "message": "by hand",
            "lastTransitionTime": "2020-01-02T03:04:05Z",
            "observedGeneration": 1,
        }
        for kind, status in (
            ("Ready", "False"),
            ("Stalled", "True"),
            ("example.com/Audited", "True"),
        )
    ],
    "recommendation": {"reason": "Garbled", "message": "by hand", "alternatives": []},
}


@pytest.mark.parametrize(
    "patch",
    [
        pytest.param([{"op": "remove", "path": "/status"}], id="deleted"),
        pytest.param([{"op": "remove", "path": "/status/plan"}], id="without its plan"),
        pytest.param([{"op": "remove", "path": "/status/conditions"}], id="without conditions"),
        pytest.param(
            [{"op": "replace", "path": "/status/plan/gpus", "value": "9x Abacus"}],
            id="with another plan",
        ),
        pytest.param(
            [{"op": "add", "path": f"/status/{key}", "value": value} for key, value in
             GARBLED.items()],
            id="garbled, with a condition and a recommendation that are not true",
        ),
    ],
)  # fmt: skip
def test_a_status_that_somebody_changed_comes_back(
    a100: World, operator: OperatorProcess, patch: list[dict[str, Any]]
) -> None:
    a100.apply("small", SMALL)
    a100.wait_ready("small")
    before, pods = status_without_times(a100, "small"), a100.pod_uids("small")
    a100.kubectl(
        "patch", "llama", "small", "--subresource=status", "--type=json", "-p", json.dumps(patch)
    )

    def ours() -> dict[str, Any]:
        status = status_without_times(a100, "small")
        status["conditions"] = [
            entry for entry in status.get("conditions", ()) if "/" not in entry["type"]
        ]
        return status

    a100.wait("the status is the same again", lambda: ours() == before)
    assert a100.pod_uids("small") == pods
    foreign = "example.com/Audited" in a100.conditions("small")
    assert foreign == ("Audited" in json.dumps(patch)), "conditions of others are theirs"
    position = a100.plane.audit_position()
    for number in range(3):
        a100.kubectl("annotate", "llama", "small", "--overwrite", f"beat={number}")
    a100.apply("marker", SMALL)
    a100.wait_ready("marker")
    assert [event for event in operator_writes(a100, position) if event.name == "small"] == []
