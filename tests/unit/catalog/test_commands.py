"""`llama-operator models` and `gpus`, and the manifests they read."""

import argparse
import io
import json
import re
from pathlib import Path

import pytest
import yaml

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.manifests import read_manifest
from llama_operator.catalog.user_rows import read_user_rows
from llama_operator.catalog.user_schema import UserPublication
from llama_operator.cli import gpus, models
from llama_operator.errors import InputError

HOW_TO = Path(__file__).parents[3] / "docs" / "how-to" / "add-models.md"
MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata:
  name: ours
  namespace: llama
  labels:
    llama-operator.io/catalog: "true"
data:
  models.yaml: |
    - name: hermes-3
      size: 8b
      architecture: llama-3.1-8b
      publications:
        - {format: pytorch, quantization: none, repository: NousResearch/Hermes-3-Llama-3.1-8B}
  gpus.yaml: |
    - {product: NVIDIA-X, label_mib: 16376, compute_capability: "8.9"}
"""


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    models.register(commands)
    gpus.register(commands)
    arguments = parser.parse_args(words)
    return int(arguments.func(arguments))


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_models_alone_is_a_summary(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models") == 0
    out = capsys.readouterr().out
    assert re.search(
        r"^llama-3.1-instruct +405b +131,072 +chat, tools +pytorch, fp8, awq, gptq", out, re.M
    )
    assert re.search(r"^prompt-guard +86m +512 +classify +cannot be deployed", out, re.M)
    assert max(map(len, out.splitlines())) <= 80


def test_a_model_shows_what_the_spec_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models", "llama-3.1-instruct", "--size", "70b", "--format", "ggufv2") == 0
    out = capsys.readouterr().out
    assert "llama-3.1-instruct 70b  131,072 tokens  chat, tools  llama3.1" in out
    assert re.search(r"Q4_K_M\* Q5_K_M", out)
    assert "(Q4_K_M)" in out
    assert "() published here too, but another repository is taken" in out
    assert "gated" not in out
    assert max(map(len, out.splitlines())) <= 80


def test_wide_terminals_show_schemes_and_whole_repositories(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert run("models", "llama-3.1-instruct", "--size", "405b") == 0
    out = capsys.readouterr().out
    repository = "hugging-quants/Meta-Llama-3.1-405B-Instruct-GPTQ-INT4"
    assert re.search(rf"^gptq +Int4\* +HuggingFace {repository} +gptq-int4-g128", out, re.M)
    assert re.search(r"meta-llama/Meta-Llama-3.1-405B-Instruct-FP8 ! +fbgemm-fp8", out)
    assert "~  quantized by the engine while it loads" in out


def test_the_widest_terminals_show_engines_and_sizes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert run("models", "llama-3.1-instruct", "--size", "70b", "--hub", "HuggingFace") == 0
    out = capsys.readouterr().out
    assert re.search(r"Instruct-AWQ-INT4 +awq-int4-g128 +vLLM SGLang TGI Transformers", out)
    assert re.search(r"bartowski/\S+ +GGUF type +LlamaCpp +24.1 - 75.0$", out, re.M)
    assert max(map(len, out.splitlines())) <= 160


def test_what_cannot_be_deployed_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models", "prompt-guard") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Cannot be deployed: it is a classifier" in out
    assert "llama-guard-3" in out


def test_json_holds_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models", "-o", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found) == 9
    assert sum(len(item["publications"]) for item in found) == 111
    assert found[0]["architecture"]["hidden_size"] == 4096


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(["--hub", "ModelScope", "--format", "awq"], {"8b", "70b", "405b"}, id="hub"),
        pytest.param(["--format", "fp8", "--size", "405b"], {"405b"}, id="size"),
        pytest.param(["--format", "mlx", "--hub", "ModelScope"], set(), id="nothing"),
    ],
)
def test_options_narrow_the_list(
    words: list[str], expected: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("models", *words, "-o", "json") == 0
    assert {item["size"] for item in json.loads(capsys.readouterr().out)} == expected


def test_nothing_is_said_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models", "--format", "mlx", "--hub", "ModelScope") == 0
    assert capsys.readouterr().out == "Nothing in the catalog matches.\n"
    assert run("gpus", "Voodoo") == 0
    assert capsys.readouterr().out == "Nothing in the catalog matches.\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(
            ["llama-9"], "NAME 'llama-9' is not in the catalog; it has llama-3.1,", id="name"
        ),
        pytest.param(
            ["llama-guard-3", "--size", "70b"],
            "--size '70b' is not in the catalog; it has 8b",
            id="size",
        ),
        pytest.param(
            ["--catalog", "/none.yaml"],
            "--catalog /none.yaml cannot be read: No such file",
            id="file",
        ),
    ],
)
def test_bad_input(words: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        run("models", *words)
    assert message in str(caught.value)


def test_models_as_yaml_are_rows_for_a_configmap(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models", "llama-3.1-instruct", "-o", "yaml") == 0
    items = yaml.safe_load(capsys.readouterr().out)
    for item in items:
        item["name"] = "ours"
    rows, errors = read_user_rows("c", {"models.yaml": json.dumps(items)})
    assert errors == ()
    catalog, refused = Catalog.load().with_user_rows(rows)
    assert refused == ()
    for size in ("8b", "70b", "405b"):
        for format_name in catalog.formats("llama-3.1-instruct", size):
            for hub in ("HuggingFace", "ModelScope"):
                theirs = [
                    (row.quantization, row.repository, row.scheme, row.recommended, row.auto_rank)
                    for row in catalog.publications("llama-3.1-instruct", size)
                    if (row.format, row.hub, row.publisher_rank) == (format_name, hub, 1)
                ]
                ours = [
                    (row.quantization, row.repository, row.scheme, row.recommended, row.auto_rank)
                    for row in catalog.publications("ours", size)
                    if (row.format, row.hub) == (format_name, hub)
                ]
                assert ours == theirs


def test_gpus_as_yaml_are_rows_for_a_configmap(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("gpus", "-o", "yaml") == 0
    rows, errors = read_user_rows("c", {"gpus.yaml": capsys.readouterr().out})
    assert errors == ()
    catalog, refused = Catalog.load().with_user_rows(rows)
    assert refused == ()
    assert catalog.tables.gpus == Catalog.load().tables.gpus


def test_gpus_are_listed_by_part_of_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("gpus", "h100-sxm5") == 0
    out = capsys.readouterr().out
    assert re.search(r"^NVIDIA-H100-80GB-HBM3 +80 79.19 +9.0 3,350 +900", out, re.M)
    assert "NVIDIA-H100-PCIe" not in out
    assert run("gpus", "--vendor", "Intel", "-o", "json") == 0
    assert [item["product"] for item in json.loads(capsys.readouterr().out)] == [
        "HL-225",
        "HL-325L",
    ]


@pytest.mark.parametrize("width", ["80", "160"])
def test_gpus_fit_the_terminal(
    width: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    assert run("gpus") == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= int(width)
    assert "NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition" in out
    assert ("LABEL MiB" in out) == (width == "160")


def test_rows_of_a_file_are_listed_like_built_in_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "ours.yaml"
    file.write_text(MANIFEST)
    assert run("models", "hermes-3", "--catalog", str(file)) == 0
    out = capsys.readouterr()
    assert "NousResearch/Hermes-3-Llama-3.1-8B" in out.out
    assert out.err == ""
    assert run("gpus", "NVIDIA-X", "--catalog", str(file), "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)[0]["label_mib"] == 16376


def test_a_wrong_row_is_told_and_the_others_are_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = MANIFEST.replace("format: pytorch", "format: gguf").replace('"true"', '"no"')
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert run("gpus", "NVIDIA-X", "--catalog", "-") == 2
    out = capsys.readouterr()
    assert "NVIDIA-X" in out.out
    assert out.err.splitlines() == [
        "llama-operator: ConfigMap llama/ours: the operator reads it only with the label "
        'llama-operator.io/catalog: "true"',
        "llama-operator: ConfigMap llama/ours, models.yaml[0].publications[0].format: "
        "write one of pytorch, fp8, awq, gptq, ggufv2, mlx",
    ]


def test_several_configmaps_in_one_manifest() -> None:
    other = MANIFEST.replace("name: ours", "name: theirs")
    documents, _ = read_manifest("f", f"{MANIFEST}---\n{other}---\n")
    listed, _ = read_manifest(
        "f",
        json.dumps({"kind": "List", "items": [yaml.safe_load(MANIFEST), yaml.safe_load(other)]}),
    )
    assert [row.configmap for row in documents] == ["llama/ours"] * 2 + ["llama/theirs"] * 2
    assert documents == listed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "f is empty; write a ConfigMap", id="nothing"),
        pytest.param("[", "f is no YAML", id="no YAML"),
        pytest.param("kind: Secret", "f holds Secret; write ConfigMaps", id="another kind"),
        pytest.param("- 1", "f holds something that is no Kubernetes object", id="a list"),
        pytest.param("kind: {a: b}", "f holds {'a': 'b'}; write ConfigMaps", id="a strange kind"),
        pytest.param("kind: List\nitems: 7", "f is empty", id="a strange list"),
    ],
)
def test_a_file_without_configmaps(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_manifest("f", text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("kind: ConfigMap", "ConfigMap without name: the operator reads", id="bare"),
        pytest.param(
            "kind: ConfigMap\nmetadata: 7\ndata: 7", "ConfigMap without name", id="numbers"
        ),
        pytest.param("kind: ConfigMap\ndata: {7: x}", "unknown key; allowed", id="a number as key"),
    ],
)
def test_a_strange_configmap_is_told(text: str, message: str) -> None:
    rows, errors = read_manifest("f", text)
    assert rows == ()
    assert any(message in str(error) for error in errors)


def test_the_examples_of_the_guide_are_right() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", HOW_TO.read_text("utf-8"), re.S)
    manifests = [block for block in blocks if "kind: ConfigMap" in block]
    rows, errors = read_manifest("guide", "---\n".join(manifests))
    assert errors == ()
    catalog, refused = Catalog.load().with_user_rows(rows)
    assert refused == ()
    assert len(rows) == 7
    assert catalog.resolve(
        "llama-3.2-instruct", "3b", "pytorch", None, "HuggingFace"
    ).repository == ("unsloth/Llama-3.2-3B-Instruct")
    guard = catalog.resolve("llama-guard-3", "8b", "ggufv2", None, "HuggingFace")
    assert (guard.files, guard.quantization) == ("Llama-Guard-3-8B.{quantization}.gguf", "Q8_0")
    for key in re.findall(r"^\| `([a-z_]+)`", HOW_TO.read_text("utf-8"), re.M):
        assert key in HOW_TO_KEYS, key


HOW_TO_KEYS = {
    *UserPublication.model_fields,
    "name",
    "size",
    "architecture",
    "context_length",
    "abilities",
    "languages",
    "publications",
    "hidden_size",
    "model_type",
    "num_key_value_heads",
    "head_dim",
    "tie_word_embeddings",
    "product",
    "label_mib",
    "compute_capability",
    "total_bytes",
    "reserved_at_start_bytes",
    "vendor",
    "aliases",
    "bandwidth_bytes_per_second",
}
