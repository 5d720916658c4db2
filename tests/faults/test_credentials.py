"""Credentials that are rotated under the running operator: read again, without a restart."""

import base64
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.world import World, gpu_node
from controlplane import ControlPlane
from faultproxy import FaultProxy
from faults.conftest import StartOperator
from faults.oracle import Oracle
from workstation import OperatorProcess
from workstation.install import NAMESPACE, SERVICE_ACCOUNT

pytestmark = [pytest.mark.cluster, pytest.mark.fault(47)]

A100 = "NVIDIA-A100-SXM4-80GB"
SMALL = {"size": "8b", "format": "awq"}
RELOAD_SECONDS = 30
"""Three times what is promised: files are looked at each second, and back-off adds some."""


def new_token(plane: ControlPlane) -> str:
    answer = plane.kubectl("create", "token", SERVICE_ACCOUNT, "-n", NAMESPACE)
    return answer.stdout.strip()


class Files:
    """A kubeconfig that names its token and certificate authority by files, or holds them."""

    def __init__(self, plane: ControlPlane, proxy: FaultProxy, folder: Path, inline: bool) -> None:
        self.plane = plane
        self.kubeconfig = folder / "rotated.kubeconfig"
        self._url = proxy.url
        self._token, self._authority = folder / "token", folder / "ca.crt"
        self._inline = inline
        self._authority.write_bytes(plane.ca_file.read_bytes())
        self.rotate_token()

    def rotate_token(self) -> None:
        replace(self._token, new_token(self.plane).encode())
        self._write()

    def trust(self, authority: bytes) -> None:
        replace(self._authority, authority)
        self._write()

    def _write(self) -> None:
        if self.kubeconfig.exists() and not self._inline:
            return
        cluster: dict[str, Any] = {"server": self._url}
        user: dict[str, Any] = {}
        if self._inline:
            data = base64.b64encode(self._authority.read_bytes()).decode()
            cluster["certificate-authority-data"] = data
            user["token"] = self._token.read_text()
        else:
            cluster["certificate-authority"] = self._authority.name
            user["tokenFile"] = self._token.name
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        }
        replace(self.kubeconfig, json.dumps(content).encode())


def replace(path: Path, content: bytes) -> None:
    """As kubelets do it: the name leads to another file at once."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.replace(path)


@pytest.fixture(params=[False, True], ids=["in files of their own", "inside the kubeconfig"])
def files(
    installed: ControlPlane, proxy: FaultProxy, tmp_path: Path, request: pytest.FixtureRequest
) -> Files:
    return Files(installed, proxy, tmp_path, request.param)


@pytest.fixture
def running(world: World, files: Files, start_operator: StartOperator) -> OperatorProcess:
    world.add_nodes(gpu_node("a100-0", A100, 4))
    operator = start_operator(kubeconfig=files.kubeconfig)
    world.apply("small", SMALL)
    world.wait_ready("small")
    return operator


def goes_on(
    world: World, oracle: Oracle, operator: OperatorProcess, record: Callable[[str, object], None]
) -> None:
    """The watches are opened again and an edit is carried out by the same process."""
    kept, started = oracle.picture(), time.monotonic()
    world.kubectl("patch", "llama", "small", "--type=merge", "-p", '{"spec":{"replicas":2}}')
    world.wait(
        "the edit is carried out",
        lambda: world.llama("small")["status"].get("readyReplicas") == 2,
        timeout=RELOAD_SECONDS,
    )
    record("figure.seconds-until-rotated-credentials-work", round(time.monotonic() - started, 2))
    oracle.check(operator)
    oracle.assert_kept(kept, ("statefulsets", "services"))
    assert world.pod_uids("small") >= set(kept.of("pods").values())


def test_a_token_that_is_rotated_and_its_predecessor_revoked(
    world: World,
    proxy: FaultProxy,
    files: Files,
    running: OperatorProcess,
    oracle: Oracle,
    record_property: Callable[[str, object], None],
) -> None:
    manifest = world.plane.kubectl(
        "get", "serviceaccount", SERVICE_ACCOUNT, "-n", NAMESPACE, "-o", "json"
    ).stdout
    fresh = json.loads(manifest)
    for field in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
        fresh["metadata"].pop(field, None)
    world.plane.kubectl("delete", "serviceaccount", SERVICE_ACCOUNT, "-n", NAMESPACE)
    world.plane.apply(fresh)
    files.rotate_token()
    proxy.streams(lambda stream: stream.reset())
    goes_on(world, oracle, running, record_property)


def test_a_certificate_authority_that_is_rotated(
    world: World,
    proxy: FaultProxy,
    files: Files,
    running: OperatorProcess,
    oracle: Oracle,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    other = tmp_path / "other-pki"
    other.mkdir()
    subprocess.run(
        [world.plane.binaries.pki, f"-directory={other}", "-addresses=127.0.0.1",
         "-names=localhost"],
        check=True,
    )  # fmt: skip
    proxy.serve_with(other / "apiserver.crt", other / "apiserver.key")
    proxy.drop_connections()
    files.trust((other / "ca.crt").read_bytes())
    goes_on(world, oracle, running, record_property)
