"""What a started control plane does with nodes, pods and users."""

import json
from typing import Any

import pytest

from controlplane import ApiError, ControlPlane, GpuNode, KubectlError, wait_until

pytestmark = pytest.mark.cluster


def stateful_set(name: str, replicas: int = 1, **pod: Any) -> dict[str, Any]:
    labels = {"app": name}
    resources = {"limits": {"nvidia.com/gpu": "1"}}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "serviceName": name,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
                    "containers": [{"name": "engine", "image": "none", "resources": resources}],
                    **pod,
                },
            },
        },
    }


def service(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 8000}]},
    }


def apply(plane: ControlPlane, namespace: str, *objects: dict[str, Any]) -> None:
    plane.apply([one | {"metadata": one["metadata"] | {"namespace": namespace}} for one in objects])


def wait_ready(plane: ControlPlane, namespace: str, name: str, replicas: int) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/statefulsets/{name}"

    def ready() -> bool:
        status = plane.api.get(path)["status"]
        return bool(status.get("readyReplicas") == status.get("updatedReplicas") == replicas)

    wait_until(f"{replicas} ready replicas", ready)


def pods(plane: ControlPlane, namespace: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = plane.api.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
    return items


def addresses(plane: ControlPlane, namespace: str) -> set[str]:
    slices = plane.api.get(f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices")
    return {
        address
        for one in slices["items"]
        for endpoint in one["endpoints"] or []
        if endpoint["conditions"]["ready"]
        for address in endpoint["addresses"]
    }


def test_server_and_client_have_the_pinned_version(plane: ControlPlane) -> None:
    versions = json.loads(plane.kubectl("version", "-o", "json").stdout)
    assert versions["serverVersion"]["gitVersion"] == versions["clientVersion"]["gitVersion"]


def test_nodes_are_ready_with_their_gpus_when_start_returns(plane: ControlPlane) -> None:
    items = plane.api.get("/api/v1/nodes?labelSelector=nvidia.com/gpu.present=true")["items"]
    assert [(node["metadata"]["name"], node["status"]["allocatable"]) for node in items] == [
        (
            name,
            {
                "cpu": "96",
                "memory": "1000Gi",
                "ephemeral-storage": "2Ti",
                "pods": "110",
                "nvidia.com/gpu": "8",
            },
        )
        for name in ("a100-0", "a100-1")
    ]


def test_leases_of_nodes_are_renewed_so_that_nodes_stay_ready(plane: ControlPlane) -> None:
    path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/a100-0"
    wait_until("first lease", lambda: plane.api.get(path)["spec"], pending=(ApiError,))
    first = plane.api.get(path)["spec"]["renewTime"]
    wait_until("renewal", lambda: plane.api.get(path)["spec"]["renewTime"] > first)


def test_a_stateful_set_with_gpus_is_scheduled_ready_and_in_endpoints(
    plane: ControlPlane, namespace: str
) -> None:
    apply(plane, namespace, service("web"), stateful_set("web", replicas=2))
    wait_ready(plane, namespace, "web", 2)
    found = pods(plane, namespace)
    assert {pod["spec"]["nodeName"] for pod in found} <= {"a100-0", "a100-1"}
    expected = {pod["status"]["podIP"] for pod in found}
    assert len(expected) == 2
    wait_until("endpoints", lambda: addresses(plane, namespace) == expected)


def test_scaling_and_rolling_out_make_ready_pods(plane: ControlPlane, namespace: str) -> None:
    apply(plane, namespace, stateful_set("web"))
    wait_ready(plane, namespace, "web", 1)
    plane.kubectl("scale", "statefulset/web", "--replicas=3", "-n", namespace)
    wait_ready(plane, namespace, "web", 3)
    before = {pod["metadata"]["uid"] for pod in pods(plane, namespace)}
    plane.kubectl("rollout", "restart", "statefulset/web", "-n", namespace)
    plane.kubectl("rollout", "status", "statefulset/web", "-n", namespace, "--timeout=30s")
    assert before.isdisjoint(pod["metadata"]["uid"] for pod in pods(plane, namespace))


def test_a_long_grace_period_does_not_delay_the_end(plane: ControlPlane, namespace: str) -> None:
    apply(plane, namespace, stateful_set("web", terminationGracePeriodSeconds=120))
    wait_ready(plane, namespace, "web", 1)
    plane.kubectl("delete", "statefulset/web", "-n", namespace, "--wait=false")
    wait_until("end of the pod", lambda: not pods(plane, namespace), timeout=10)


def test_pods_without_room_wait_until_a_node_comes(plane: ControlPlane, namespace: str) -> None:
    selector = {"nvidia.com/gpu.product": "NVIDIA-H200"}
    apply(plane, namespace, stateful_set("big", nodeSelector=selector))

    def refused() -> bool:
        return any(
            condition["reason"] == "Unschedulable"
            for pod in pods(plane, namespace)
            for condition in pod["status"].get("conditions", [])
        )

    wait_until("verdict of the scheduler", refused)
    plane.add_nodes([GpuNode("h200", "NVIDIA-H200", 1, 143_771, "9.0")])
    wait_ready(plane, namespace, "big", 1)
    plane.remove_nodes(["h200"])


def test_a_job_completes(plane: ControlPlane, namespace: str) -> None:
    plane.kubectl("create", "job", "fetch", "--image=none", "-n", namespace)
    plane.kubectl("wait", "--for=condition=complete", "job/fetch", "-n", namespace)


def test_a_removed_node_is_gone(plane: ControlPlane) -> None:
    plane.add_nodes([GpuNode("passing")])
    plane.remove_nodes(["passing"])
    with pytest.raises(ApiError) as raised:
        plane.api.get("/api/v1/nodes/passing")
    assert raised.value.code == 404


def test_a_node_that_exists_is_refused(plane: ControlPlane) -> None:
    with pytest.raises(ApiError, match='"cpu" already exists'):
        plane.add_nodes([GpuNode("cpu")])


def test_kubectl_says_why_it_failed(plane: ControlPlane) -> None:
    with pytest.raises(KubectlError, match=r'get pod none: exit code 1: .*"none" not found'):
        plane.kubectl("get", "pod", "none")
    assert plane.kubectl("get", "pod", "none", check=False).returncode == 1


def test_objects_are_applied_in_every_form(plane: ControlPlane, namespace: str) -> None:
    def config_map(name: str) -> dict[str, Any]:
        metadata = {"name": name, "namespace": namespace}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}

    assert plane.apply(config_map("one")) == "configmap/one created\n"
    assert plane.apply([config_map("two"), config_map("three")]).count("created") == 2
    text = json.dumps(config_map("four"))
    assert plane.apply(text, server_side=True) == "configmap/four serverside-applied\n"


def test_a_service_account_acts_with_its_own_rights_and_the_audit_log_shows_it(
    plane: ControlPlane, namespace: str
) -> None:
    plane.kubectl("create", "serviceaccount", "writer", "-n", namespace)
    role = ("--role=writer", f"--serviceaccount={namespace}:writer")
    verbs = ("--verb=create", "--resource=configmaps")
    plane.kubectl("create", "role", "writer", *verbs, "-n", namespace)
    plane.kubectl("create", "rolebinding", "writer", *role, "-n", namespace)
    kubeconfig = plane.service_account_kubeconfig(namespace, "writer")
    user = f"system:serviceaccount:{namespace}:writer"
    since = plane.audit_position()

    as_writer = ("--kubeconfig", str(kubeconfig))
    plane.kubectl(*as_writer, "create", "configmap", "made")
    with pytest.raises(KubectlError, match="forbidden"):
        plane.kubectl(*as_writer, "get", "secrets")

    def seen() -> list[tuple[str, str, str, str, int]]:
        return [
            (event.verb, event.resource, event.namespace, event.name, event.code)
            for event in plane.audit_events(user=user, since=since)
            if event.resource
        ]

    expected = [
        ("create", "configmaps", namespace, "made", 201),
        ("list", "secrets", namespace, "", 403),
    ]
    wait_until("audit events", lambda: seen() == expected, timeout=5)


def test_the_audit_log_tells_controllers_apart(plane: ControlPlane, namespace: str) -> None:
    since = plane.audit_position()
    apply(plane, namespace, stateful_set("web"))
    wait_ready(plane, namespace, "web", 1)
    creators = {
        event.user
        for event in plane.audit_events(since=since)
        if (event.verb, event.resource, event.subresource) == ("create", "pods", "")
        and event.namespace == namespace
    }
    assert creators == {"system:serviceaccount:kube-system:statefulset-controller"}
