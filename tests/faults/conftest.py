import contextlib
import signal
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cluster.world import World
from controlplane import ControlPlane
from faultproxy import FaultProxy
from faults.oracle import Oracle
from faults.replicas import Replica, StartReplica
from workstation import OperatorProcess
from workstation.install import NAMESPACE, SERVICE_ACCOUNT

StartOperator = Callable[..., OperatorProcess]


@contextmanager
def fault_proxy(plane: ControlPlane, seed: str) -> Iterator[FaultProxy]:
    """A fault proxy before the API server."""
    pki = plane.directory / "pki"
    with FaultProxy(
        plane.server,
        plane.ca_file,
        pki / "apiserver.crt",
        pki / "apiserver.key",
        seed=zlib.crc32(seed.encode()),
    ) as made:
        yield made


@contextmanager
def operators(plane: ControlPlane, proxy: FaultProxy, directory: Path) -> Iterator[StartOperator]:
    """Starts operators whose requests go through the proxy; all end with the context."""
    account = plane.service_account_kubeconfig(NAMESPACE, SERVICE_ACCOUNT)
    kubeconfig = proxy.kubeconfig(account, directory / "through-the-proxy.kubeconfig")
    started: list[OperatorProcess] = []

    def start(
        *arguments: str, identity: str = "operator", wait: bool = True, **options: Any
    ) -> OperatorProcess:
        process = OperatorProcess(
            plane,
            directory,
            kubeconfig=options.pop("kubeconfig", kubeconfig),
            arguments=(f"--identity={identity}", *arguments),
            **options,
        )
        started.append(process)
        if wait:
            process.wait_ready()
        return process

    try:
        yield start
    finally:
        proxy.clear()
        for process in started:
            process.stop()
        plane.kubectl("delete", "lease", "llama-operator", "-n", NAMESPACE, "--ignore-not-found")


class Stage:
    """A world and operators behind a proxy, for the tests of one module."""

    def __init__(self, world: World, proxy: FaultProxy, start: StartOperator) -> None:
        self.world, self.proxy, self.start = world, proxy, start
        self.oracle = Oracle(world)
        self.operator = start()

    def restart(self) -> None:
        """A new operator takes the place of the old one, and knows nothing of what that knew."""
        self.operator.stop()
        self.operator = self.start()


@pytest.fixture(scope="module")
def stage(
    installed: ControlPlane,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    """Shared by the tests of a module, which sets no rule and leaves no deployment behind."""
    name = Path(request.node.name).stem.replace("_", "-")
    directory = tmp_path_factory.mktemp(name)
    with (
        fault_proxy(installed, name) as proxy,
        operators(installed, proxy, directory) as start,
    ):
        world = World(installed, name, directory)
        yield Stage(world, proxy, start)
        proxy.clear()
        world.close()


@pytest.fixture
def calm(stage: Stage) -> Iterator[Stage]:
    """The stage, cleared of rules and deployments after the test."""
    yield stage
    stage.proxy.clear()
    stage.world.kubectl("delete", "llama", "--all")
    stage.world.wait("all children are gone", lambda: not any(stage.world.children().values()))


@pytest.fixture
def start_replica(installed: ControlPlane, tmp_path: Path) -> Iterator[StartReplica]:
    """Starts operators of different identity, each behind a proxy of its own."""
    account = installed.service_account_kubeconfig(NAMESPACE, SERVICE_ACCOUNT)
    with contextlib.ExitStack() as stack:

        def start(name: str, *arguments: str) -> Replica:
            proxy = stack.enter_context(fault_proxy(installed, name))
            process = OperatorProcess(
                installed,
                tmp_path / name,
                kubeconfig=proxy.kubeconfig(account, tmp_path / f"{name}.kubeconfig"),
                arguments=(f"--identity={name}", *arguments),
            )
            stack.callback(process.stop)
            stack.callback(proxy.clear)
            # One that is stopped would not hear of its end.
            stack.callback(process.process.send_signal, signal.SIGCONT)
            return Replica(name, process, proxy)

        yield start
    installed.kubectl("delete", "lease", "llama-operator", "-n", NAMESPACE, "--ignore-not-found")


@pytest.fixture
def proxy(installed: ControlPlane, request: pytest.FixtureRequest) -> Iterator[FaultProxy]:
    """A fault proxy before the API server, seeded by the name of the test."""
    with fault_proxy(installed, request.node.name) as made:
        yield made


@pytest.fixture
def start_operator(
    installed: ControlPlane, proxy: FaultProxy, tmp_path: Path
) -> Iterator[StartOperator]:
    """Starts operators whose requests go through the proxy; all end with the test.

    They have one identity unless told otherwise, so that a restarted one has its Lease at once.
    """
    with operators(installed, proxy, tmp_path) as start:
        yield start


@pytest.fixture
def operator(start_operator: StartOperator) -> OperatorProcess:
    """One running operator behind the proxy."""
    return start_operator()


@pytest.fixture
def oracle(world: World) -> Oracle:
    """Judges the world of the test once its fault is over."""
    return Oracle(world)
