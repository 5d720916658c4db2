"""The samples: one for each kind of case, explained, in the catalog and accepted as they are."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from controlplane import ControlPlane
from llama_operator.api.deployment import LlamaDeployment
from llama_operator.catalog.catalog import Catalog

FOLDER = Path(__file__).parents[2] / "manifests" / "samples"
SAMPLES = sorted(FOLDER.glob("*.yaml"))
OVERLAY = FOLDER / "overlay"
PARTS = sorted((OVERLAY / "base").glob("[!k]*.yaml"))

KINDS: dict[str, dict[str, Any]] = {
    "70b awq, nothing else": {"size": "70b", "format": "awq"},
    "8b in 16 bits on 24 GB with a lowered context": {
        "size": "8b",
        "format": "pytorch",
        "context": {"maxModelLen": 8192},
        "hardware": [{"gpu": "NVIDIA-A10G"}, {"gpu": "NVIDIA-L4"}],
    },
    "70b awq by TGI on four A100": {
        "format": "awq",
        "engine": {"type": "TGI", "version": "2.2.0"},
        "context": {"maxModelLen": 4096},
        "hardware": [{"gpu": "NVIDIA-A100-SXM4-80GB", "count": 4}],
    },
    "70b gptq on two A100": {
        "size": "70b",
        "format": "gptq",
        "hardware": [{"gpu": "NVIDIA-A100-SXM4-80GB", "count": 2}],
    },
    "70b in 16 bits on four A100": {
        "size": "70b",
        "format": "pytorch",
        "hardware": [{"gpu": "NVIDIA-A100-SXM4-80GB", "count": 4}],
    },
    "405b fp8 on eight H100": {
        "size": "405b",
        "format": "fp8",
        "hardware": [{"gpu": "NVIDIA-H100-80GB-HBM3", "count": 8}],
    },
    "405b awq on eight A100 with 80 GB": {
        "size": "405b",
        "format": "awq",
        "hardware": [{"gpu": "NVIDIA-A100-SXM4-80GB", "count": 8}],
    },
    "405b awq on eight A100 with 40 GB": {
        "size": "405b",
        "format": "awq",
        "hardware": [{"gpu": "NVIDIA-A100-SXM4-40GB", "count": 8}],
    },
    "the guard": {"model": "llama-guard-3", "size": "8b"},
    "a base model": {"model": "llama-3.1", "size": "8b"},
    "a gated repository": {
        "format": "pytorch",
        "tokenSecretRef": {"name": "hf-token", "key": "token"},
    },
    "a GGUF file": {"format": "ggufv2", "quantization": "Q4_K_M"},
    "MLX": {"format": "mlx"},
    "ModelScope": {"hub": "ModelScope"},
}


def load(path: Path) -> dict[str, Any]:
    """The one object of a file."""
    value = yaml.safe_load(path.read_text())
    assert isinstance(value, dict)
    return value


def name(path: Path) -> str:
    """A file's name, for test ids."""
    return path.name


@pytest.mark.parametrize("spec", KINDS.values(), ids=KINDS.keys())
def test_there_is_a_sample_of(spec: dict[str, Any]) -> None:
    assert any(spec.items() <= load(path)["spec"].items() for path in SAMPLES)


def test_the_first_sample_is_that_of_the_documentation() -> None:
    text = (FOLDER / "llama-70b-awq.yaml").read_text()
    manifest = "".join(line for line in text.splitlines(True) if not line.startswith("#"))
    assert manifest == (
        "apiVersion: llama-operator.io/v1alpha1\n"
        "kind: LlamaDeployment\n"
        "metadata:\n"
        "  name: llama-70b-awq\n"
        "spec:\n"
        "  size: 70b\n"
        "  format: awq\n"
    )


@pytest.mark.parametrize("path", [*SAMPLES, *sorted(OVERLAY.rglob("*.yaml"))], ids=name)
def test_a_file_begins_with_a_comment_that_explains_it(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    assert first.startswith("# ")
    assert len(first) > 30


def test_names_differ_so_that_all_can_be_applied_at_once() -> None:
    names = [load(path)["metadata"]["name"] for path in SAMPLES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", [*SAMPLES, *PARTS], ids=name)
def test_a_sample_is_published_and_asks_for_a_token_where_it_must(path: Path) -> None:
    spec = LlamaDeployment.parse(load(path)).spec
    assert spec.size is not None
    published = [
        one
        for one in Catalog.load().publications(spec.model, spec.size)
        if (one.format, one.hub) == (spec.format, spec.hub)
        and one.quantization == (spec.quantization or one.quantization)
    ]
    assert published
    chosen = [one for one in published if one.recommended or spec.quantization]
    assert any(one.gated for one in chosen) == (spec.token_secret_ref is not None)


@pytest.mark.cluster
@pytest.mark.parametrize("path", [*SAMPLES, *PARTS], ids=name)
def test_a_sample_passes_a_strict_dry_run(crd: ControlPlane, path: Path) -> None:
    apply = ("apply", "--dry-run=server", "--validate=strict", "-n", "default")
    assert "created (server dry run)" in crd.kubectl(*apply, "-f", str(path)).stdout


@pytest.mark.cluster
def test_the_overlay_changes_its_base(crd: ControlPlane) -> None:
    rendered = crd.kubectl("kustomize", str(OVERLAY)).stdout
    found = {one["metadata"]["name"]: one for one in yaml.safe_load_all(rendered)}
    assert found.keys() == {"llm-production", "chat", "guard"}
    for one in ("chat", "guard"):
        assert found[one]["metadata"]["namespace"] == "llm-production"
        assert found[one]["spec"]["replicas"] == 2
    assert found["chat"]["spec"]["size"] == "70b"
    assert load(OVERLAY / "base" / "chat.yaml")["spec"]["size"] == "8b"
    assert [one["gpu"] for one in found["chat"]["spec"]["hardware"]] == [
        "NVIDIA-H100-80GB-HBM3",
        "NVIDIA-A100-SXM4-80GB",
    ]


@pytest.mark.cluster
def test_the_overlay_applies(crd: ControlPlane) -> None:
    crd.kubectl("apply", "--validate=strict", "-k", str(OVERLAY))
    try:
        printed = crd.kubectl("get", "llama", "-n", "llm-production", "-o", "name").stdout
        assert printed.split() == [
            "llamadeployment.llama-operator.io/chat",
            "llamadeployment.llama-operator.io/guard",
        ]
    finally:
        crd.kubectl("delete", "--wait=false", "-k", str(OVERLAY))
