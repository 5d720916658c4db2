"""Keys, tokens and kubeconfigs of one control plane."""

import base64
import json
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path

from controlplane.errors import StartError
from controlplane.folders import RunFolder

SERVICE_CIDR = "10.96.0.0/16"
_FIRST_SERVICE_ADDRESS = "10.96.0.1"
_SERVER_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)
ADMIN = "admin"
# The API server knows these users by their tokens. What the two system users may do is in
# Kubernetes' own roles; KWOK plays the kubelets of all simulated nodes, hence an administrator.
_USERS = {
    ADMIN: "system:masters",
    "system:kube-controller-manager": "",
    "system:kube-scheduler": "",
    "kwok": "system:masters",
}


@dataclass(frozen=True)
class Credentials:
    """Where the secrets of one control plane are.

    Attributes:
        server: URL of the API server.
        ca_file: certificate that its serving certificate is checked against.
        tokens_file: users and tokens, as `--token-auth-file` wants them.
        tokens: token by user name.
        kubeconfigs: kubeconfig by user name.
    """

    server: str
    ca_file: Path
    tokens_file: Path
    tokens: dict[str, str]
    kubeconfigs: dict[str, Path]


def issue(pki: Path, folder: RunFolder, server: str) -> Credentials:
    """Write all keys, tokens and kubeconfigs of a new control plane.

    Args:
        pki: the program that makes keys and certificates.
        folder: run folder with its empty subfolders.
        server: URL of the API server.

    Raises:
        StartError: the certificates could not be written.
    """
    made = subprocess.run(
        [
            pki,
            f"-directory={folder.pki}",
            f"-addresses=127.0.0.1,{_FIRST_SERVICE_ADDRESS}",
            f"-names={','.join(_SERVER_NAMES)}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise StartError(f"certificates: {made.stderr.strip()}")
    tokens = {user: secrets.token_urlsafe(24) for user in _USERS}
    tokens_file = folder.config / "tokens.csv"
    write_private(
        tokens_file,
        "".join(f'{tokens[user]},{user},{user},"{group}"\n' for user, group in _USERS.items()),
    )
    ca_file = folder.pki / "ca.crt"
    kubeconfigs = {}
    for user, token in tokens.items():
        place = folder.kubeconfigs if user == ADMIN else folder.config
        kubeconfigs[user] = place / f"{user.removeprefix('system:')}.kubeconfig"
        write_kubeconfig(kubeconfigs[user], server, ca_file, user, token)
    return Credentials(server, ca_file, tokens_file, tokens, kubeconfigs)


def write_kubeconfig(
    path: Path, server: str, ca_file: Path, user: str, token: str, namespace: str = "default"
) -> None:
    """Write a kubeconfig that needs no other file.

    JSON is YAML, and kubectl, client-go and the Python clients read it as such.
    """
    authority = base64.b64encode(ca_file.read_bytes()).decode()
    context = {"cluster": "embedded", "user": user, "namespace": namespace}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "embedded",
        "clusters": [
            {
                "name": "embedded",
                "cluster": {"server": server, "certificate-authority-data": authority},
            }
        ],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "embedded", "context": context}],
    }
    write_private(path, json.dumps(content, indent=2) + "\n")


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    path.touch(mode=0o600)
    path.write_text(text)
