"""A small HTTPS client for the API server: for polling, where kubectl is too slow."""

import http.client
import json
import ssl
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from controlplane.errors import ApiError


class ApiClient:
    """Requests to one API server over one connection; not for use by several threads at once.

    Args:
        server: such as https://127.0.0.1:6443.
        ca_file: certificate of the authority that signed the server's.
        token: bearer token of the user.
        timeout: seconds for one request.
    """

    def __init__(self, server: str, ca_file: Path, token: str, timeout: float = 30.0) -> None:
        address = urlsplit(server)
        assert address.hostname is not None
        self._token = token
        self._connection = http.client.HTTPSConnection(
            address.hostname,
            address.port,
            timeout=timeout,
            context=ssl.create_default_context(cafile=str(ca_file)),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON of any kind
        """Read an object or a list."""
        return self.request("GET", path)

    def create(self, path: str, body: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON of any kind
        """Create an object in a collection."""
        return self.request("POST", path, body)

    def delete(self, path: str) -> Any:  # noqa: ANN401 - JSON of any kind
        """Delete an object."""
        return self.request("DELETE", path)

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        content_type: str = "application/json",
    ) -> Any:  # noqa: ANN401 - JSON of any kind
        """Send one request and give its parsed JSON answer, or its text where it is not JSON.

        The body is JSON, or bytes that are sent as they are.

        Raises:
            ApiError: an HTTP error, with its code; or no answer, with code 0.
        """
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        content = None
        if body is not None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers["Content-Type"] = content_type
        kept_open = self._connection.sock is not None
        try:
            status, text = self._exchange(method, path, content, headers)
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()  # the next request opens a new one
            if kept_open and method in ("GET", "DELETE"):
                # The server may have closed a connection that was idle, as after its restart.
                return self.request(method, path, body, content_type)
            raise ApiError(f"{method} {path}: {error or type(error).__name__}") from error
        answer = _parse(text)
        if status >= 400:
            reason = answer.get("message", text) if isinstance(answer, dict) else text
            raise ApiError(f"{method} {path}: {status} {reason}", status)
        return answer

    def _exchange(
        self, method: str, path: str, content: bytes | None, headers: dict[str, str]
    ) -> tuple[int, str]:
        self._connection.request(method, path, content, headers)
        response = self._connection.getresponse()
        return response.status, response.read().decode()

    def close(self) -> None:
        """Close the connection; a later request would open a new one."""
        self._connection.close()


def _parse(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text
