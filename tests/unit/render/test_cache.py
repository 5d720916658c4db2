"""Pods that read a model from a volume, and what fills it."""

from typing import Any

import pytest

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.enums import CacheKind
from llama_operator.api.plan import DraftModel, ModelCache, Plan
from llama_operator.engines.registry import ENGINES
from llama_operator.render.objects import render
from llama_operator.render.pod import pod_template
from support.deployments import deployment, plan

TOKEN = {"tokenSecretRef": {"name": "hf-token", "key": "k"}}
VERSIONS = {
    "vLLM": "0.33.0",
    "SGLang": "0.5.23",
    "TGI": "3.3.7",
    "LlamaCpp": "11434",
    "Transformers": "5.23.0",
    "MLX": "0.32.2",
}
CACHES: dict[CacheKind, dict[str, Any]] = {
    CacheKind.CLAIM: {"claim": {"name": "shared"}},
    CacheKind.HOST_PATH: {"hostPath": "/mnt/models"},
    CacheKind.IMAGE: {"image": "registry.example.com/llama:1"},
}


DRAFT = DraftModel(
    model="small", size="1b", format="ggufv2", quantization="Q8_0", repository="org/draft",
    file="draft-00001-of-00002.gguf", gated=False,
)  # fmt: skip


def cached(kind: CacheKind = CacheKind.CLAIM, **more: Any) -> Plan:
    return plan().model_copy(update={"cache": ModelCache(kind=kind, model_bytes=7 << 30), **more})


def wanted(kind: CacheKind = CacheKind.CLAIM, **spec: Any) -> LlamaDeployment:
    return deployment({"cache": CACHES[kind], **TOKEN, **spec})


def container(engine: str, **more: Any) -> dict[str, Any]:
    chosen = cached(engine=engine, engine_version=VERSIONS[engine], **more)
    found: dict[str, Any] = pod_template(chosen, wanted())["spec"]["containers"][0]
    return found


def environment(found: dict[str, Any]) -> dict[str, Any]:
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in found["env"]}


@pytest.mark.parametrize("engine", sorted(ENGINES))
@pytest.mark.parametrize("hub", ["HuggingFace", "ModelScope"])
def test_engines_run_offline_from_a_volume_that_they_only_read(engine: str, hub: str) -> None:
    found = container(engine, hub=hub)
    values = environment(found)
    assert {"HF_TOKEN", "MODELSCOPE_API_TOKEN"}.isdisjoint(values)
    assert not [name for name in values if "MODELSCOPE" in name or name == "MODEL_ENDPOINT"]
    [mount] = [entry for entry in found["volumeMounts"] if entry["mountPath"] == "/cache"]
    assert mount == {"name": "cache", "mountPath": "/cache", "readOnly": True}
    if engine == "LlamaCpp":
        assert "--offline" in found["args"]
        assert values["LLAMA_CACHE"] == "/cache/huggingface/hub"
        assert values["HOME"] == "/tmp"
    else:
        assert values["HF_HOME"] == "/cache/huggingface"
        assert (values["HF_HUB_OFFLINE"], values["TRANSFORMERS_OFFLINE"]) == ("1", "1")
    elsewhere = ("HF_HOME", "LLAMA_CACHE")
    written = {name: value for name, value in values.items() if name not in elsewhere}
    assert not [name for name, value in written.items() if str(value).startswith("/cache")]


def test_tgi_2_looks_where_the_files_are() -> None:
    found = environment(container("TGI") | {})
    assert "HUGGINGFACE_HUB_CACHE" not in found
    chosen = cached(engine="TGI", engine_version="2.2.0")
    old = environment(pod_template(chosen, wanted())["spec"]["containers"][0])
    assert old["HUGGINGFACE_HUB_CACHE"] == "/cache/huggingface/hub"
    assert old["HF_HUB_OFFLINE"] == "1"


@pytest.mark.parametrize(
    ("kind", "volume"),
    [
        (CacheKind.CLAIM, {"persistentVolumeClaim": {"claimName": "shared"}}),
        (CacheKind.HOST_PATH, {"hostPath": {"path": "/mnt/models", "type": "Directory"}}),
        (
            CacheKind.IMAGE,
            {"image": {"reference": "registry.example.com/llama:1", "pullPolicy": "IfNotPresent"}},
        ),
    ],
)
def test_the_volume_of_each_kind(kind: CacheKind, volume: dict[str, Any]) -> None:
    pod = pod_template(cached(kind), wanted(kind))["spec"]
    found = [entry for entry in pod["volumes"] if entry["name"] == "cache"]
    assert found == [{"name": "cache", **volume}]
    assert ("initContainers" in pod) == (kind is CacheKind.HOST_PATH)


def test_a_folder_of_a_node_is_filled_before_the_engine_starts() -> None:
    kind = CacheKind.HOST_PATH
    pod = pod_template(cached(kind), wanted(kind), downloader_image="d:1")["spec"]
    [fetch] = pod["initContainers"]
    assert fetch["image"] == "d:1"
    assert fetch["args"][:2] == ["prefetch", "hugging-quants/Meta-Llama-3.1-8B-Instruct-AWQ-INT4"]
    assert environment(fetch)["HF_TOKEN"] == {
        "secretKeyRef": {"name": "hf-token", "key": "k", "optional": False}
    }
    assert [mount for mount in fetch["volumeMounts"] if mount["name"] == "cache"] == [
        {"name": "cache", "mountPath": "/cache"}
    ]


def test_the_job_asks_for_no_gpu_and_is_restricted() -> None:
    job = render(cached(), wanted(), replicas=1, revision="r", downloader_image="d:1").fetch_job
    assert job is not None
    pod = job["spec"]["template"]["spec"]
    [fetch] = pod["containers"]
    assert fetch["image"] == "d:1"
    assert set(fetch["resources"]["requests"]) == {"cpu", "memory"}
    assert set(fetch["resources"]["limits"]) == {"memory"}
    assert "nodeSelector" not in pod
    assert "affinity" not in pod
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert fetch["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    # 7 GiB at 50 MB/s are 150.4 s; 630 s of pauses; in whole minutes.
    assert job["spec"]["activeDeadlineSeconds"] == 840
    assert job["spec"]["backoffLimit"] == 6
    assert "ttlSecondsAfterFinished" not in job["spec"]


def test_the_job_takes_the_pull_secrets_of_the_pods() -> None:
    secrets = {"spec": {"imagePullSecrets": [{"name": "registry"}]}}
    body = wanted(template=secrets)
    job = render(cached(), body, replicas=1, revision="r", downloader_image="d:1").fetch_job
    assert job is not None
    assert job["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "registry"}]


def test_a_download_goes_by_the_mirrors_and_proxies_of_the_engine_alone() -> None:
    env = [
        {"name": "HF_ENDPOINT", "value": "https://mirror.example.com"},
        {"name": "https_proxy", "value": "http://$(NAME):3128"},
        {"name": "NCCL_DEBUG", "value": "WARN"},
    ]
    body = deployment({"cache": {"claim": {}}, "engine": {"env": env}})
    job = render(cached(), body, replicas=1, revision="r").fetch_job
    assert job is not None
    assert environment(job["spec"]["template"]["spec"]["containers"][0]) == {
        "HOME": "/tmp",
        "POD_IP": {"fieldRef": {"fieldPath": "status.podIP"}},
        "HF_ENDPOINT": "https://mirror.example.com",
        "https_proxy": "http://$$(NAME):3128",
    }


def test_the_service_selects_no_pod_that_downloads() -> None:
    rendered = render(cached(), wanted(), replicas=2, revision="r")
    assert rendered.fetch_job is not None
    labels = rendered.fetch_job["spec"]["template"]["metadata"]["labels"]
    selectors = (
        rendered.service["spec"]["selector"],
        rendered.headless_service["spec"]["selector"],
        rendered.workload["spec"]["selector"]["matchLabels"],
        (rendered.pod_disruption_budget or {})["spec"]["selector"]["matchLabels"],
    )
    assert not any(selector.items() <= labels.items() for selector in selectors)


@pytest.mark.parametrize(
    ("file", "files"),
    [
        pytest.param("", [], id="the whole repository"),
        pytest.param("a-Q4_K_M.gguf", ["a-Q4_K_M.gguf"], id="one file"),
        pytest.param(
            "q/a-00001-of-00003.gguf",
            ["q/a-00001-of-00003.gguf", "q/a-00002-of-00003.gguf", "q/a-00003-of-00003.gguf"],
            id="every part of a split one",
        ),
    ],
)
def test_the_files_that_are_fetched(file: str, files: list[str]) -> None:
    job = render(cached(file=file), wanted(), replicas=1, revision="r").fetch_job
    assert job is not None
    arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
    assert arguments == [
        "prefetch",
        "hugging-quants/Meta-Llama-3.1-8B-Instruct-AWQ-INT4",
        "--hub",
        "HuggingFace",
        "--into",
        "/cache/huggingface",
        *(word for name in files for word in ("--file", name)),
        "--json-termination",
        "/dev/termination-log",
        "--progress-address=$(POD_IP)",
        "--progress-port=8090",
    ]


ADAPTERS = [
    {"name": "sql", "repository": "org/sql-lora"},
    {"name": "chat", "repository": "org/chat-GGUF", "file": "f16/chat.gguf"},
]


@pytest.mark.parametrize("kind", [CacheKind.CLAIM, CacheKind.HOST_PATH])
def test_adapters_are_fetched_beside_the_model(kind: CacheKind) -> None:
    body = wanted(kind, lora={"adapters": ADAPTERS})
    if kind is CacheKind.CLAIM:
        job = render(cached(kind), body, replicas=1, revision="r").fetch_job
        assert job is not None
        [fetch] = job["spec"]["template"]["spec"]["containers"]
        plain = render(cached(kind), wanted(kind), replicas=1, revision="r").fetch_job
        assert plain is not None
        assert job["metadata"]["name"] != plain["metadata"]["name"]
    else:
        [fetch] = pod_template(cached(kind), body, downloader_image="d:1")["spec"]["initContainers"]
    start = fetch["args"].index("--adapter")
    assert fetch["args"][start : start + 5] == [
        *("--adapter", "org/sql-lora", "--adapter", "org/chat-GGUF:f16/chat.gguf"),
        "--json-termination",
    ]


def test_the_draft_model_is_fetched_as_well() -> None:
    job = render(cached(draft=DRAFT), wanted(), replicas=1, revision="r").fetch_job
    assert job is not None
    arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
    assert arguments[6:-4] == [
        *("--draft", "org/draft"),
        *("--draft-file", "draft-00001-of-00002.gguf"),
        *("--draft-file", "draft-00002-of-00002.gguf"),
    ]


def test_the_download_alone_tells_how_far_it_is() -> None:
    rendered = render(cached(), wanted(), replicas=1, revision="r")
    assert rendered.fetch_job is not None
    [fetch] = rendered.fetch_job["spec"]["template"]["spec"]["containers"]
    assert fetch["ports"] == [{"name": "progress", "containerPort": 8090}]
    kind = CacheKind.HOST_PATH
    [before] = pod_template(cached(kind), wanted(kind))["spec"]["initContainers"]
    assert "ports" not in before
    assert "POD_IP" not in environment(before)
    assert before["args"][-1] == "--if-missing"


@pytest.mark.parametrize(
    ("plan_fields", "cache", "same"),
    [
        pytest.param({}, {"claim": {"name": "shared"}}, True, id="nothing"),
        pytest.param({"max_model_len": 99}, {"claim": {"name": "shared"}}, True, id="the context"),
        pytest.param({"repository": "a/b"}, {"claim": {"name": "shared"}}, False, id="the model"),
        pytest.param({"file": "a.gguf"}, {"claim": {"name": "shared"}}, False, id="the file"),
        pytest.param({"hub": "ModelScope"}, {"claim": {"name": "shared"}}, False, id="the hub"),
        pytest.param({"draft": DRAFT}, {"claim": {"name": "shared"}}, False, id="the draft"),
        pytest.param({}, {"claim": {"name": "other"}}, False, id="the claim"),
        pytest.param({}, {"claim": {"storageClassName": "fast"}}, False, id="the class"),
    ],
)
def test_the_name_of_the_job_tells_what_it_fetches_and_where(
    plan_fields: dict[str, Any], cache: dict[str, Any], same: bool
) -> None:
    first = render(cached(), wanted(), replicas=1, revision="r").fetch_job
    other = render(
        cached(**plan_fields), deployment({"cache": cache}), replicas=1, revision="r"
    ).fetch_job
    assert first is not None
    assert other is not None
    assert (first["metadata"]["name"] == other["metadata"]["name"]) == same


def test_a_claim_that_cannot_become_another_has_another_name() -> None:
    def claim(**fields: Any) -> dict[str, Any]:
        found = render(
            cached(), deployment({"cache": {"claim": fields}}), replicas=1, revision="r"
        ).claim
        assert found is not None
        return found

    usual = claim()
    assert usual["metadata"]["name"] == "llama-models"
    assert usual["spec"] == {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": "7Gi"}},
    }
    odd = claim(storageClassName="fast", accessMode="ReadWriteOnce")
    assert odd["spec"]["storageClassName"] == "fast"
    assert odd["spec"]["accessModes"] == ["ReadWriteOnce"]
    names = [
        claim(storageClassName="fast")["metadata"]["name"],
        claim(accessMode="ReadWriteOnce")["metadata"]["name"],
        odd["metadata"]["name"],
        "llama-models",
    ]
    assert len(set(names)) == 4
    assert claim(accessMode="ReadWriteMany")["metadata"]["name"] == "llama-models"
