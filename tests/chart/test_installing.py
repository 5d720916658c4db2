"""The chart and the kustomize base on a real API server: accepted, least privilege, upgrades."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from chart.conftest import CHART, NAMESPACE, RELEASE, ROOT, Helm, Objects
from chart.test_rendering import EVERYTHING, NOTHING, named
from controlplane import Binaries, ControlPlane, KubectlError, wait_until

pytestmark = pytest.mark.cluster

ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
STRICT = ("--validate=strict", "-f", "-")


@pytest.fixture(scope="module")
def installed(
    cluster: ControlPlane, binaries: Binaries, tmp_path_factory: pytest.TempPathFactory
) -> Helm:
    """Helm on a cluster with the chart installed and its namespace restricted."""
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": NAMESPACE,
            "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
        },
    }
    cluster.apply(namespace)
    helm = Helm(binaries, tmp_path_factory.mktemp("helm"), cluster.kubeconfig)
    helm.run("install", RELEASE, str(CHART), "-n", NAMESPACE)
    return helm


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({}, id="with default values"),
        pytest.param(
            {**EVERYTHING, "serviceMonitor": {"enabled": False}},
            id="with every value set, but without the CRD of ServiceMonitors",
        ),
        pytest.param(NOTHING, id="with all options off"),
    ],
)
def test_the_api_server_takes_every_object_as_it_is(
    cluster: ControlPlane, installed: Helm, values: dict[str, Any]
) -> None:
    objects = json.dumps({"apiVersion": "v1", "kind": "List", "items": installed.objects(values)})
    apply = ("apply", "--server-side", "--force-conflicts", "--dry-run=server")
    printed = cluster.kubectl(*apply, *STRICT, input=objects).stdout
    assert printed.count("(server dry run)") == len(installed.objects(values))


def test_a_misspelt_field_would_be_refused(cluster: ControlPlane, chart: Objects) -> None:
    deployment = named(chart, "Deployment")
    deployment = {**deployment, "spec": {**deployment["spec"], "replica": 2}}
    with pytest.raises(KubectlError, match=r'unknown field "spec\.replica"'):
        cluster.kubectl("apply", "--dry-run=server", *STRICT, input=json.dumps(deployment))


def test_the_kustomize_base_applies_as_it_is(cluster: ControlPlane, installed: Helm) -> None:
    assert installed.objects()
    command = ("apply", "--dry-run=server", "--server-side", "--force-conflicts")
    printed = cluster.kubectl(*command, "--validate=strict", "-k", str(ROOT / "manifests")).stdout
    assert "deployment.apps/llama-operator serverside-applied (server dry run)" in printed


def test_the_pods_pass_the_restricted_standard(
    cluster: ControlPlane, installed: Helm, chart: Objects
) -> None:
    assert installed.objects()
    template = named(chart, "Deployment")["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    pod["metadata"] = {**template["metadata"], "name": "pod", "namespace": NAMESPACE}
    create = ("create", "--dry-run=server", *STRICT)
    assert "pod/pod created" in cluster.kubectl(*create, input=json.dumps(pod)).stdout
    pod["spec"] = {**pod["spec"], "hostNetwork": True}
    with pytest.raises(KubectlError, match="violates PodSecurity"):
        cluster.kubectl(*create, input=json.dumps(pod))


ALLOWED = [
    "get llamadeployments.llama-operator.io",
    "list llamadeployments.llama-operator.io",
    "watch llamadeployments.llama-operator.io",
    "patch llamadeployments.llama-operator.io/status",
    "update llamadeployments.llama-operator.io/finalizers",
    *(
        f"{verb} {resource}"
        for resource in (
            "statefulsets.apps",
            "controllerrevisions.apps",
            "services",
            "poddisruptionbudgets.policy",
            "jobs.batch",
            "persistentvolumeclaims",
        )
        for verb in ("get", "list", "watch", "create", "patch")
    ),
    "delete statefulsets.apps",
    "delete controllerrevisions.apps",
    "delete poddisruptionbudgets.policy",
    "delete jobs.batch",
    "list nodes",
    "watch nodes",
    "list pods",
    "watch pods",
    "list resourceslices.resource.k8s.io",
    "watch resourceslices.resource.k8s.io",
    "list deviceclasses.resource.k8s.io",
    "watch deviceclasses.resource.k8s.io",
    "list configmaps",
    "watch configmaps",
    "create events.events.k8s.io",
]
FORBIDDEN = [
    *(f"{verb} secrets" for verb in ("get", "list", "watch", "create", "patch", "delete")),
    *(
        f"{verb} llamadeployments.llama-operator.io"
        for verb in ("create", "patch", "update", "delete")
    ),
    "get pods/log",
    "create pods/exec",
    "create pods",
    "delete pods",
    "patch nodes",
    "get configmaps",
    "create configmaps",
    "update statefulsets.apps",
    "delete services",
    "deletecollection statefulsets.apps",
    "create serviceaccounts/token",
    "create clusterrolebindings.rbac.authorization.k8s.io",
    "list namespaces",
    "list customresourcedefinitions.apiextensions.k8s.io",
]


def may(cluster: ControlPlane, what: str, namespace: str, user: str = ACCOUNT) -> bool:
    """Whether a user may do something, as the API server decides."""
    verb, resource = what.split()
    resource, _, subresource = resource.partition("/")
    command = ["auth", "can-i", verb, resource, "-n", namespace, f"--as={user}"]
    if subresource:
        command.append(f"--subresource={subresource}")
    return cluster.kubectl(*command, check=False).stdout.strip() == "yes"


@pytest.mark.parametrize("what", ALLOWED)
def test_the_operator_may(cluster: ControlPlane, installed: Helm, what: str) -> None:
    assert installed
    assert may(cluster, what, "default")


@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_operator_may_not(cluster: ControlPlane, installed: Helm, what: str) -> None:
    assert installed
    assert not may(cluster, what, "default")
    assert not may(cluster, what, NAMESPACE)


def test_the_operator_may_use_one_lease_in_its_own_namespace(
    cluster: ControlPlane, installed: Helm
) -> None:
    assert installed
    for verb in ("get", "update"):
        command = ("auth", "can-i", verb, "leases.coordination.k8s.io/llama-operator")
        own = cluster.kubectl(*command, "-n", NAMESPACE, f"--as={ACCOUNT}", check=False)
        assert own.stdout.strip() == "yes", verb
        other = cluster.kubectl(*command, "-n", "kube-system", f"--as={ACCOUNT}", check=False)
        assert other.stdout.strip() == "no", verb
    assert may(cluster, "create leases.coordination.k8s.io", NAMESPACE)
    assert not may(cluster, "create leases.coordination.k8s.io", "kube-system")
    assert not may(cluster, "list leases.coordination.k8s.io", NAMESPACE)


def aggregated(cluster: ControlPlane, role: str) -> bool:
    """Whether one of the cluster's own roles has all rights to LlamaDeployments by now."""
    rules = json.loads(cluster.kubectl("get", "clusterrole", role, "-o", "json").stdout)["rules"]
    ours = [rule for rule in rules if "llama-operator.io" in rule.get("apiGroups", ())]
    return len(ours) == (1 if role == "view" else 3)


@pytest.mark.parametrize(
    ("role", "what", "allowed"),
    [
        pytest.param("view", "get llamadeployments.llama-operator.io", True, id="a viewer looks"),
        pytest.param("view", "create llamadeployments.llama-operator.io", False, id="and no more"),
        pytest.param(
            "edit", "create llamadeployments.llama-operator.io", True, id="an editor deploys"
        ),
        pytest.param(
            "edit", "patch llamadeployments.llama-operator.io/scale", True, id="and scales"
        ),
        pytest.param(
            "edit",
            "patch llamadeployments.llama-operator.io/status",
            False,
            id="and leaves the status to the operator",
        ),
        pytest.param(
            "admin", "delete llamadeployments.llama-operator.io", True, id="so does an admin"
        ),
    ],
)
def test_people_with_the_clusters_roles(
    cluster: ControlPlane, installed: Helm, role: str, what: str, allowed: bool
) -> None:
    assert installed
    user = f"someone-who-may-{role}"
    command = ("create", "rolebinding", user, f"--clusterrole={role}", f"--user={user}")
    cluster.kubectl(*command, "-n", "default", check=False)
    # The controller manager aggregates roles a moment after they were created.
    wait_until(f"{role} is aggregated", lambda: aggregated(cluster, role))
    assert may(cluster, what, "default", user) is allowed


def test_children_need_the_right_on_finalizers_where_admission_asks_for_it(
    cluster: ControlPlane, installed: Helm
) -> None:
    """No request uses this right, so that no audit log shows it; the plugin asks for it."""
    assert installed
    deployment = {
        "apiVersion": "llama-operator.io/v1alpha1",
        "kind": "LlamaDeployment",
        "metadata": {"name": "owner", "namespace": "default"},
    }
    cluster.apply({**deployment, "spec": {"size": "8b"}})
    uid = cluster.kubectl("get", "llama", "owner", "-o", "jsonpath={.metadata.uid}").stdout
    owner = {key: deployment[key] for key in ("apiVersion", "kind")}
    owner |= {"name": "owner", "uid": uid, "controller": True, "blockOwnerDeletion": True}
    child = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "owner", "ownerReferences": [owner]},
        "spec": {"ports": [{"port": 80}]},
    }

    def refusal() -> str:
        create = ("create", "--dry-run=server", f"--as={ACCOUNT}", "-n", "default", "-f", "-")
        return cluster.kubectl(*create, input=json.dumps(child), check=False).stderr

    assert refusal() == ""
    get = ("get", "clusterrole", RELEASE, "-o", "json", "--show-managed-fields=false")
    role = json.loads(cluster.kubectl(*get).stdout)
    rules = [one for one in role["rules"] if "llamadeployments/finalizers" not in one["resources"]]
    assert len(rules) == len(role["rules"]) - 1
    change = ("patch", "clusterrole", RELEASE, "--type=merge", "-p")
    cluster.kubectl(*change, json.dumps({"rules": rules}))
    try:
        wait_until("it is refused", lambda: "cannot set blockOwnerDeletion" in refusal())
    finally:
        cluster.kubectl(*change, json.dumps({"rules": role["rules"]}))
        cluster.kubectl("delete", "llama", "owner")
    wait_until("it is allowed again", lambda: refusal() == "")


def test_an_upgrade_brings_a_new_field_and_uninstalling_keeps_what_users_have(
    cluster: ControlPlane, installed: Helm, tmp_path: Path
) -> None:
    get = ("get", "llama", "llama-70b-awq", "-n", "default", "-o", "jsonpath={.spec.size}")
    get_crd = ("get", "crd", "llamadeployments.llama-operator.io", "-o", "yaml")
    sample = ROOT / "manifests" / "samples" / "llama-70b-awq.yaml"
    cluster.kubectl("apply", "-n", "default", "-f", str(sample))

    newer = tmp_path / "llama-operator"
    shutil.copytree(CHART, newer)
    crd = newer / "templates" / "crd.yaml"
    old = "                suspend:\n"
    assert crd.read_text().count(old) == 1
    new = "                shiny:\n                  type: boolean\n"
    crd.write_text(crd.read_text().replace(old, new + old))
    installed.run("upgrade", RELEASE, str(newer), "-n", NAMESPACE)
    assert "shiny" in cluster.kubectl(*get_crd).stdout
    assert cluster.kubectl(*get).stdout == "70b"

    installed.run("uninstall", RELEASE, "-n", NAMESPACE)
    assert cluster.kubectl(*get).stdout == "70b"
    roles = cluster.kubectl("get", "clusterrole,deployment", "-A", "-o", "name").stdout
    assert "llama-operator" not in roles

    installed.run("install", RELEASE, str(CHART), "-n", NAMESPACE)
    assert cluster.kubectl(*get).stdout == "70b"
    assert "shiny" not in cluster.kubectl(*get_crd).stdout
