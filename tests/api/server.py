"""The API server's verdict on manifests: its code, its Status and its warnings."""

import http.client
import json
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from controlplane import ControlPlane
from llama_operator.api.v1alpha1 import API_VERSION, PLURAL

NAMESPACE = "api-cases"
COLLECTION = f"/apis/{API_VERSION}/namespaces/{NAMESPACE}/{PLURAL}"


@dataclass(frozen=True)
class Answer:
    """What the API server says.

    Attributes:
        code: the HTTP code.
        body: the object, or the Status of a refusal.
    """

    code: int
    body: dict[str, Any]

    @property
    def accepted(self) -> bool:
        """Whether the request did what it asked for."""
        return self.code < 300

    @property
    def message(self) -> str:
        """The text of a refusal."""
        return str(self.body.get("message", ""))

    def names(self, field: str, message: str = "") -> bool:
        """Whether a refusal names a field and says something of it."""
        causes = self.body.get("details", {}).get("causes", ())
        return any(
            cause.get("field", "").removeprefix(".") == field and message in cause["message"]
            for cause in causes
        ) or (not field and message in self.message)


class Server:
    """Requests of an administrator, one at a time."""

    def __init__(self, plane: ControlPlane) -> None:
        address = urlsplit(plane.server)
        assert address.hostname is not None
        self._token = plane.admin_token
        self._connection = http.client.HTTPSConnection(
            address.hostname,
            address.port,
            timeout=30,
            context=ssl.create_default_context(cafile=str(plane.ca_file)),
        )

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        **query: str,
    ) -> Answer:
        """Send one request; `body` is JSON, or bytes that are sent as they are."""
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": content_type}
        target = f"{path}?{urlencode(query)}" if query else path
        try:
            return self._exchange(method, target, content, headers)
        except http.client.RemoteDisconnected:
            # Tests between two requests may have restarted the API server.
            self._connection.close()
            return self._exchange(method, target, content, headers)

    def _exchange(
        self, method: str, target: str, content: bytes | None, headers: dict[str, str]
    ) -> Answer:
        self._connection.request(method, target, content, headers)
        with self._connection.getresponse() as response:
            return Answer(response.status, json.loads(response.read()))

    def create(self, manifest: Any, *, dry_run: bool = True) -> Answer:
        """Create a LlamaDeployment under strict validation; dry, unless told otherwise."""
        dry = {"dryRun": "All"} if dry_run else {}
        return self.request("POST", COLLECTION, manifest, fieldValidation="Strict", **dry)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
