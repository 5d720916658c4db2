import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.world import World
from controlplane import ControlPlane, GpuNode
from workstation import OperatorProcess, install

_numbers = itertools.count(1)

SetNodes = Callable[[list[GpuNode]], None]


@pytest.fixture(scope="session")
def installed(control_plane: ControlPlane) -> ControlPlane:
    install(control_plane)
    return control_plane


@pytest.fixture(scope="session")
def shared_operator(
    installed: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[OperatorProcess]]:
    """The operator that most tests use; a test that needs it stopped puts it back."""
    holder = [OperatorProcess(installed, tmp_path_factory.mktemp("operator"))]
    holder[0].wait_ready()
    yield holder
    status = holder[0].stop()
    assert status == 0
    broken = [line for line in holder[0].lines() if "traceback" in line]
    assert not broken, broken[0]["traceback"]


@pytest.fixture
def world(
    installed: ControlPlane, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[World]:
    """A namespace of its own; nodes are set by the test and gone afterwards."""
    made = World(installed, f"test-{next(_numbers)}", tmp_path)
    yield made
    made.close()


@pytest.fixture
def operator(shared_operator: list[OperatorProcess]) -> Iterator[OperatorProcess]:
    """The running operator; its log may hold no traceback when the test ends."""
    yield shared_operator[0]
    broken = [line for line in shared_operator[0].lines() if "traceback" in line]
    assert not broken, broken[0]["traceback"]
