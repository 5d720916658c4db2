import json
import re
from typing import Any

import pytest

from golden.cases import CASES, Case
from llama_operator.api.deployment import LlamaDeployment
from llama_operator.render.objects import (
    Rendered,
    controller_revision,
    pod_template,
    render,
)

ALL = [pytest.param(case, id=case.name) for case in CASES]
BY_NAME = {case.name: case for case in CASES}
CASE = BY_NAME["llama-70b-awq"]
LABELS = {
    "app.kubernetes.io/name": "llama",
    "app.kubernetes.io/instance": "llama-70b-awq",
    "app.kubernetes.io/managed-by": "llama-operator",
}


def rendered(replicas: int = 1, revision: str = "r", **options: Any) -> Rendered:
    return render(CASE.plan(), CASE.deployment(), replicas=replicas, revision=revision, **options)


def json_bytes(result: Rendered) -> bytes:
    return json.dumps(result.objects()).encode()


@pytest.mark.parametrize("case", ALL)
def test_the_same_input_gives_the_same_bytes(case: Case) -> None:
    first = render(case.plan(), case.deployment(), replicas=2, revision="r")
    second = render(case.plan(), case.deployment(), replicas=2, revision="r")

    assert json_bytes(first) == json_bytes(second)


def test_the_order_of_a_recorded_template_changes_no_byte() -> None:
    template = pod_template(CASE.plan(), CASE.deployment())
    reordered = json.loads(json.dumps(template, sort_keys=True))
    assert list(reordered["spec"]) != list(template["spec"])

    assert json_bytes(rendered(template=template)) == json_bytes(rendered(template=reordered))
    assert json_bytes(rendered(template=template)) == json_bytes(rendered())


@pytest.mark.parametrize("color", ["a", "b"])
def test_each_color_has_its_statefulset_behind_one_service(color: str) -> None:
    result = rendered(color=color)

    spec = result.workload["spec"]
    colored = {**LABELS, "llama-operator.io/color": color}
    assert result.workload["metadata"]["name"] == f"llama-70b-awq-{color}"
    assert spec["selector"]["matchLabels"] == colored
    assert spec["template"]["metadata"]["labels"] == colored
    assert spec["serviceName"] == result.headless_service["metadata"]["name"]
    assert result.service["spec"]["selector"] == LABELS
    assert result.headless_service["spec"]["selector"] == LABELS


def test_the_statefulset() -> None:
    result = rendered(replicas=3, revision="llama-70b-awq-plan-0123456789").workload

    assert result["metadata"]["annotations"] == {
        "llama-operator.io/revision": "llama-70b-awq-plan-0123456789"
    }
    spec = {key: value for key, value in result["spec"].items() if key != "template"}
    assert spec == {
        "replicas": 3,
        "serviceName": "llama-70b-awq-pods",
        "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "RollingUpdate"},
        "revisionHistoryLimit": 3,
        "selector": {"matchLabels": {**LABELS, "llama-operator.io/color": "a"}},
    }


def test_the_services() -> None:
    result = rendered()

    assert result.service["spec"]["type"] == "ClusterIP"
    assert result.service["spec"]["ports"] == [
        {
            "name": "http",
            "port": 8000,
            "protocol": "TCP",
            "targetPort": "http",
            "appProtocol": "http",
        }
    ]
    assert result.headless_service["spec"]["clusterIP"] == "None"
    assert result.headless_service["spec"]["publishNotReadyAddresses"] is True


@pytest.mark.parametrize("replicas", [0, 1])
def test_at_most_one_replica_has_no_budget_that_would_block_drains(replicas: int) -> None:
    result = rendered(replicas=replicas)

    assert result.pod_disruption_budget is None
    assert [child["kind"] for child in result.objects()] == ["Service", "Service", "StatefulSet"]


def test_two_replicas_have_a_budget() -> None:
    result = rendered(replicas=2)

    assert result.pod_disruption_budget is not None
    assert result.pod_disruption_budget["spec"] == {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": LABELS},
    }


def test_replicas_and_revision_leave_the_pod_template_alone() -> None:
    one = rendered(replicas=1, revision="r1").workload["spec"]["template"]
    two = rendered(replicas=2, revision="r2").workload["spec"]["template"]

    assert one == two


def test_a_recorded_template_is_used_as_it_is() -> None:
    recorded = pod_template(CASE.plan(), CASE.deployment())
    recorded["spec"]["containers"][0]["args"] = ["of", "another", "version"]
    recorded["spec"]["nodeSelector"] = {"kept": "yes"}
    recorded["metadata"]["annotations"] = {"kept": "too"}
    before = json.dumps(recorded)

    template = rendered(template=recorded, color="b").workload["spec"]["template"]

    assert template["spec"] == recorded["spec"]
    assert template["metadata"] == {
        "labels": {**LABELS, "llama-operator.io/color": "b"},
        "annotations": {"kept": "too"},
    }
    assert json.dumps(recorded) == before


@pytest.mark.parametrize("case", ALL)
def test_children_are_owned_by_the_deployment_in_its_namespace(case: Case) -> None:
    deployment = case.deployment()

    for child in case.render().values():
        assert child["metadata"]["namespace"] == deployment.metadata.namespace
        assert child["metadata"]["ownerReferences"] == [
            {
                "apiVersion": "llama-operator.io/v1alpha1",
                "kind": "LlamaDeployment",
                "name": deployment.metadata.name,
                "uid": deployment.metadata.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]


def test_a_deployment_that_no_api_server_has_seen_owns_nothing_yet() -> None:
    body = LlamaDeployment.parse({"metadata": {"name": "new"}, "spec": {"size": "70b"}})

    for child in render(CASE.plan(), body, replicas=2, revision="r").objects():
        assert "ownerReferences" not in child["metadata"]


DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")


@pytest.mark.parametrize("case", ALL)
def test_names_are_dns_labels_and_leave_room_for_pods(case: Case) -> None:
    objects = case.render()

    for child in objects.values():
        assert DNS_LABEL.fullmatch(child["metadata"]["name"])
    # LeaderWorkerSet names a StatefulSet of workers by the number of the group, up to 999.
    name = (
        objects["statefulset"]["metadata"]["name"]
        if "statefulset" in objects
        else f"{objects['leaderworkerset']['metadata']['name']}-999"
    )
    assert len(f"{name}-1234567890") <= 63, "label controller-revision-hash"


def test_a_controller_revision_keeps_what_it_records() -> None:
    data = {"plan": {"é": "🦙\n"}, "list": [1, "two", None, True], "text": "{{ v }} $(X) yes"}

    result = controller_revision(CASE.deployment(), name="n", revision=12, data=data)

    assert result["kind"] == "ControllerRevision"
    assert result["revision"] == 12
    assert result["data"] == data
