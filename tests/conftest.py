import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from cluster.world import World
from controlplane import ControlPlane
from verification.marks import pytest_collection_modifyitems as pytest_collection_modifyitems
from workstation import install

_numbers = itertools.count(1)

settings.register_profile("no times", deadline=None)
settings.load_profile("no times")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the long tests whole")


@pytest.fixture(scope="session")
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether long tests run whole."""
    return bool(request.config.getoption("--soak"))


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A control plane without an operator, with simulated nodes on request."""
    with ControlPlane.start() as plane:
        yield plane


@pytest.fixture(scope="session")
def installed(control_plane: ControlPlane) -> ControlPlane:
    """A control plane with the CRD and the operator's identity and rights."""
    install(control_plane)
    return control_plane


@pytest.fixture
def world(installed: ControlPlane, tmp_path: Path) -> Iterator[World]:
    """A namespace of its own; nodes are set by the test and gone afterwards."""
    made = World(installed, f"test-{next(_numbers)}", tmp_path)
    yield made
    made.close()
