"""One control plane with everything on it that a scenario needs."""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

import yaml

from benchmark import bodies
from benchmark.bodies import BARE_GROUP, GROUP, PLURAL, VERSION
from benchmark.helpers import Helper
from benchmark.marks import Mark, Marks
from benchmark.names import BARE, OPERATED, WORKERS
from benchmark.sending import Answer, Login, Request, send_all
from controlplane import ApiError, ControlPlane, GpuNode, wait_until
from workstation import NAMESPACE, SERVICE_ACCOUNT, OperatorProcess, install
from workstation.install import ROOT

GROUPS: Final = {OPERATED: GROUP, BARE: BARE_GROUP}
IDENTITY: Final = "operator"
"""Name in the Lease, so that an operator that is started again takes it at once."""
CRD: Final = ROOT / "crds" / f"{PLURAL}.{GROUP}.yaml"
_WATCHED: Final = {
    "statefulsets": "/apis/apps/v1/statefulsets",
    "controllerrevisions": "/apis/apps/v1/controllerrevisions",
    "services": "/api/v1/services",
    "poddisruptionbudgets": "/apis/policy/v1/poddisruptionbudgets",
}


class Site:
    """A control plane of its own, a watcher, and the two sides on request.

    Args:
        nodes: simulated nodes.
        kwok: whether they live; without it nobody makes them ready.
        children: resources of children that the watcher looks at.
    """

    def __init__(
        self,
        nodes: Sequence[GpuNode] = (),
        *,
        kwok: bool = True,
        children: Sequence[str] = ("statefulsets", "services"),
    ) -> None:
        self.marks = Marks()
        self.applied: dict[str, dict[str, float]] = {}
        self._operators: list[OperatorProcess] = []
        self._stack = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            self.plane = stack.enter_context(ControlPlane.start(kwok=kwok))
            install(self.plane)
            self.plane.add_nodes(list(nodes), wait=kwok)
            self._prepare()
            self._kubeconfig = self.plane.service_account_kubeconfig(NAMESPACE, SERVICE_ACCOUNT)
            self.admin = Login(self.plane.server, str(self.plane.ca_file), self.plane.admin_token)
            watched = {name: _WATCHED[name] for name in children} | {
                resource_of(side): f"/apis/{GROUPS[side]}/{VERSION}/{PLURAL}" for side in GROUPS
            }
            asked = {"login": asdict(self.admin), "paths": watched}
            stack.enter_context(Helper("watcher", asked, lambda told: self.marks.add(Mark(**told))))
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        """Give the site itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End everything."""
        for operator in self._operators:
            operator.kill()
        self._stack.close()

    def _prepare(self) -> None:
        """Namespaces, and the bare client's API and identity."""
        for namespace in (OPERATED, BARE):
            self.plane.kubectl("create", "namespace", namespace)
        text = CRD.read_text(encoding="utf-8").replace(GROUP, BARE_GROUP)
        crd = yaml.safe_load(text)
        for names in ("shortNames", "categories"):
            crd["spec"]["names"].pop(names, None)
        self.plane.apply(crd, server_side=True)
        self.plane.kubectl("-n", BARE, "create", "serviceaccount", "bare-client")
        self.plane.kubectl(
            "create", "clusterrolebinding", "bare-client",
            "--clusterrole=cluster-admin", f"--serviceaccount={BARE}:bare-client",
        )  # fmt: skip
        self.plane.kubectl(
            "wait", "--for=condition=Established", f"crd/{PLURAL}.{BARE_GROUP}", "--timeout=30s"
        )
        for path in (
            *(f"/api/v1/namespaces/{side}/serviceaccounts/default" for side in GROUPS),
            collection(BARE),
        ):
            wait_until(path, partial(self.plane.api.get, path), pending=(ApiError,))

    def operator(self, identity: str = IDENTITY, *, wait: bool = True) -> OperatorProcess:
        """Start an operator; it ends with the site."""
        process = OperatorProcess(
            self.plane,
            self.plane.directory / "logs",
            kubeconfig=self._kubeconfig,
            arguments=(f"--identity={identity}", f"--workers={WORKERS}"),
        )
        self._operators.append(process)
        if wait:
            process.wait_ready(120)
        return process

    def bare_client(self) -> Helper:
        """Start the bare client; it ends with the site."""
        token = self.plane.kubectl("-n", BARE, "create", "token", "--duration=8h", "bare-client")
        login = Login(self.plane.server, str(self.plane.ca_file), token.stdout.strip())
        asked = {
            "login": asdict(login),
            "bodies": [asdict(body) for body in bodies.rendered()],
            "workers": WORKERS,
        }
        return self._stack.enter_context(Helper("bare", asked, self._bare_told))

    def _bare_told(self, told: dict[str, Any]) -> None:
        self.applied[told["name"]] = told

    def create(self, side: str, names: Sequence[str], **spec: object) -> list[Answer]:
        """Create deployments, many at the same time."""
        made = [bodies.deployment(side, name, GROUPS[side], **spec) for name in names]
        requests = [Request("POST", collection(side), json.dumps(body)) for body in made]
        return send_all(self.admin, requests)

    def delete(self, side: str, names: Sequence[str]) -> list[Answer]:
        """Delete deployments, many at the same time."""
        return send_all(
            self.admin, [Request("DELETE", f"{collection(side)}/{name}") for name in names]
        )


def resource_of(side: str) -> str:
    """Name under which the watcher tells of a side's deployments."""
    return f"{PLURAL}.{GROUPS[side]}"


def collection(side: str) -> str:
    """Path of a side's deployments."""
    return f"/apis/{GROUPS[side]}/{VERSION}/namespaces/{side}/{PLURAL}"
