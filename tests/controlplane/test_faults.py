"""Faults that tests of the operator cause, and what remains after them."""

import pytest

from controlplane import ApiError, ControlPlane, ControlPlaneError, wait_until

pytestmark = pytest.mark.cluster


def wait_complete(plane: ControlPlane, namespace: str, job: str) -> None:
    # Controllers that have lost the API server try again after up to 30 seconds.
    how = ("--for=condition=complete", "--timeout=80s")
    plane.kubectl("wait", *how, f"job/{job}", "-n", namespace, timeout=90)


@pytest.mark.parametrize("kill", [pytest.param(True, id="killed"), pytest.param(False, id="ended")])
def test_the_api_server_comes_back_with_its_port_and_its_data(
    plane: ControlPlane, namespace: str, kill: bool
) -> None:
    plane.kubectl("create", "configmap", "kept", "-n", namespace)
    plane.stop_component("kube-apiserver", kill=kill)
    with pytest.raises(ApiError) as raised:
        plane.api.get("/version")
    assert raised.value.code == 0
    plane.start_component("kube-apiserver")
    assert plane.api.get(f"/api/v1/namespaces/{namespace}/configmaps/kept")["kind"] == "ConfigMap"
    # The others have found it again, too.
    plane.kubectl("create", "job", "after", "--image=none", "-n", namespace)
    wait_complete(plane, namespace, "after")


def test_etcd_comes_back_with_its_data(plane: ControlPlane, namespace: str) -> None:
    plane.kubectl("create", "configmap", "kept", "-n", namespace)
    plane.stop_component("etcd", kill=True)
    plane.start_component("etcd")
    plane.kubectl("get", "configmap", "kept", "-n", namespace)


@pytest.mark.parametrize("name", ["kube-controller-manager", "kube-scheduler", "kwok"])
def test_work_waits_for_a_stopped_component(plane: ControlPlane, namespace: str, name: str) -> None:
    plane.stop_component(name)
    assert plane.components()[name].state == "stopped"
    plane.kubectl("create", "job", "waiting", "--image=none", "-n", namespace)
    plane.start_component(name)
    wait_complete(plane, namespace, "waiting")


def test_a_frozen_api_server_answers_nothing_and_goes_on(plane: ControlPlane) -> None:
    plane.pause("kube-apiserver")
    try:
        with (
            plane.api_client(timeout=0.2) as impatient,
            pytest.raises(ApiError, match="timed out"),
        ):
            impatient.get("/version")
    finally:
        plane.resume("kube-apiserver")
    wait_until("answer", lambda: plane.api.get("/version"), pending=(ApiError,))


def test_a_frozen_kwok_keeps_pods_from_becoming_ready(plane: ControlPlane, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods/held"
    plane.pause("kwok")
    try:
        plane.kubectl("run", "held", "--image=none", "-n", namespace)
        wait_until("node", lambda: plane.api.get(path)["spec"].get("nodeName"))
        assert plane.api.get(path)["status"]["phase"] == "Pending"
    finally:
        plane.resume("kwok")
    wait_until("run", lambda: plane.api.get(path)["status"]["phase"] == "Running")


def test_an_unknown_component_is_named_with_the_known_ones(plane: ControlPlane) -> None:
    with pytest.raises(ControlPlaneError, match="no component kubelet runs here; there are etcd"):
        plane.stop_component("kubelet")
