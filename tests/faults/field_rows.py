"""Every field of the API with two values of its own, and what each step of a walk ends in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

A100, H100 = "NVIDIA-A100-SXM4-80GB", "NVIDIA-H100-80GB-HBM3"
PINNED: Json = {"hardware": [{"gpu": A100}]}
BASE: Json = {"size": "8b", "format": "awq", **PINNED}
SMALL_DRAFT: Json = {"model": "llama-3.2-instruct", "size": "1b", "format": "pytorch"}
DIGEST = f"registry.example.com:5000/a/b.c_d:V1.0-x@sha256:{'0' * 64}"
STEPS = ("base", "set", "change", "unset", "refuse", "revert")
SERVING = "Serving"
TODAY = "an edit keeps today's GPUs where they still fit, so a plan may depend on the way to it"


@dataclass(frozen=True)
class Row:
    """One field and its way: base, set, change, unset, (refuse), revert.

    Attributes:
        path: the field; `[]` stands for the only item of a list, `*` for the only key of a map.
        first: the value that it is set to.
        second: the value that it is changed to.
        base: the spec that the walk begins and ends with, and that the values are put into.
        unset: what is removed to unset it, where the field itself is required.
        required: whether the API server refuses the object without it.
        refused: a value that the schema accepts and planning refuses, and the reason.
        reasons: of Ready after a step, where it is another than Serving.
        keeps_plan: why the plan after `unset` may be another than that of a new deployment.
    """

    path: str
    first: Any
    second: Any
    base: Json = field(default_factory=lambda: BASE)
    unset: str = ""
    required: bool = False
    refused: tuple[Any, str] | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)
    keeps_plan: str = ""

    @property
    def name(self) -> str:
        """The path as a name of a deployment."""
        word = self.path.removeprefix("spec.").replace("template.", "pod.").replace("*", "key")
        word = word.replace("[]", "-item").replace(".", "-")
        return "".join(f"-{c.lower()}" if c.isupper() else c for c in word)

    def spec(self, step: str) -> Json:
        """The spec of a step."""
        if step == "set":
            return put(self.base, self.path, self.first)
        if step == "change":
            return put(self.base, self.path, self.second)
        if step == "unset" and not self.required:
            return put(self.base, self.unset or self.path, None)
        if step == "refuse" and self.refused is not None:
            return put(self.base, self.path, self.refused[0])
        return self.base


def put(spec: Json, path: str, value: Any) -> Json:
    """The spec with another value at a path; None removes it."""
    return dict(_put(spec, path.removeprefix("spec.").replace("[]", ".[]").split("."), value))


def _put(node: Any, parts: list[str], value: Any) -> Any:
    head, *rest = parts
    if head == "*":
        head = next(iter(node))
    if head == "[]":
        items = list(node or [None])
        items[0] = _put(items[0] or {}, rest, value) if rest else value
        return [item for item in items if item is not None]
    result = dict(node or {})
    new = _put(result.get(head), rest, value) if rest else value
    if new is None:
        result.pop(head, None)
    else:
        result[head] = new
    return result


def at(*, fmt: str = "awq", size: str = "8b", **more: Any) -> Json:
    """A base with more in it."""
    return {"size": size, "format": fmt, **PINNED, **more}


def drafted(draft_size: str, draft_format: str, size: str = "70b", **more: Any) -> Json:
    """A base with a draft model."""
    draft = {"model": "llama-3.1-instruct", "size": draft_size, "format": draft_format}
    return at(size=size, speculative={"draftModel": draft}, **more)


CLAIMS = ("shared", "a.b-c.d0")
"""Claims that exist in the namespace of the walk."""
STORAGE_CLASSES = ("fast", "a.b-c.d0")
"""Classes of volumes that exist there, beside those without one."""
OWN_CLAIM: Json = {"claim": {}}
TOKEN = {"name": "hf-token", "key": "token"}
API_KEY = {"apiKeySecretRef": {"name": "llama-key"}}
ADAPTER = {"name": "sql", "repository": "org/a"}
TEMPLATE = {"configMapKeyRef": {"name": "templates"}}
ROWS = (
    Row(
        "spec.model", "llama-guard-3", "llama-3.1",
        at(fmt="pytorch", tokenSecretRef={"name": "hf-token", "key": "token"}),
        refused=("no-such-model", "UnknownModel"),
    ),
    Row("spec.size", "70b", "405b", required=True, refused=("9b", "UnknownModel")),
    Row(
        "spec.format", "gptq", "pytorch", at(hub="ModelScope"), refused=("mlx", "NotPublished"),
        keeps_plan=TODAY,
    ),
    Row(
        "spec.quantization", "w4a16", "iNT4", at(fmt="gptq"), refused=("nf4", "NotPublished"),
        keeps_plan=TODAY,
    ),
    Row("spec.hub", "ModelScope", "HuggingFace"),
    Row("spec.tokenSecretRef", TOKEN, {"name": "other.secret", "key": ".hidden"}),
    Row("spec.tokenSecretRef.name", "a", "a.b-c.d0", unset="spec.tokenSecretRef"),
    Row("spec.tokenSecretRef.key", "_", ".x-_9", at(tokenSecretRef={"name": "hf-token"})),
    Row("spec.engine", {"extraArgs": ["--seed=1"]}, {"env": [{"name": "A", "value": "1"}]}),
    Row("spec.engine.type", "vLLM", "Auto"),
    Row(
        "spec.engine.version", "2.2.0", "3.3.7", at(engine={"type": "TGI"}),
        refused=("1.0", "InvalidSpec"),
    ),
    Row("spec.engine.image", "vllm/vllm-openai:v0.33.0-x", DIGEST),
    Row(
        "spec.engine.extraArgs", ["--seed=1", "--seed=2"],
        ["", " ", "\t", "\n", "$(HOME)", "$$", "🦙", "{{ 1 }}", "null", "--seed=2", "--seed=1"],
    ),
    Row("spec.engine.extraArgs[]", "--seed=7", "--seed=8", unset="spec.engine.extraArgs"),
    Row(
        "spec.engine.env", [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)"}],
        [{"name": "B", "value": "$(A)"}, {"name": "A", "value": "1"}, {"name": "C"}],
    ),
    Row(
        "spec.engine.env[]", {"name": "A", "value": "1"}, {"name": "LOGNAME", "value": ""},
        unset="spec.engine.env",
    ),
    Row(
        "spec.engine.env[].name", "A", "LOGNAME",
        at(engine={"env": [{"name": "_", "value": "1"}]}), unset="spec.engine.env",
    ),
    Row("spec.engine.env[].value", "0x10", "\n a: b", at(engine={"env": [{"name": "_"}]})),
    Row(
        "spec.context", {"maxModelLen": 8192}, {"concurrency": 1},
        refused=({"maxModelLen": 131_073}, "ContextTooLong"),
    ),
    Row("spec.context.maxModelLen", 16, 131_072, refused=(10_485_760, "ContextTooLong")),
    Row(
        "spec.context.concurrency", 1, 3, at(context={"maxModelLen": 8192}),
        refused=(4096, "KVCacheTooSmall"),
    ),
    Row("spec.memory", {"cudaGraphs": "Disabled"}, {"maxNumSeqs": 7}),
    Row("spec.memory.utilizationPercent", 50, 98),
    Row("spec.memory.kvCacheDType", "fp8", "Auto"),
    Row("spec.memory.gpuLayers", 20, 33, at(fmt="ggufv2")),
    Row("spec.memory.maxNumSeqs", 1, 64),
    Row(
        "spec.memory.maxNumBatchedTokens", 256, 4096,
        at(hardware=[{"gpu": A100, "count": 1}]), refused=(1_048_576, "ActivationTooLarge"),
    ),
    Row("spec.memory.cudaGraphs", "Disabled", "Enabled"),
    Row("spec.memory.prefixCaching", "Disabled", "Enabled"),
    Row(
        "spec.hardware", [{"gpu": A100, "count": 2}],
        [{"gpu": H100, "count": 1}, {"gpu": A100, "count": 1}],
        at(hardware=[{"gpu": A100, "count": 1}]), refused=([{"gpu": "none"}], "GPUNotInCluster"),
        keeps_plan=TODAY,
    ),
    Row(
        "spec.hardware[]", {"gpu": A100, "count": 4}, {"gpu": H100, "count": 1},
        at(hardware=[{"gpu": A100, "count": 1}]), unset="spec.hardware", keeps_plan=TODAY,
        refused=({"gpu": "none"}, "GPUNotInCluster"),
    ),
    Row(
        "spec.hardware[].gpu", H100, A100, unset="spec.hardware", keeps_plan=TODAY,
        refused=("NVIDIA-B200", "GPUNotInCluster"),
    ),
    Row(
        "spec.hardware[].count", 2, 4, at(hardware=[{"gpu": A100, "count": 1}]),
        refused=(16, "TooFewGPUs"), keeps_plan=TODAY,
    ),
    Row("spec.hardware[].nodes", 1, None, refused=(2, "MultiNodeUnavailable")),
    Row("spec.cache", {"claim": {}}, {"image": "example.com/llama:1"}),
    Row(
        "spec.cache.claim", {"name": CLAIMS[0]}, {"storageClassName": STORAGE_CLASSES[0]},
        unset="spec.cache",
    ),
    Row("spec.cache.claim.name", *CLAIMS, at(cache=OWN_CLAIM)),
    Row("spec.cache.claim.storageClassName", *STORAGE_CLASSES, at(cache=OWN_CLAIM)),
    Row(
        "spec.cache.claim.accessMode", "ReadWriteOnce", "ReadWriteMany",
        at(cache={"claim": {"storageClassName": STORAGE_CLASSES[0]}}),
    ),
    Row("spec.cache.hostPath", "/mnt/models", "/_", unset="spec.cache"),
    Row("spec.cache.image", "example.com/llama:1", DIGEST, unset="spec.cache"),
    Row("spec.servedModelNames", ["a", "b"], ["b"]),
    Row("spec.servedModelNames[]", "0", "org/a:b_c.d", unset="spec.servedModelNames"),
    Row("spec.auth", API_KEY, {"apiKeySecretRef": {"name": "other.secret", "key": ".hidden"}}),
    Row(
        "spec.auth.apiKeySecretRef", {"name": "a"}, {"name": "b", "key": "c"}, at(auth=API_KEY),
        unset="spec.auth",
    ),
    Row("spec.auth.apiKeySecretRef.name", "a", "a.b-c.d0", unset="spec.auth"),
    Row("spec.auth.apiKeySecretRef.key", "_", ".x-_9", at(auth=API_KEY)),
    Row("spec.tls", {"secretName": "llama-tls"}, {"secretName": "a.b-c.d0"}),
    Row("spec.tls.secretName", "a", "a.b-c.d0", unset="spec.tls"),
    Row(
        "spec.chatTemplate", TEMPLATE,
        {"configMapKeyRef": {"name": "other.map", "key": ".hidden"}},
    ),
    Row(
        "spec.chatTemplate.configMapKeyRef", {"name": "a"}, {"name": "b", "key": "c"},
        at(chatTemplate=TEMPLATE), unset="spec.chatTemplate",
    ),
    Row("spec.chatTemplate.configMapKeyRef.name", "a", "a.b-c.d0", unset="spec.chatTemplate"),
    Row("spec.chatTemplate.configMapKeyRef.key", "_", ".x-_9", at(chatTemplate=TEMPLATE)),
    Row(
        "spec.template", {"metadata": {"labels": {"a": "b"}}},
        {"spec": {"priorityClassName": "system-node-critical"}},
    ),
    Row("spec.template.metadata", {"labels": {"a": "1"}}, {"annotations": {"a": "1"}}),
    Row(
        "spec.template.metadata.labels", {"a": "1", "example.com/b": ""}, {"example.com/b": "2"},
    ),
    Row(
        "spec.template.metadata.labels.*", "1", "x.y_z-0",
        at(template={"metadata": {"labels": {"example.com/a": "0"}}}),
    ),
    Row("spec.template.metadata.annotations", {"a": "$(HOME)", "b": "1"}, {"b": "{{ 1 }}"}),
    Row(
        "spec.template.metadata.annotations.*", "🦙", "a\n- b: c",
        at(template={"metadata": {"annotations": {"example.com/a": "0"}}}),
    ),
    Row(
        "spec.template.spec", {"imagePullSecrets": [{"name": "a"}]}, {"resources": {"cpu": "2"}},
        refused=({"resources": {"memory": "90Ti"}}, "HostTooSmall"),
    ),
    Row("spec.template.spec.serviceAccountName", "models", "other-models"),
    Row("spec.template.spec.priorityClassName", "system-cluster-critical", "system-node-critical"),
    Row("spec.template.spec.runtimeClassName", "nvidia", "other-nvidia"),
    Row(
        "spec.template.spec.schedulerName", "default-scheduler", "nobody",
        reasons={"change": "Starting"},
    ),
    Row("spec.template.spec.imagePullSecrets", [{"name": "a"}, {"name": "b"}], [{"name": "b"}]),
    Row(
        "spec.template.spec.imagePullSecrets[]", {"name": "a"}, {"name": "b.c"},
        unset="spec.template.spec.imagePullSecrets",
    ),
    Row(
        "spec.template.spec.imagePullSecrets[].name", "a", "b.c",
        unset="spec.template.spec.imagePullSecrets",
    ),
    Row(
        "spec.template.spec.resources", {"cpu": "2"}, {"memory": "20Gi"},
        refused=({"cpu": "9999"}, "HostTooSmall"),
    ),
    Row("spec.template.spec.resources.cpu", "2500m", "4", refused=("9999", "HostTooSmall")),
    Row("spec.template.spec.resources.memory", "20480Mi", "8Gi", refused=("90Ti", "HostTooSmall")),
    Row("spec.speculative", {"ngram": {}}, {"ngram": {"numTokens": 2}}),
    Row(
        "spec.speculative.ngram", {"lookupTokens": 2}, {"numTokens": 2}, unset="spec.speculative",
    ),
    Row("spec.speculative.ngram.numTokens", 1, 16, unset="spec.speculative"),
    Row(
        "spec.speculative.ngram.lookupTokens", 1, 16, at(speculative={"ngram": {}}),
        unset="spec.speculative.ngram.lookupTokens",
    ),
    Row(
        "spec.speculative.draftModel", SMALL_DRAFT, {**SMALL_DRAFT, "numTokens": 2},
        at(tokenSecretRef=TOKEN), unset="spec.speculative",
        refused=({**SMALL_DRAFT, "format": "ggufv2"}, "UnsupportedFormat"),
    ),
    Row(
        "spec.speculative.draftModel.model", "llama-3.1", "llama-guard-3",
        drafted("8b", "pytorch", tokenSecretRef=TOKEN), unset="spec.speculative",
        refused=("llama-9", "UnknownModel"),
    ),
    Row(
        "spec.speculative.draftModel.size", "70b", "8b", drafted("8b", "awq", size="405b"),
        unset="spec.speculative", refused=("9b", "UnknownModel"),
    ),
    Row(
        "spec.speculative.draftModel.format", "gptq", "fp8", drafted("8b", "awq"),
        unset="spec.speculative", refused=("ggufv2", "UnsupportedFormat"),
    ),
    Row(
        "spec.speculative.draftModel.quantization", "w4a16", "Int4", drafted("8b", "gptq"),
        refused=("Int8", "NotPublished"),
    ),
    Row("spec.speculative.draftModel.numTokens", 1, 16, drafted("8b", "awq")),
    Row("spec.lora", {"adapters": [ADAPTER]}, {"rank": 64, "adapters": [ADAPTER]}),
    Row("spec.lora.rank", 8, 512, at(lora={"adapters": [ADAPTER]}), unset="spec.lora"),
    Row(
        "spec.lora.adapters", [ADAPTER], [ADAPTER, {"name": "chat", "repository": "org/b"}],
        unset="spec.lora",
    ),
    Row(
        "spec.lora.adapters[]", ADAPTER, {"name": "chat", "repository": "org/b"},
        unset="spec.lora",
    ),
    Row(
        "spec.lora.adapters[].name", "chat", "Chat-2.0_a", at(lora={"adapters": [ADAPTER]}),
        unset="spec.lora",
    ),
    Row(
        "spec.lora.adapters[].repository", "org/b", "org_1/b.c-d",
        at(lora={"adapters": [ADAPTER]}), unset="spec.lora",
    ),
    Row(
        "spec.lora.adapters[].file", "b.gguf", "x/Y_1-f16.gguf",
        at(
            fmt="ggufv2", cache={"image": "example.com/llama:1"},
            lora={"adapters": [{**ADAPTER, "file": "a.gguf"}]},
        ),
        unset="spec.lora",
    ),
    Row("spec.replicas", 2, 0, reasons={"change": "ScaledToZero"}),
    Row("spec.suspend", True, False, reasons={"set": "Suspended"}),
)  # fmt: skip
"""One row for each field of the schema; a test holds them against the CRD."""
CLAIMED = tuple(row for row in ROWS if row.path.startswith("spec.cache"))
"""Rows that need volumes."""
