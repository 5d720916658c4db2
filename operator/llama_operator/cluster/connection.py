"""Where the API server is and how to authenticate, from a kubeconfig or from inside a pod.

Tokens and certificates are rotated while the operator runs, so their files are looked at again.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from kubernetes import config as kubernetes_config
from kubernetes.client import Configuration
from kubernetes.config import kube_config

from llama_operator.errors import InputError

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
NAMESPACE_FILE: Final = SERVICE_ACCOUNT / "namespace"
LOOK_SECONDS: Final = 1.0
"""How often, at most, the files are looked at, and a token is asked for: that takes as long as a
request."""
_FILE_KEYS: Final = frozenset(
    {"tokenFile", "certificate-authority", "client-certificate", "client-key"}
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Connection:
    """One API server and one identity.

    `authorization` gives the header's value for each request, no older than a second, so that a
    rotated token or an exec plugin's fresh one is used; empty with a client certificate.
    `refreshed` gives the same connection with today's certificates; None where they never change.
    """

    server: str
    ca_file: str | None
    certificate_file: str | None
    key_file: str | None
    verify: bool
    namespace: str
    authorization: Callable[[], str]
    refreshed: Callable[[], "Connection"] | None = None

    def ssl_context(self) -> ssl.SSLContext | bool:
        """TLS settings for aiohttp: a context, or False for a plain or unverified connection.

        Every new connection made with it uses the certificates of that moment.
        """
        if not self.server.startswith("https:") or not self.verify:
            return False
        context = self._fixed_context()
        return context if self.refreshed is None else _FreshContext(self, context)

    def _fixed_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.certificate_file is not None:
            context.load_cert_chain(self.certificate_file, self.key_file)
        return context


class _FreshContext(ssl.SSLContext):
    """Leads each handshake with a context of the certificates of that moment."""

    _connection: Connection
    _context: ssl.SSLContext

    def __new__(cls, *_: object) -> "_FreshContext":
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, connection: Connection, context: ssl.SSLContext) -> None:
        self._connection = connection
        self._context = context

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:  # noqa: ANN401 - passed on
        return self._current().wrap_bio(*args, **options)

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:  # noqa: ANN401 - passed on
        return self._current().wrap_socket(*args, **options)

    def _current(self) -> ssl.SSLContext:
        assert self._connection.refreshed is not None
        newest = self._connection.refreshed()
        if newest is not self._connection:
            try:
                self._context = newest._fixed_context()
                self._connection = newest
            except (OSError, ValueError) as error:  # half written: the next handshake tries again
                _log.warning("certificates not read, the old ones stay: %s", error)
        return self._context


class _Source:
    """Reads what leads to the API server, and reads it again once a file of it changed."""

    def __init__(self, kubeconfig: Path | None, context: str | None) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._in_pod = kubeconfig is None and context is None and NAMESPACE_FILE.exists()
        self._looked = time.monotonic()
        self._stamps = self._stamp()
        self._configuration, self._connection = self._read()
        self._token = self._ask_token()

    def connection(self) -> Connection:
        """The connection as the files tell it now."""
        self._look()
        return self._connection

    def _authorization(self) -> str:
        self._look()
        return self._token

    def _ask_token(self) -> str:
        value: str | None = self._configuration.get_api_key_with_prefix("BearerToken")
        return (value or "").strip()

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        stamps = self._stamp()
        try:
            if stamps != self._stamps:
                self._configuration, self._connection = self._read()
                self._stamps = stamps
                _log.info("credentials changed and were read again")
            self._token = self._ask_token()
        except (InputError, kubernetes_config.ConfigException, OSError, ValueError) as error:
            _log.warning("credentials not read, the old ones stay: %s", error)

    def _read(self) -> tuple[Configuration, Connection]:
        configuration = Configuration()
        namespace = "default"
        try:
            if self._in_pod:
                kubernetes_config.load_incluster_config(client_configuration=configuration)
                namespace = NAMESPACE_FILE.read_text(encoding="utf-8").strip()
            else:
                path = str(self._kubeconfig) if self._kubeconfig is not None else None
                kubernetes_config.load_kube_config(
                    config_file=path, context=self._context, client_configuration=configuration
                )
                _, active = kubernetes_config.list_kube_config_contexts(config_file=path)
                namespace = active["context"].get("namespace", "default")
        except (kubernetes_config.ConfigException, yaml.YAMLError, OSError) as error:
            source = str(self._kubeconfig) if self._kubeconfig else "the default kubeconfig"
            msg = (
                f"cannot connect to a cluster by {source}: {error}; set KUBECONFIG or --kubeconfig"
            )
            raise InputError(msg) from error
        return configuration, Connection(
            server=configuration.host.rstrip("/"),
            ca_file=configuration.ssl_ca_cert,
            certificate_file=configuration.cert_file,
            key_file=configuration.key_file,
            verify=bool(configuration.verify_ssl),
            namespace=namespace,
            authorization=self._authorization,
            refreshed=self.connection,
        )

    def _stamp(self) -> tuple[object, ...]:
        """What tells a changed file: they are replaced as a whole, often by another link."""
        return tuple((path, _identity(path)) for path in self._files())

    def _files(self) -> tuple[Path, ...]:
        if self._in_pod:
            return (SERVICE_ACCOUNT / "token", SERVICE_ACCOUNT / "ca.crt")
        text = str(self._kubeconfig or kube_config.KUBE_CONFIG_DEFAULT_LOCATION)
        paths = [
            Path(part).expanduser()
            for part in text.split(kube_config.ENV_KUBECONFIG_PATH_SEPARATOR)
            if part
        ]
        return tuple(file for path in paths for file in (path, *_named_files(path)))


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _named_files(kubeconfig: Path) -> list[Path]:
    """Files that a kubeconfig names besides itself."""
    try:
        content = yaml.safe_load(kubeconfig.read_text(encoding="utf-8")) or {}
        entries = [
            entry.get(part) or {}
            for part in ("cluster", "user")
            for entry in content.get(f"{part}s") or ()
        ]
        return sorted(
            kubeconfig.parent / value
            for entry in entries
            for key, value in entry.items()
            if key in _FILE_KEYS
        )
    except (OSError, yaml.YAMLError, AttributeError, TypeError):
        return []


def connect(kubeconfig: Path | None = None, context: str | None = None) -> Connection:
    """Read the kubeconfig given, else the pod's service account, else the default kubeconfig.

    Raises:
        InputError: none of them can be read.
    """
    return _Source(kubeconfig, context).connection()


async def connect_async(kubeconfig: Path | None = None) -> Connection:
    """`connect` without blocking the event loop: exec plugins may take seconds."""
    return await asyncio.to_thread(connect, kubeconfig)
