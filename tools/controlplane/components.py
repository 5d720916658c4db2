"""The components of a control plane: with which flags each runs and how it tells its health."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from controlplane.binaries import Binaries
from controlplane.credentials import SERVICE_CIDR, Credentials
from controlplane.folders import RunFolder

ETCD = "etcd"
API_SERVER = "kube-apiserver"
CONTROLLER_MANAGER = "kube-controller-manager"
SCHEDULER = "kube-scheduler"
KWOK = "kwok"
PORTS = (ETCD, "etcd-peer", API_SERVER, CONTROLLER_MANAGER, SCHEDULER, KWOK)

AUDIT_POLICY = Path(__file__).resolve().parent / "config" / "audit-policy.yaml"
NODE_ANNOTATION = "kwok.x-k8s.io/node"
# Addresses that nobody can reach and that overlap with nothing: the API server and the simulated
# kubelets have to announce one, and endpoints refuse loopback addresses.
_API_SERVER_ADDRESS = "192.0.2.1"
_NODE_ADDRESS = "192.0.2.2"
_POD_CIDR = "10.128.0.0/9"
# Clients of the control plane wait for nobody: the machine's own speed is the limit.
_CLIENT_LIMITS = ("--kube-api-qps=1000", "--kube-api-burst=2000")


@dataclass(frozen=True)
class Component:
    """One program of a control plane.

    Attributes:
        name: as in `PORTS`.
        arguments: the command line.
        health: URL that answers 200 when it is up.
    """

    name: str
    arguments: tuple[str, ...]
    health: str


def describe(
    binaries: Binaries,
    folder: RunFolder,
    credentials: Credentials,
    ports: Mapping[str, int],
    stages: Path | None,
    api_server_flags: Sequence[str] = (),
) -> dict[str, Component]:
    """List the components in the order in which they start.

    Args:
        binaries: the programs.
        folder: run folder that they work in.
        credentials: keys and kubeconfigs.
        ports: loopback port by name, see `PORTS`.
        stages: KWOK's stages; None leaves KWOK out.
        api_server_flags: more flags of the API server.
    """
    components = [
        _etcd(binaries, folder, ports),
        _api_server(binaries, folder, credentials, ports, api_server_flags),
        _controller_manager(binaries, folder, credentials, ports),
        _scheduler(binaries, folder, credentials, ports),
    ]
    if stages is not None:
        components.append(_kwok(binaries, folder, credentials, ports, stages))
    return {component.name: component for component in components}


def audit_log(folder: RunFolder) -> Path:
    """Where the API server writes its audit log."""
    return folder.logs / "audit.log"


def _etcd(binaries: Binaries, folder: RunFolder, ports: Mapping[str, int]) -> Component:
    client = f"http://127.0.0.1:{ports[ETCD]}"
    peer = f"http://127.0.0.1:{ports['etcd-peer']}"
    arguments = (
        str(binaries.etcd),
        "--name=embedded",
        f"--data-dir={folder.etcd}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=embedded={peer}",
        # The data lives as long as this run. What a killed process has written is kept by the
        # kernel; only a crash of the machine would lose it.
        "--unsafe-no-fsync",
        "--log-level=warn",
    )
    return Component(ETCD, arguments, f"{client}/health")


def _api_server(
    binaries: Binaries,
    folder: RunFolder,
    credentials: Credentials,
    ports: Mapping[str, int],
    flags: Sequence[str],
) -> Component:
    pki = folder.pki
    arguments = (
        str(binaries.kube_apiserver),
        "--bind-address=127.0.0.1",
        f"--secure-port={ports[API_SERVER]}",
        f"--advertise-address={_API_SERVER_ADDRESS}",
        f"--etcd-servers=http://127.0.0.1:{ports[ETCD]}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--cert-dir={pki}",
        f"--token-auth-file={credentials.tokens_file}",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged=true",
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki / 'service-account.pub'}",
        f"--service-account-signing-key-file={pki / 'service-account.key'}",
        # Aggregated API servers, such as an adapter for external metrics, trust these.
        "--enable-aggregator-routing=true",
        f"--proxy-client-cert-file={pki / 'front-proxy-client.crt'}",
        f"--proxy-client-key-file={pki / 'front-proxy-client.key'}",
        f"--requestheader-client-ca-file={pki / 'front-proxy-ca.crt'}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--audit-policy-file={AUDIT_POLICY}",
        f"--audit-log-path={audit_log(folder)}",
        # A batch would be written only after a while; and positions in the file must stay valid,
        # so it is never rotated (the size is in MB).
        "--audit-log-mode=blocking",
        "--audit-log-maxsize=1000000",
        # A polite end closes watches after this long instead of waiting for their clients.
        "--shutdown-watch-termination-grace-period=1s",
        "--profiling=false",
        *flags,
    )
    return Component(API_SERVER, arguments, f"{credentials.server}/readyz")


def _controller_manager(
    binaries: Binaries, folder: RunFolder, credentials: Credentials, ports: Mapping[str, int]
) -> Component:
    arguments = (
        str(binaries.kube_controller_manager),
        *_client_flags(credentials.kubeconfigs["system:kube-controller-manager"]),
        *_serving_flags(folder, ports[CONTROLLER_MANAGER]),
        # Each controller has a role of its own in RBAC. Without this all of them share one that
        # may not write, and StatefulSets get no pods.
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={folder.pki / 'service-account.key'}",
        f"--root-ca-file={credentials.ca_file}",
        "--horizontal-pod-autoscaler-sync-period=5s",
    )
    health = f"https://127.0.0.1:{ports[CONTROLLER_MANAGER]}/healthz"
    return Component(CONTROLLER_MANAGER, arguments, health)


def _scheduler(
    binaries: Binaries, folder: RunFolder, credentials: Credentials, ports: Mapping[str, int]
) -> Component:
    arguments = (
        str(binaries.kube_scheduler),
        *_client_flags(credentials.kubeconfigs["system:kube-scheduler"]),
        *_serving_flags(folder, ports[SCHEDULER]),
    )
    return Component(SCHEDULER, arguments, f"https://127.0.0.1:{ports[SCHEDULER]}/readyz")


def _kwok(
    binaries: Binaries,
    folder: RunFolder,
    credentials: Credentials,
    ports: Mapping[str, int],
    stages: Path,
) -> Component:
    arguments = (
        str(binaries.kwok),
        f"--kubeconfig={credentials.kubeconfigs['kwok']}",
        f"--config={stages}",
        "--manage-all-nodes=false",
        f"--manage-nodes-with-annotation-selector={NODE_ANNOTATION}=fake",
        f"--node-ip={_NODE_ADDRESS}",
        f"--cidr={_POD_CIDR}",
        # As kubelets do. Without leases the node controller would miss the nodes after a minute.
        "--node-lease-duration-seconds=40",
        f"--server-address=127.0.0.1:{ports[KWOK]}",
    )
    return Component(KWOK, arguments, f"http://127.0.0.1:{ports[KWOK]}/healthz")


def _client_flags(kubeconfig: Path) -> tuple[str, ...]:
    return (f"--kubeconfig={kubeconfig}", "--leader-elect=false", *_CLIENT_LIMITS)


def _serving_flags(folder: RunFolder, port: int) -> tuple[str, ...]:
    return (
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={folder.pki / 'apiserver.crt'}",
        f"--tls-private-key-file={folder.pki / 'apiserver.key'}",
        "--profiling=false",
    )
