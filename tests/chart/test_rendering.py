"""What the chart renders, and that the kustomize base is the same."""

import copy
from typing import Any

import pytest
import yaml

from chart.conftest import CHART, NAMESPACE, RELEASE, ROOT, Helm, Objects
from llama_operator import __version__
from llama_operator.api.crd import custom_resource_definition

pytestmark = pytest.mark.cluster

HELM_LABELS = {"helm.sh/chart", "app.kubernetes.io/managed-by"}
EVERYTHING: dict[str, Any] = {
    "replicas": 3,
    "image": {
        "repository": "registry.example.com:5000/llm/llama-operator",
        "digest": "sha256:" + "0123456789abcdef" * 4,
        "pullPolicy": "Always",
    },
    "imagePullSecrets": [{"name": "registry"}],
    "fullnameOverride": "operator-of-llamas",
    "serviceAccount": {"annotations": {"example.com/role": "llama"}},
    "logLevel": "debug",
    "workers": 16,
    "imageRegistry": "registry.example.com:5000/mirror",
    "priceTolerancePercent": 50,
    "cache": {"downloaderImage": "registry.example.com/fetch:1", "allowHostPath": True},
    "extraEnv": [
        {"name": "HTTPS_PROXY", "value": "http://proxy:3128"},
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
    ],
    "commonLabels": {"team": "llm", "stage": "test"},
    "podLabels": {"stage": "production"},
    "podAnnotations": {"example.com/scrape": "true"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "control", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {
                    "topologyKey": "kubernetes.io/hostname",
                    "labelSelector": {"matchLabels": {"team": "llm"}},
                }
            ]
        }
    },
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "DoNotSchedule",
        }
    ],
    "priorityClassName": "system-cluster-critical",
    "metrics": {"service": {"annotations": {"example.com/scrape": "true"}}},
    "serviceMonitor": {"enabled": True, "interval": "15s", "labels": {"release": "prometheus"}},
    "podDisruptionBudget": {"minAvailable": 2},
    "networkPolicy": {
        "apiServerPorts": [6443],
        "metricsFrom": [
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
        ],
    },
}
NOTHING: dict[str, Any] = {
    "replicas": 1,
    "crds": {"enabled": False},
    "serviceAccount": {"create": False, "name": "own"},
    "rbac": {"create": False},
    "metrics": {"service": {"enabled": False}},
    "networkPolicy": {"enabled": False},
}
VALUES = [
    pytest.param({}, id="with default values"),
    pytest.param(EVERYTHING, id="with every value set"),
    pytest.param(NOTHING, id="with all options off"),
]


def named(objects: Objects, kind: str, name: str | None = None) -> dict[str, Any]:
    """The one object of a kind, or of a kind and a name."""
    (found,) = (
        one for one in objects if one["kind"] == kind and name in (None, one["metadata"]["name"])
    )
    return found


def without_helm(value: Any) -> Any:
    """A copy without what only Helm writes."""
    if isinstance(value, list):
        return [without_helm(one) for one in value]
    if isinstance(value, dict):
        kept = {key: without_helm(one) for key, one in value.items() if key not in HELM_LABELS}
        if kept.get("annotations") == {"helm.sh/resource-policy": "keep"}:
            del kept["annotations"]
        return kept
    return value


def by_name(objects: Objects) -> dict[str, dict[str, Any]]:
    """Objects by kind and name."""
    return {f"{one['kind']} {one['metadata']['name']}": without_helm(one) for one in objects}


def test_the_kustomize_base_is_what_the_chart_renders(chart: Objects, base: Objects) -> None:
    ours, theirs = by_name(base), by_name(chart)
    namespace = ours.pop(f"Namespace {NAMESPACE}")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert ours.keys() == theirs.keys()
    for name, found in theirs.items():
        assert ours[name] == found, name


def test_a_difference_to_the_kustomize_base_is_found(chart: Objects, base: Objects) -> None:
    changed = copy.deepcopy(chart)
    named(changed, "ClusterRole", "llama-operator")["rules"][0]["verbs"].append("delete")
    assert (
        by_name(base)["ClusterRole llama-operator"]
        != by_name(changed)["ClusterRole llama-operator"]
    )


def test_the_crd_is_the_generated_one(chart: Objects) -> None:
    crd = named(chart, "CustomResourceDefinition")
    generated = custom_resource_definition()
    assert crd["spec"] == generated["spec"]
    assert crd["metadata"]["name"] == generated["metadata"]["name"]
    assert crd["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_the_crd_goes_with_the_release_when_it_is_not_kept(helm: Helm) -> None:
    crd = named(helm.objects({"crds": {"keep": False}}), "CustomResourceDefinition")
    assert "annotations" not in crd["metadata"]


@pytest.mark.parametrize("values", VALUES)
def test_lint(helm: Helm, values: dict[str, Any]) -> None:
    printed = helm.run("lint", str(CHART), "--strict", values=values)
    assert "0 chart(s) failed" in printed


@pytest.mark.parametrize("values", VALUES)
def test_rendering_twice_gives_the_same_bytes(helm: Helm, values: dict[str, Any]) -> None:
    assert helm.template(values) == helm.template(values)


@pytest.mark.parametrize("values", VALUES)
def test_no_role_has_a_wildcard_or_reads_secrets_or_logs(
    helm: Helm, values: dict[str, Any]
) -> None:
    for role in helm.objects(values):
        for rule in role.get("rules", ()):
            text = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert not [word for word in text if "*" in word]
            assert "nonResourceURLs" not in rule
            for resource in rule["resources"]:
                assert resource not in {"secrets", "pods/log", "pods/exec", "serviceaccounts/token"}
            assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])


def test_what_is_off_is_not_rendered(helm: Helm) -> None:
    assert [one["kind"] for one in helm.objects(NOTHING)] == ["Deployment"]
    deployment = named(helm.objects(NOTHING), "Deployment")
    assert deployment["spec"]["template"]["spec"]["serviceAccountName"] == "own"


def test_every_value_reaches_its_place(helm: Helm) -> None:
    objects = helm.objects(EVERYTHING)
    deployment = named(objects, "Deployment", "operator-of-llamas")
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert deployment["spec"]["replicas"] == 3
    assert container["image"] == (
        "registry.example.com:5000/llm/llama-operator@sha256:" + "0123456789abcdef" * 4
    )
    assert container["imagePullPolicy"] == "Always"
    assert container["env"] == [
        {"name": "LLAMA_OPERATOR_LOG_LEVEL", "value": "debug"},
        {"name": "LLAMA_OPERATOR_WORKERS", "value": "16"},
        {"name": "LLAMA_OPERATOR_IMAGE_REGISTRY", "value": "registry.example.com:5000/mirror"},
        {"name": "LLAMA_OPERATOR_PRICE_TOLERANCE_PERCENT", "value": "50"},
        {"name": "LLAMA_OPERATOR_DOWNLOADER_IMAGE", "value": "registry.example.com/fetch:1"},
        {"name": "LLAMA_OPERATOR_ALLOW_HOST_PATH", "value": "true"},
        *EVERYTHING["extraEnv"],
    ]
    assert pod["metadata"]["labels"]["stage"] == "production", "a pod's label goes first"
    assert pod["metadata"]["labels"]["team"] == "llm"
    assert deployment["metadata"]["labels"]["stage"] == "test"
    assert pod["metadata"]["annotations"] == EVERYTHING["podAnnotations"]
    for key in (
        "imagePullSecrets",
        "nodeSelector",
        "tolerations",
        "affinity",
        "topologySpreadConstraints",
        "priorityClassName",
    ):
        assert pod["spec"][key] == EVERYTHING[key], key
    account = named(objects, "ServiceAccount", "operator-of-llamas")
    assert account["metadata"]["annotations"] == {"example.com/role": "llama"}
    monitor = named(objects, "ServiceMonitor")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"]["endpoints"] == [
        {"port": "metrics", "path": "/metrics", "interval": "15s"}
    ]
    assert named(objects, "PodDisruptionBudget")["spec"]["minAvailable"] == 2
    policy = named(objects, "NetworkPolicy")["spec"]
    downloads = {
        "app.kubernetes.io/name": "llama-fetch",
        "app.kubernetes.io/managed-by": "llama-operator",
    }
    assert policy["egress"] == [
        {"ports": [{"port": 6443, "protocol": "TCP"}]},
        {
            "ports": [{"port": 8090, "protocol": "TCP"}],
            "to": [{"namespaceSelector": {}, "podSelector": {"matchLabels": downloads}}],
        },
    ]
    assert policy["ingress"][1]["from"] == EVERYTHING["networkPolicy"]["metricsFrom"]


@pytest.mark.parametrize("values", VALUES[:2])
def test_selectors_match_the_pods_and_hold_nothing_that_changes(
    helm: Helm, values: dict[str, Any]
) -> None:
    objects = helm.objects(values)
    labels = named(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    selectors = [
        named(objects, "Deployment")["spec"]["selector"]["matchLabels"],
        named(objects, "Service")["spec"]["selector"],
        named(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        named(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector == {
            "app.kubernetes.io/name": "llama-operator",
            "app.kubernetes.io/instance": RELEASE,
            "app.kubernetes.io/component": "operator",
        }
        assert selector.items() <= labels.items()


def test_the_operators_pods_are_no_children_of_a_deployment(chart: Objects) -> None:
    labels = named(chart, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/managed-by"] != "llama-operator", "the operator watches those"


def test_services_do_not_become_settings_of_the_operator(chart: Objects) -> None:
    pod = named(chart, "Deployment")["spec"]["template"]["spec"]
    assert pod["enableServiceLinks"] is False
    ports = {port["name"]: port["containerPort"] for port in pod["containers"][0]["ports"]}
    assert ports == {"health": 8080, "metrics": 8081}
    assert pod["containers"][0]["args"] == ["run"]


def test_chart_and_base_name_the_version_of_this_checkout(base: Objects) -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert str(about["appVersion"]) == __version__
    deployment = named(base, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"llama-operator/llama-operator:{__version__}"
    assert deployment["metadata"]["labels"]["app.kubernetes.io/version"] == __version__
    dockerfile = (ROOT / "images" / "operator" / "Dockerfile").read_text()
    assert f"llama-operator/llama-operator:{__version__}" in dockerfile


def test_the_notes_tell_the_next_command_and_the_licence(helm: Helm) -> None:
    printed = helm.run(
        "install", RELEASE, str(CHART), "-n", NAMESPACE, "--dry-run=client", values={}
    )
    notes = " ".join(printed.partition("NOTES:")[2].split())
    assert "kubectl apply -f -" in notes
    assert "size: 70b format: awq" in notes
    assert "Built with Llama." in notes
    assert (
        "Llama 3.1 is licensed under the Llama 3.1 Community License, Copyright © Meta Platforms, "
        "Inc. All Rights Reserved."
    ) in notes


def test_an_old_cluster_is_refused(helm: Helm) -> None:
    done = helm.attempt("template", RELEASE, str(CHART), "--kube-version", "1.32.9")
    assert done.returncode != 0
    assert "requires kubeVersion: >=1.33.0-0" in done.stderr


def test_a_long_name_of_the_release_is_cut_to_what_services_allow(helm: Helm) -> None:
    printed = helm.run("template", "a" * 53, str(CHART), "-n", NAMESPACE)
    for one in yaml.safe_load_all(printed):
        if one and one["kind"] != "CustomResourceDefinition":
            assert len(one["metadata"]["name"]) <= 63, one["kind"]
