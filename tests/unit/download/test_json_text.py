"""JSON of strangers is read within bounds or refused."""

import pytest

from llama_operator.download.json_text import CONTAINERS_LIMIT, DEPTH_LIMIT, read_object
from llama_operator.errors import HubContentError, HubTooLargeError


def nested(depth: int) -> bytes:
    """`depth` objects and lists within each other: `{"a": [[...]]}`."""
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def test_an_object_is_read() -> None:
    assert read_object(b'{"hidden_size": 4096, "x": [1, {"y": null}]}', "config.json") == {
        "hidden_size": 4096,
        "x": [1, {"y": None}],
    }


def test_infinity_is_read_as_mamba_configurations_have_it() -> None:
    read = read_object(b'{"time_step_limit": [0.0, Infinity]}', "config.json")
    assert read == {"time_step_limit": [0.0, float("inf")]}


def test_the_deepest_allowed_is_read() -> None:
    assert read_object(nested(DEPTH_LIMIT), "config.json")


@pytest.mark.parametrize(
    ("text", "error", "part"),
    [
        pytest.param(b"", HubContentError, "config.json is not JSON", id="empty"),
        pytest.param(b"<html>", HubContentError, "it starts with b'<html>'", id="a page"),
        pytest.param(b'{"a": 1', HubContentError, "is not JSON", id="cut"),
        pytest.param(b"\xff\xfe\x00", HubContentError, "is not JSON", id="no UTF-8"),
        pytest.param(
            b'{"a": ' + b"9" * 5000 + b"}",
            HubContentError,
            "is not JSON",
            id="a number of 5,000 digits",
        ),
        pytest.param(b"[1]", HubContentError, "must be a JSON object, not a list", id="a list"),
        pytest.param(b"null", HubContentError, "not a NoneType", id="null"),
        pytest.param(
            nested(DEPTH_LIMIT + 1), HubTooLargeError, "nests more than 64", id="one level too deep"
        ),
        pytest.param(nested(200_000), HubTooLargeError, "nests more than 64", id="200,000 levels"),
        pytest.param(
            b'{"a":[' + b"[]," * CONTAINERS_LIMIT + b"[]]}",
            HubTooLargeError,
            "more than 400,000 objects",
            id="a list of lists",
        ),
        pytest.param(
            b'{"a":[' + b"1," * 1_000_001 + b"1]}",
            HubTooLargeError,
            "more than",
            id="a million numbers",
        ),
    ],
)
def test_what_is_no_configuration_is_refused(
    text: bytes, error: type[Exception], part: str
) -> None:
    with pytest.raises(error, match=part):
        read_object(text, "config.json")
