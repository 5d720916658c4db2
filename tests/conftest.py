from collections.abc import Iterator

import pytest

from controlplane import ControlPlane


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A control plane without an operator, with simulated nodes on request."""
    with ControlPlane.start() as plane:
        yield plane
