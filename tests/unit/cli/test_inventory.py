import json
from pathlib import Path
from typing import Any

import pytest

from llama_operator.cli.main import main
from unit.planning.test_node_labels import GKE_L4, MIXED_A100, SHARED_A10G, made

TAINTED = {"spec": {"taints": [{"key": "team", "effect": "NoSchedule"}]}}
NODES: list[dict[str, Any]] = [
    made(MIXED_A100, "mixed-1", **{"gpu": "1", "mig-3g.40gb": "2"}),
    made(SHARED_A10G, "shared-1", gpu="2"),
    made(GKE_L4, "gke-1", gpu="4"),
    made({**GKE_L4, "nvidia.com/gpu.product": "NVIDIA-L4"}, "gke-2", gpu="4"),
    {**made(GKE_L4, "gke-3", gpu="4"), **TAINTED},
    *(
        {**made(GKE_L4, f"down-{number}", gpu="1"), "spec": {"unschedulable": True}}
        for number in range(5)
    ),
    made({}, "bare-1", gpu="8"),
    made({}, "gaudi-1", **{"habana.ai/gaudi": "8"}),
    made({}, "cpu-1"),
]


@pytest.fixture
def nodes(tmp_path: Path) -> str:
    path = tmp_path / "nodes.json"
    path.write_text(
        json.dumps({"kind": "List", "items": [{"kind": "Node", **one} for one in NODES]})
    )
    return str(path)


def test_json_tells_what_plans_may_use(nodes: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inventory", "--nodes", nodes, "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [
        (row["product"], row["resource"], row["nodes"], row["cards"], row["sharing"])
        for row in found["gpus"]
    ] == [
        ("NVIDIA-A100-80GB-PCIe", "nvidia.com/gpu", 1, 1, ""),
        ("NVIDIA-A100-80GB-PCIe-MIG-3g.40gb", "nvidia.com/mig-3g.40gb", 1, 2, "MIG"),
        ("NVIDIA-A10G-SHARED", "nvidia.com/gpu", 1, 1, "time-slicing"),
        ("NVIDIA-L4", "nvidia.com/gpu", 2, 8, ""),
    ]
    assert found["gpus"][3] == {
        "product": "NVIDIA-L4",
        "resource": "nvidia.com/gpu",
        "nodes": 2,
        "cards": 8,
        "freeCards": 8,
        # 22.03 GiB, as the table has it
        "memoryBytes": 23_654_532_382,
        "driver": None,
        "sharing": "",
        "knownBy": ["cloud.google.com/gke-accelerator", "nvidia.com/gpu.product"],
        "nodeCpuMillicores": {"least": 96_000, "most": 96_000},
        "nodeMemoryBytes": {"least": 1024**4, "most": 1024**4},
    }
    assert found["leftOut"] == [
        left("cordoned", "NVIDIA-L4", 5, *(f"down-{number}" for number in range(5))),
        left("no engine of the catalog serves it", "", 8, "gaudi-1", resource="habana.ai/gaudi"),
        left("no label tells the memory", "", 8, "bare-1"),
        left("tainted team:NoSchedule", "NVIDIA-L4", 4, "gke-3"),
    ]


def left(
    cause: str, product: str, gpus: int, *names: str, resource: str = "nvidia.com/gpu"
) -> dict[str, Any]:
    return {
        "cause": cause,
        "product": product,
        "resource": resource,
        "gpus": gpus,
        "nodes": list(names),
    }


@pytest.mark.parametrize(
    ("columns", "headings"),
    [
        pytest.param("80", ["SHARED"], id="narrow"),
        pytest.param("100", ["SHARED", "KNOWN", "BY"], id="usual"),
        pytest.param("160", ["SHARED", "CPU", "NODE", "GiB", "KNOWN", "BY"], id="wide"),
    ],
)
def test_the_table_shows_what_fits_the_terminal(
    nodes: str,
    columns: str,
    headings: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(["inventory", "--nodes", nodes]) == 0
    head, _, rest = capsys.readouterr().out.partition("\n")
    usual = ["PRODUCT", "RESOURCE", "NODES", "CARDS", "FREE", "GiB", "DRIVER"]
    assert head.split() == usual + headings
    _, _, others = rest.partition("Left out\n")
    assert others.splitlines() == [
        "  - 5 NVIDIA-L4 nvidia.com/gpu on down-0, down-1, down-2 and 2 more: cordoned",
        "  - 8 habana.ai/gaudi on gaudi-1: no engine of the catalog serves it",
        "  - 8 nvidia.com/gpu on bare-1: no label tells the memory",
        "  - 4 NVIDIA-L4 nvidia.com/gpu on gke-3: tainted team:NoSchedule",
    ]


def test_a_cluster_without_gpus_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "node.json"
    path.write_text(json.dumps({"kind": "Node", **made({}, "cpu-1")}))
    assert main(["inventory", "--nodes", str(path)]) == 0
    assert capsys.readouterr().out == "No GPUs that plans may use.\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("{", "is neither JSON nor YAML", id="broken"),
        pytest.param('{"kind": "Pod"}', "kind Pod; only Nodes are read", id="another kind"),
        pytest.param('{"kind": "List", "items": []}', "holds no Node", id="empty"),
    ],
)
def test_a_wrong_file_is_named(
    text: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(text)
    assert main(["inventory", "--nodes", str(path)]) == 2
    error = capsys.readouterr().err
    assert str(path) in error
    assert told in error
