"""Requests to the API server in the words of Kubernetes: verb, resource, namespace, name."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

WRITES: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_PATH: Final = re.compile(
    r"^/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/))?"
    r"/(?P<resource>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<subresource>.+))?)?$"
)


@dataclass
class Call:
    """One request as the proxy saw it.

    Attributes:
        number: counts all requests from 1.
        at: monotonic time of its arrival in seconds.
        verb: get, list, watch, create, update, patch, delete or deletecollection; for a path that
            is no resource the HTTP method in lower case.
        resource: plural name, with its subresource after a slash, such as `statefulsets/scale`;
            the path itself where that is no resource.
        namespace: empty for a cluster-scoped object.
        name: empty for a collection; for a create the name that the body gives.
        user_agent: how the client calls itself.
        resource_version: where a watch is to go on, empty when the request does not say.
        code: HTTP status that the client got; 0 while there is none, and when it was cut off.
        committed: HTTP status that the API server gave; 0 when it was not asked.
        fault: name of the fault that struck, or empty.
    """

    number: int
    at: float
    verb: str
    resource: str
    namespace: str
    name: str
    user_agent: str
    code: int = 0
    committed: int = 0
    fault: str = field(default="")
    resource_version: str = ""

    @property
    def is_write(self) -> bool:
        """Whether it is meant to change something."""
        return self.verb in WRITES


def read_call(
    number: int,
    at: float,
    method: str,
    path: str,
    query: Mapping[str, str],
    user_agent: str,
    body: bytes = b"",
) -> Call:
    """Name a request as the API server's authorizer would; `body` is that of a create."""
    found = _PATH.match(urlsplit(path).path)
    if found is None:
        return Call(number, at, method.lower(), path, "", "", user_agent)
    name, subresource = found["name"] or "", found["subresource"]
    resource = found["resource"] + (f"/{subresource}" if subresource else "")
    verb = _verb(method, name, query)
    if verb == "create" and not name:
        name = _name_in(body)
    return Call(
        number,
        at,
        verb,
        resource,
        found["namespace"] or "",
        name,
        user_agent,
        resource_version=query.get("resourceVersion", ""),
    )


def _name_in(body: bytes) -> str:
    try:
        return str(json.loads(body)["metadata"]["name"])
    except (ValueError, KeyError, TypeError):
        return ""


def _verb(method: str, name: str, query: Mapping[str, str]) -> str:
    if method == "GET":
        if query.get("watch") in ("true", "1"):
            return "watch"
        return "get" if name else "list"
    if method == "DELETE":
        return "delete" if name else "deletecollection"
    return {"POST": "create", "PUT": "update", "PATCH": "patch"}.get(method, method.lower())
