"""The nodes file: what it means, and what is said about a wrong one."""

from pathlib import Path

import pytest

from controlplane import GpuNode, NodesFileError, Taint, load_nodes

ROOT = Path(__file__).resolve().parents[2]
GPU = "name: n, product: P, gpus: 1, memoryMiB: 1000, computeCapability: '8.0'"


def write(folder: Path, text: str) -> Path:
    path = folder / "nodes.yaml"
    path.write_text(text)
    return path


def test_a_count_makes_numbered_nodes(tmp_path: Path) -> None:
    path = write(tmp_path, f"nodes: [{{{GPU}, count: 2}}]")
    assert [node.name for node in load_nodes(path)] == ["n-0", "n-1"]


def test_without_a_count_the_name_is_the_name(tmp_path: Path) -> None:
    assert [node.name for node in load_nodes(write(tmp_path, "nodes: [{name: n}]"))] == ["n"]


def test_every_field_arrives(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
nodes:
  - name: a100
    product: NVIDIA-A100-SXM4-80GB
    gpus: 8
    memoryMiB: 81920
    computeCapability: "8.0"
    cpu: 96
    memory: 1100Gi
    ephemeralStorage: 2Ti
    driver: "580.65.06"
    instanceType: p4de.24xlarge
    labels: {topology.kubernetes.io/zone: b}
    taints: [{key: team, value: ml, effect: NoExecute}]
    unschedulable: true
""",
    )
    assert load_nodes(path) == [
        GpuNode(
            name="a100",
            product="NVIDIA-A100-SXM4-80GB",
            gpus=8,
            memory_mib=81920,
            compute_capability="8.0",
            cpu="96",
            memory="1100Gi",
            ephemeral_storage="2Ti",
            driver="580.65.06",
            instance_type="p4de.24xlarge",
            labels={"topology.kubernetes.io/zone": "b"},
            taints=(Taint("team", "NoExecute", "ml"),),
            unschedulable=True,
        )
    ]


def test_an_empty_list_of_taints_is_not_the_default(tmp_path: Path) -> None:
    (node,) = load_nodes(write(tmp_path, f"nodes: [{{{GPU}, taints: []}}]"))
    assert node.taints == ()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("[1", "not YAML", id="not YAML"),
        pytest.param("just text", "must be a mapping, not a string", id="not a mapping"),
        pytest.param("{}", "nodes: is required: a list of nodes", id="no nodes"),
        pytest.param("nodes: {}", "nodes: must be a list, not a mapping", id="no list"),
        pytest.param("nodes: [a100]", "nodes[0]: must be a mapping", id="an entry that is text"),
        pytest.param("nodes: [{}]", "nodes[0]: name: is required", id="no name"),
        pytest.param("nodes: [{name: A100}]", "name: must be at most 63 lower", id="upper case"),
        pytest.param("nodes: [{name: 5}]", "name: must be at most 63 lower", id="name is a number"),
        pytest.param(
            f"nodes: [{{name: {'n' * 62}, count: 11}}]", "name: is too long", id="name with number"
        ),
        pytest.param(
            "nodes: [{name: n, gpu: 8}]", "gpu: is not a field here; did you mean gpus?", id="typo"
        ),
        pytest.param(
            "nodes: [{name: n, color: 8}]", "color: is not a field here; known are", id="unknown"
        ),
        pytest.param(
            "nodes: [{name: n, count: 0}]",
            "count: must be a whole number from 1 to 20000, not 0",
            id="count 0",
        ),
        pytest.param("nodes: [{name: n, gpus: '8'}]", "gpus: must be a whole", id="gpus is text"),
        pytest.param("nodes: [{name: n, gpus: true}]", "gpus: must be a whole", id="gpus is true"),
        pytest.param(
            "nodes: [{name: n, gpus: 8}]", "product: is required: the GPU product", id="no product"
        ),
        pytest.param(
            "nodes: [{name: n, gpus: 8, product: P}]",
            "memoryMiB: is required: the memory of one GPU in MiB",
            id="no GPU memory",
        ),
        pytest.param(
            "nodes: [{name: n, gpus: 8, product: P, memoryMiB: 1}]",
            "computeCapability: is required",
            id="no compute capability",
        ),
        pytest.param(
            "nodes: [{name: n, computeCapability: 8.0}]",
            'computeCapability: must be a version in quotes, such as "8.0", not 8.0',
            id="a compute capability that YAML reads as a number",
        ),
        pytest.param(
            "nodes: [{name: n, product: NVIDIA A100}]",
            "product: must be a string of at most 63 letters",
            id="a product with a space",
        ),
        pytest.param(
            "nodes: [{name: n, memory: 80GB}]",
            "memory: must be a quantity, such as 96 or 1100Gi, not '80GB'",
            id="not a quantity",
        ),
        pytest.param("nodes: [{name: n, driver: new}]", "driver: must be a version", id="driver"),
        pytest.param("nodes: [{name: n, labels: [a]}]", "labels: must be a mapping", id="labels"),
        pytest.param(
            "nodes: [{name: n, labels: {a/b/c: x}}]", "labels: a/b/c: must be a label key", id="key"
        ),
        pytest.param(
            "nodes: [{name: n, labels: {zone: 1}}]", "labels: zone: must be a string", id="value"
        ),
        pytest.param(
            "nodes: [{name: n, taints: [{key: a, effect: Never}]}]",
            "nodes[0]: taints[0]: effect: must be one of NoSchedule, PreferNoSchedule, NoExecute",
            id="unknown effect",
        ),
        pytest.param(
            "nodes: [{name: n, unschedulable: 'yes'}]",
            "unschedulable: must be true or false, not 'yes'",
            id="not a truth value",
        ),
        pytest.param("nodes: [{name: n}, {name: n}]", "two nodes are called n", id="same name"),
        pytest.param(
            "nodes: [{name: n-1}, {name: n, count: 2}]",
            "two nodes are called n-1",
            id="same name by counting",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_the_field_and_the_remedy(
    tmp_path: Path, text: str, complaint: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(NodesFileError) as raised:
        load_nodes(path)
    assert complaint in str(raised.value)
    assert str(raised.value).startswith(str(path))


def test_the_manual_shows_a_valid_file_and_every_field(tmp_path: Path) -> None:
    manual = (ROOT / "docs" / "how-to" / "embedded-control-plane.md").read_text()
    example = manual.partition("```yaml\n")[2].partition("```")[0]
    assert len(load_nodes(write(tmp_path, example))) == 3
    with pytest.raises(NodesFileError) as raised:
        load_nodes(write(tmp_path, "nodes: [{name: n, zzzzzz: 1}]"))
    known = str(raised.value).partition("known are ")[2].split(", ")
    assert [name for name in known if f"`{name}`" not in manual] == []


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NodesFileError, match=r"none\.yaml: No such file"):
        load_nodes(tmp_path / "none.yaml")
