import json
from pathlib import Path

import pytest

from llama_operator.cli.deployment_file import parse_deployments
from llama_operator.cli.memory_bar import cells
from llama_operator.cli.nodes_file import read_nodes_file, read_text
from llama_operator.errors import InputError

HEAD = "apiVersion: llama-operator.io/v1alpha1\nkind: LlamaDeployment\nmetadata: {name: a}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "f.yaml holds no LlamaDeployment", id="an empty file"),
        pytest.param("a: [", "f.yaml is no YAML: ", id="no YAML"),
        pytest.param("a: 1\na: 2", "key 'a' occurs twice", id="a key twice"),
        pytest.param("42", "document 1: no Kubernetes object", id="a number"),
        pytest.param("kind: [1]", "document 1: no Kubernetes object", id="a kind that is none"),
        pytest.param(
            "kind: Secret",
            "f.yaml holds no LlamaDeployment: f.yaml, document 1: kind Secret is left out",
            id="another kind alone",
        ),
        pytest.param(
            HEAD.replace("v1alpha1", "v1") + "spec: {size: 8b}",
            "document 1 (a): apiVersion: 'llama-operator.io/v1'; write llama-operator.io/v1alpha1",
            id="another version",
        ),
        pytest.param(HEAD, "document 1 (a): spec: Field required", id="no spec"),
        pytest.param(
            HEAD.replace("{name: a}", "{}") + "spec: {size: 8b}",
            "document 1: metadata.name: Field required",
            id="no name",
        ),
        pytest.param(
            HEAD.replace("{name: a}", "{name: Llama.8b}") + "spec: {size: 8b}",
            "document 1 (Llama.8b): metadata.name: must be a DNS-1035 label",
            id="a name that Services cannot carry",
        ),
        pytest.param(
            HEAD + "spec: {size: 8B}", "spec.size: write the size as a number", id="a wrong size"
        ),
        pytest.param(
            HEAD + "spec: {size: 8b, formatt: awq}",
            "document 1 (a): spec.formatt: unknown field; did you mean format? "
            "allowed: auth, cache, chatTemplate, context, ",
            id="an unknown field of spec",
        ),
        pytest.param(
            HEAD + "spec: {size: 8b, context: {max_model_len: 8192}}",
            "spec.context.max_model_len: unknown field; did you mean maxModelLen? "
            "allowed: concurrency, maxModelLen",
            id="a field in the wrong case",
        ),
        pytest.param(
            HEAD + "spec: {size: 8b, hardware: [{gpu: NVIDIA-L4}, {gpu: NVIDIA-L4, cout: 2}]}",
            "spec.hardware[1].cout: unknown field; did you mean count? allowed: count, gpu",
            id="an unknown field of a list item",
        ),
        pytest.param(
            HEAD + "specs: {size: 8b}",
            "specs: unknown field; did you mean spec? allowed: apiVersion, kind, metadata, spec",
            id="an unknown field at the top",
        ),
        pytest.param(
            HEAD + "spec: {size: 8b}\n---\n" + HEAD + "spec: {size: 8b, format: gguf}",
            "f.yaml, document 2 (a): spec.format: ",
            id="the second of two documents",
        ),
    ],
)
def test_bad_manifests_are_refused_by_document_and_field(text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        parse_deployments("f.yaml", text)
    assert message in str(error.value)


def test_lists_and_empty_documents_are_read() -> None:
    item = json.loads(
        '{"apiVersion":"llama-operator.io/v1alpha1","kind":"LlamaDeployment",'
        '"metadata":{"name":"a","labels":{"team":"x"}},"spec":{"size":"8b"},"status":{}}'
    )
    text = "---\n---\n" + json.dumps({"kind": "List", "items": [item, item]})
    found = parse_deployments("f.yaml", text)
    assert [deployment.metadata.name for deployment in found.deployments] == ["a", "a"]


NODE = (
    "kind: Node\nmetadata: {name: n, labels: {nvidia.com/gpu.product: NVIDIA-L4}}\n"
    "status: {allocatable: {nvidia.com/gpu: '1'}}\n"
)


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        pytest.param(NODE, 1, id="one Node"),
        pytest.param(f"{NODE}---\n{NODE}", 2, id="two documents"),
        pytest.param(json.dumps({"kind": "List", "items": [{"kind": "Node"}]}), 0, id="no GPUs"),
        pytest.param("kind: NodeList\nitems: [{kind: Node}]", 0, id="a NodeList in YAML"),
    ],
)
def test_nodes_files(text: str, nodes: int, tmp_path: Path) -> None:
    file = tmp_path / "nodes"
    file.write_text(text)
    assert len(read_nodes_file(str(file)).nodes) == nodes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "holds no Node; make one with `kubectl get nodes", id="an empty file"),
        pytest.param('{"kind": "List", "items": []}', "holds no Node", id="an empty list"),
        pytest.param("{", "is neither JSON nor YAML", id="half an object"),
        pytest.param("a: [", "is neither JSON nor YAML", id="no YAML"),
        pytest.param("kind: Pod", "object 1: kind Pod; only Nodes are read", id="a Pod"),
        pytest.param(
            '{"kind": "List", "items": [{"kind": "Node"}, {"kind": "Pod"}]}',
            "object 2: kind Pod",
            id="a Pod in the list",
        ),
        pytest.param(
            "NAME STATUS\nn1 Ready", "object 1: no Kubernetes object", id="kubectl's table"
        ),
    ],
)
def test_bad_nodes_files_are_refused(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "nodes"
    file.write_text(text)
    with pytest.raises(InputError) as error:
        read_nodes_file(str(file))
    assert str(error.value).startswith(f"--nodes {file}")
    assert message in str(error.value)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    missing, binary = tmp_path / "missing", tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=f"-f {missing} cannot be read: No such file"):
        read_text("-f", str(missing))
    with pytest.raises(InputError, match="it is no UTF-8 text"):
        read_text("--nodes", str(binary))
    with pytest.raises(InputError, match="Is a directory"):
        read_text("-f", str(tmp_path))


@pytest.mark.parametrize(
    ("sizes", "width", "expected"),
    [
        pytest.param([50, 50], 10, [5, 5], id="halves"),
        pytest.param([98, 1, 1], 10, [8, 1, 1], id="what is small is still seen"),
        pytest.param([100, 0], 10, [10, 0], id="what is empty is not"),
        pytest.param([1, 1, 1], 10, [4, 3, 3], id="a rest goes to the first"),
    ],
)
def test_cells_of_a_bar_fill_its_width(sizes: list[int], width: int, expected: list[int]) -> None:
    assert cells(sizes, width) == expected
