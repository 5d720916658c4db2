"""What the tests of the embedded control plane share."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane import ControlPlane

NODES = """
nodes:
  - name: a100
    count: 2
    product: NVIDIA-A100-SXM4-80GB
    gpus: 8
    memoryMiB: 81920
    computeCapability: "8.0"
    driver: "580.65.06"
  - name: cpu
"""


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    nodes = tmp_path_factory.mktemp("nodes") / "nodes.yaml"
    nodes.write_text(NODES)
    with ControlPlane.start(nodes=nodes) as started:
        yield started


@pytest.fixture
def namespace(plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[str]:
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[-60:].strip("-")
    plane.kubectl("create", "namespace", name)
    yield name
    plane.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep run folders of this test, also those of its subprocesses, apart from all others."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path
