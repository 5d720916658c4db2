"""Where the API server is and how to authenticate, from a kubeconfig or from inside a pod."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kubernetes import config as kubernetes_config
from kubernetes.client import Configuration

from llama_operator.errors import InputError

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True, slots=True)
class Connection:
    """One API server and one identity.

    `authorization` gives the header's value anew for each request, so that a rotated token or an
    exec plugin's fresh one is used; empty with a client certificate.
    """

    server: str
    ca_file: str | None
    certificate_file: str | None
    key_file: str | None
    verify: bool
    namespace: str
    authorization: Callable[[], str]

    def ssl_context(self) -> ssl.SSLContext | bool:
        """TLS settings for aiohttp: a context, or False for a plain or unverified connection."""
        if not self.server.startswith("https:") or not self.verify:
            return False
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.certificate_file is not None:
            context.load_cert_chain(self.certificate_file, self.key_file)
        return context


def _authorization(configuration: Configuration) -> Callable[[], str]:
    def header() -> str:
        value: str | None = configuration.get_api_key_with_prefix("BearerToken")
        return value or ""

    return header


def connect(kubeconfig: Path | None = None, context: str | None = None) -> Connection:
    """Read the kubeconfig given, else the pod's service account, else the default kubeconfig.

    Raises:
        InputError: none of them can be read.
    """
    configuration = Configuration()
    namespace = "default"
    try:
        if kubeconfig is None and context is None and NAMESPACE_FILE.exists():
            kubernetes_config.load_incluster_config(client_configuration=configuration)
            namespace = NAMESPACE_FILE.read_text(encoding="utf-8").strip()
        else:
            path = str(kubeconfig) if kubeconfig is not None else None
            kubernetes_config.load_kube_config(
                config_file=path, context=context, client_configuration=configuration
            )
            _, active = kubernetes_config.list_kube_config_contexts(config_file=path)
            namespace = active["context"].get("namespace", "default")
    except (kubernetes_config.ConfigException, OSError) as error:
        source = str(kubeconfig) if kubeconfig is not None else "the default kubeconfig"
        msg = f"cannot connect to a cluster by {source}: {error}; set KUBECONFIG or --kubeconfig"
        raise InputError(msg) from error
    return Connection(
        server=configuration.host.rstrip("/"),
        ca_file=configuration.ssl_ca_cert,
        certificate_file=configuration.cert_file,
        key_file=configuration.key_file,
        verify=bool(configuration.verify_ssl),
        namespace=namespace,
        authorization=_authorization(configuration),
    )


async def connect_async(kubeconfig: Path | None = None) -> Connection:
    """`connect` without blocking the event loop: exec plugins may take seconds."""
    return await asyncio.to_thread(connect, kubeconfig)
