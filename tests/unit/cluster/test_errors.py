import json

import pytest

from llama_operator.cluster.client import (
    ApiError,
    ConflictError,
    ForbiddenError,
    GoneError,
    InvalidError,
    NotFoundError,
    Resource,
    UnavailableError,
    error_of,
)
from llama_operator.errors import LlamaOperatorError


def status(reason: str, message: str) -> str:
    return json.dumps({"kind": "Status", "status": "Failure", "reason": reason, "message": message})


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        pytest.param(400, InvalidError, id="a bad request"),
        pytest.param(401, UnavailableError, id="a token that expired: the next one may do"),
        pytest.param(403, ForbiddenError, id="a missing right"),
        pytest.param(404, NotFoundError, id="no such object"),
        pytest.param(405, InvalidError, id="no such verb"),
        pytest.param(409, ConflictError, id="a conflict"),
        pytest.param(410, GoneError, id="a version too old"),
        pytest.param(413, InvalidError, id="an object too large"),
        pytest.param(415, InvalidError, id="a wrong content type"),
        pytest.param(422, InvalidError, id="an object that breaks a rule"),
        pytest.param(429, UnavailableError, id="too many requests"),
        pytest.param(301, UnavailableError, id="a redirection, which is not followed"),
        pytest.param(500, UnavailableError, id="a fault of the server"),
        pytest.param(503, UnavailableError, id="no server"),
        pytest.param(504, UnavailableError, id="a time-out"),
    ],
)
def test_the_code_tells_what_to_do(code: int, kind: type[ApiError]) -> None:
    error = error_of(code, status("Whatever", "told"))
    assert type(error) is kind
    assert isinstance(error, LlamaOperatorError)
    assert (error.code, error.status_reason, error.message, str(error)) == (
        code,
        "Whatever",
        "told",
        "told",
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param("", "HTTP 500", id="nothing"),
        pytest.param("<html>502</html>", "<html>502</html>", id="a page of a proxy"),
        pytest.param("[1]", "[1]", id="JSON that is no object"),
        pytest.param("{}", "{}", id="an object without message"),
        pytest.param('{"message": null, "reason": 7}', '{"message": null, "reason": 7}', id="null"),
        pytest.param("x" * 10_000, "x" * 512, id="a long text, cut"),
    ],
)
def test_any_body_gives_a_message(body: str, message: str) -> None:
    assert error_of(500, body).message == message


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        pytest.param(None, None, id="no header"),
        pytest.param("7", 7.0, id="seconds"),
        pytest.param("0", 0.0, id="at once"),
        pytest.param("Wed, 21 Oct 2026 07:28:00 GMT", None, id="a date, which is not sent"),
        pytest.param("-1", None, id="less than nothing"),
        pytest.param("soon", None, id="a word"),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert error_of(429, "", header).retry_after_seconds == seconds


@pytest.mark.parametrize(
    ("resource", "namespace", "name", "path"),
    [
        pytest.param(
            Resource("", "v1", "pods", "Pod"), "ml", "p", "/api/v1/namespaces/ml/pods/p", id="core"
        ),
        pytest.param(
            Resource("apps", "v1", "statefulsets", "StatefulSet"),
            "ml",
            None,
            "/apis/apps/v1/namespaces/ml/statefulsets",
            id="a collection of a group",
        ),
        pytest.param(
            Resource("", "v1", "nodes", "Node", namespaced=False),
            None,
            "n",
            "/api/v1/nodes/n",
            id="cluster-scoped",
        ),
        pytest.param(
            Resource("apps", "v1", "statefulsets", "StatefulSet"),
            None,
            None,
            "/apis/apps/v1/statefulsets",
            id="all namespaces",
        ),
    ],
)
def test_paths(resource: Resource, namespace: str | None, name: str | None, path: str) -> None:
    assert resource.path(namespace, name) == path
