"""Server-side apply takes fields away again, also the last one of an object that may be empty."""

from typing import Any

import pytest

from api.server import COLLECTION, Answer, Server
from llama_operator.api.v1alpha1 import API_VERSION, KIND

pytestmark = pytest.mark.cluster

Json = dict[str, Any]
OWN_CLAIM = {"cache": {"claim": {"accessMode": "ReadWriteMany"}}}
NGRAM = {"speculative": {"ngram": {"numTokens": 4}}}


def applied(server: Server, name: str, part: Json) -> Answer:
    body = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name},
        "spec": {"size": "8b", **part},
    }
    return server.request(
        "PATCH",
        f"{COLLECTION}/{name}",
        body,
        content_type="application/apply-patch+yaml",
        fieldManager="gitops",
    )


@pytest.mark.parametrize(
    ("before", "after", "stored"),
    [
        pytest.param({}, {"cache": {"claim": {}}}, OWN_CLAIM, id="a new empty claim"),
        pytest.param(
            {"cache": {"claim": {"accessMode": "ReadWriteOnce"}}},
            {"cache": {"claim": {}}},
            OWN_CLAIM,
            id="a claim without its only field",
        ),
        pytest.param(
            {"cache": {"claim": {"name": "shared", "accessMode": "ReadWriteOnce"}}},
            {"cache": {"claim": {}}},
            OWN_CLAIM,
            id="a claim without all its fields",
        ),
        pytest.param(
            {"cache": {"claim": {"name": "shared"}}},
            {"cache": {"image": "a/b:c"}},
            {"cache": {"image": "a/b:c"}},
            id="another kind of cache",
        ),
        pytest.param(
            {"cache": {"claim": {"accessMode": "ReadWriteOnce"}}}, {}, {}, id="no cache any more"
        ),
        pytest.param(
            {"speculative": {"ngram": {"numTokens": 3}}},
            {"speculative": {"ngram": {}}},
            NGRAM,
            id="drafts without their only field",
        ),
        pytest.param(
            {"speculative": {"ngram": {"lookupTokens": 3}}}, {}, {}, id="no drafts any more"
        ),
    ],
)
def test_what_is_stored(
    server: Server, request: pytest.FixtureRequest, before: Json, after: Json, stored: Json
) -> None:
    name = request.node.callspec.id.replace(" ", "-")
    assert applied(server, name, before).accepted

    answer = applied(server, name, after)

    assert answer.accepted, answer.message
    kept = {key: answer.body["spec"].get(key) for key in ("cache", "speculative")}
    assert {key: value for key, value in kept.items() if value is not None} == stored


@pytest.mark.parametrize(
    ("before", "after", "field", "message"),
    [
        pytest.param(
            {"cache": {"claim": {"name": "shared"}}},
            {"cache": {}},
            "spec.cache",
            "write exactly one of claim, hostPath and image",
            id="cache",
        ),
        pytest.param(
            {"speculative": {"ngram": {"numTokens": 3}}},
            {"speculative": {}},
            "spec.speculative.ngram",
            "write how tokens are drafted",
            id="speculative",
        ),
    ],
)
def test_what_is_refused_says_what_to_write(
    server: Server, before: Json, after: Json, field: str, message: str
) -> None:
    name = f"emptied-{field.rpartition('.')[2]}"
    assert applied(server, name, before).accepted
    answer = applied(server, name, after)
    assert answer.names(field, message), answer.message
