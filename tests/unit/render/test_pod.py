from typing import Any

import pytest

from golden.cases import CASES, Case
from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.plan import GpuChoice, NodeLabel, NodeSelector
from llama_operator.errors import SpecError
from llama_operator.render.pod import gpu_nodes, pod_template, taint_key

ALL = [pytest.param(case, id=case.name) for case in CASES]
BY_NAME = {case.name: case for case in CASES}
PLAN = BY_NAME["llama-70b-awq"].plan()


def deployment(metadata: dict[str, Any] | None = None, **spec: Any) -> LlamaDeployment:
    return LlamaDeployment.parse(
        {"metadata": {"name": "llama", **(metadata or {})}, "spec": {"size": "70b", **spec}}
    )


@pytest.mark.parametrize("case", ALL)
def test_pods_pass_the_restricted_pod_security_standard(case: Case) -> None:
    pod = pod_template(case.plan(), case.deployment())["spec"]

    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(pod)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 2000
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    kinds = {kind for volume in pod["volumes"] for kind in volume.keys() - {"name"}}
    assert kinds <= {"emptyDir", "secret", "configMap", "persistentVolumeClaim"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert all(
            set(port) == {"name", "containerPort", "protocol"} for port in container["ports"]
        )


@pytest.mark.parametrize("case", ALL)
def test_pods_get_no_token_and_no_service_links(case: Case) -> None:
    pod = pod_template(case.plan(), case.deployment())["spec"]

    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False


@pytest.mark.parametrize("case", ALL)
def test_limits_equal_requests_where_sharing_would_kill(case: Case) -> None:
    plan = case.plan()

    resources = pod_template(plan, case.deployment())["spec"]["containers"][0]["resources"]

    gpus = {"nvidia.com/gpu": str(plan.gpu.count)}
    memory = {"memory": resources["requests"]["memory"]}
    assert resources["limits"] == {**memory, **gpus}
    assert set(resources["requests"]) == {"cpu", "memory", "ephemeral-storage", "nvidia.com/gpu"}
    assert resources["requests"]["nvidia.com/gpu"] == gpus["nvidia.com/gpu"]


def test_resources_of_the_70b_awq() -> None:
    container = pod_template(PLAN, deployment())["spec"]["containers"][0]

    assert container["resources"]["requests"] == {
        "cpu": "3",
        "memory": "13Gi",
        "ephemeral-storage": "40846Mi",
        "nvidia.com/gpu": "1",
    }


def test_every_volume_is_mounted_once_and_bounded() -> None:
    pod = pod_template(PLAN, deployment())["spec"]

    mounts = [mount["name"] for mount in pod["containers"][0]["volumeMounts"]]
    assert mounts == [volume["name"] for volume in pod["volumes"]]
    assert {volume["name"]: volume["emptyDir"] for volume in pod["volumes"]} == {
        "cache": {"sizeLimit": "40846Mi"},
        "home": {"sizeLimit": "8Gi"},
        "tmp": {"sizeLimit": "2Gi"},
        "shm": {"medium": "Memory", "sizeLimit": "1Gi"},
    }


def test_pods_require_an_accepted_product_and_prefer_the_chosen_one() -> None:
    gpu = PLAN.gpu.model_copy(
        update={"accepted_products": ["NVIDIA-H100-80GB-HBM3", "NVIDIA-A100-SXM4-80GB"]}
    )

    pod = pod_template(PLAN.model_copy(update={"gpu": gpu}), deployment())["spec"]

    affinity = pod["affinity"]["nodeAffinity"]
    assert affinity["requiredDuringSchedulingIgnoredDuringExecution"] == {
        "nodeSelectorTerms": [
            {
                "matchExpressions": [
                    {
                        "key": "nvidia.com/gpu.product",
                        "operator": "In",
                        "values": ["NVIDIA-A100-SXM4-80GB", "NVIDIA-H100-80GB-HBM3"],
                    }
                ]
            }
        ]
    }
    assert affinity["preferredDuringSchedulingIgnoredDuringExecution"] == [
        {
            "weight": 100,
            "preference": {
                "matchExpressions": [
                    {
                        "key": "nvidia.com/gpu.product",
                        "operator": "In",
                        "values": ["NVIDIA-A100-SXM4-80GB"],
                    }
                ]
            },
        }
    ]


def test_pods_find_nodes_by_labels_of_a_cloud() -> None:
    gke = NodeSelector(
        product="NVIDIA-L4",
        labels=[NodeLabel(label="cloud.google.com/gke-accelerator", value="nvidia-l4")],
        absent_labels=["cloud.google.com/gke-gpu-partition-size"],
    )
    other = NodeSelector(
        product="NVIDIA-A10G",
        labels=[NodeLabel(label="karpenter.k8s.aws/instance-family", value="g5")],
    )
    gpu = PLAN.gpu.model_copy(update={"product": "NVIDIA-L4", "node_selectors": [gke, other]})

    pod = pod_template(PLAN.model_copy(update={"gpu": gpu}), deployment())["spec"]

    affinity = pod["affinity"]["nodeAffinity"]
    expressions = [
        {
            "key": "cloud.google.com/gke-accelerator",
            "operator": "In",
            "values": ["nvidia-l4"],
        },
        {"key": "cloud.google.com/gke-gpu-partition-size", "operator": "DoesNotExist"},
    ]
    assert affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"] == [
        {"matchExpressions": expressions},
        {
            "matchExpressions": [
                {
                    "key": "karpenter.k8s.aws/instance-family",
                    "operator": "In",
                    "values": ["g5"],
                }
            ]
        },
    ]
    assert affinity["preferredDuringSchedulingIgnoredDuringExecution"] == [
        {"weight": 100, "preference": {"matchExpressions": expressions}}
    ]


@pytest.mark.parametrize(
    ("product", "accepted", "expected"),
    [
        pytest.param("B", ["C", "A", "B"], ("A", "B", "C"), id="sorted"),
        pytest.param("B", [], ("B",), id="the chosen one is always accepted"),
        pytest.param("B", ["B", "B"], ("B",), id="once each"),
    ],
)
def test_accepted_products(product: str, accepted: list[str], expected: tuple[str, ...]) -> None:
    gpu = GpuChoice(product=product, count=1, resource="r", label="l", accepted_products=accepted)

    assert gpu_nodes(gpu) == (({"key": "l", "operator": "In", "values": list(expected)},),)


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        pytest.param("nvidia.com/gpu", "nvidia.com/gpu", id="NVIDIA"),
        pytest.param("nvidia.com/mig-1g.10gb", "nvidia.com/gpu", id="a MIG slice"),
        pytest.param("nvidia.com/gpu.shared", "nvidia.com/gpu", id="a shared GPU"),
        pytest.param("amd.com/gpu", "amd.com/gpu", id="AMD"),
        pytest.param("gpu.intel.com/i915", "gpu.intel.com/i915", id="Intel"),
    ],
)
def test_taint_keys(resource: str, expected: str) -> None:
    assert taint_key(resource) == expected


def test_pods_tolerate_the_taint_of_their_gpus() -> None:
    gpu = PLAN.gpu.model_copy(update={"resource": "amd.com/gpu"})

    pod = pod_template(PLAN.model_copy(update={"gpu": gpu}), deployment())["spec"]

    assert pod["tolerations"] == [{"key": "amd.com/gpu", "operator": "Exists"}]
    assert pod["containers"][0]["resources"]["limits"]["amd.com/gpu"] == "1"


def test_probes_and_graceful_end() -> None:
    pod = pod_template(PLAN, deployment())["spec"]
    container = pod["containers"][0]

    get = {"path": "/health", "port": "http"}
    assert container["startupProbe"] == {
        "httpGet": get,
        "periodSeconds": 10,
        "timeoutSeconds": 5,
        "failureThreshold": 120,
    }
    assert container["readinessProbe"]["httpGet"] == container["livenessProbe"]["httpGet"] == get
    assert container["lifecycle"] == {"preStop": {"sleep": {"seconds": 10}}}
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert pod["terminationGracePeriodSeconds"] == 120


def test_a_token_is_a_required_reference() -> None:
    template = pod_template(PLAN, deployment(tokenSecretRef={"name": "hf-token", "key": "k"}))

    assert {
        "name": "HF_TOKEN",
        "valueFrom": {"secretKeyRef": {"name": "hf-token", "key": "k", "optional": False}},
    } in template["spec"]["containers"][0]["env"]


@pytest.mark.parametrize(
    ("metadata", "spec"),
    [
        pytest.param({"uid": "another"}, {}, id="the UID"),
        pytest.param({"generation": 7}, {}, id="the generation"),
        pytest.param({"namespace": "another"}, {}, id="the namespace"),
        pytest.param({"annotations": {"a": "b"}}, {}, id="annotations"),
        pytest.param({}, {"replicas": 5}, id="replicas"),
        pytest.param({}, {"suspend": True}, id="suspend"),
        pytest.param({}, {"context": {"concurrency": 1}}, id="what only planning reads"),
    ],
)
def test_no_pod_restarts_for(metadata: dict[str, Any], spec: dict[str, Any]) -> None:
    assert pod_template(PLAN, deployment(metadata, **spec)) == pod_template(PLAN, deployment())


def test_a_plan_of_an_unknown_engine_is_refused() -> None:
    with pytest.raises(SpecError, match="'Ollama' is no engine"):
        pod_template(PLAN.model_copy(update={"engine": "Ollama"}), deployment())


def test_what_the_spec_adds_to_the_pods() -> None:
    case = BY_NAME["8b-awq-template"]
    template = pod_template(case.plan(), case.deployment())
    pod = template["spec"]

    assert template["metadata"]["labels"] == {
        "team": "search",
        "example.com/cost-centre": "4711",
        "app.kubernetes.io/name": "llama",
        "app.kubernetes.io/instance": "llama-8b",
        "app.kubernetes.io/managed-by": "llama-operator",
    }
    assert template["metadata"]["annotations"]["sidecar.istio.io/inject"] == "false"
    assert pod["serviceAccountName"] == pod["serviceAccount"] == "models"
    assert pod["automountServiceAccountToken"] is False
    assert (pod["priorityClassName"], pod["runtimeClassName"]) == ("production", "nvidia")
    assert pod["schedulerName"] == "volcano"
    assert pod["imagePullSecrets"] == [{"name": "registry"}, {"name": "mirror"}]
    resources = pod["containers"][0]["resources"]
    assert (resources["requests"]["cpu"], resources["requests"]["memory"]) == ("6500m", "24Gi")
    assert resources["limits"]["memory"] == "24Gi"


@pytest.mark.parametrize(
    "template",
    [
        pytest.param({}, id="empty"),
        pytest.param({"metadata": {"labels": {}}, "spec": {"resources": {}}}, id="of empty parts"),
    ],
)
def test_an_empty_template_adds_nothing(template: dict[str, Any]) -> None:
    assert pod_template(PLAN, deployment(template=template)) == pod_template(PLAN, deployment())
