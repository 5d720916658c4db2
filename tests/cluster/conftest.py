from collections.abc import Iterator

import pytest

from controlplane import ControlPlane
from workstation import OperatorProcess


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
def operator(shared_operator: list[OperatorProcess]) -> Iterator[OperatorProcess]:
    """The running operator; its log may hold no traceback when the test ends."""
    yield shared_operator[0]
    broken = [line for line in shared_operator[0].lines() if "traceback" in line]
    assert not broken, broken[0]["traceback"]
