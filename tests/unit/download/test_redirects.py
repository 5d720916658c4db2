"""Where a redirect may lead, and who may see a token."""

import httpx2
import pytest

from llama_operator.download.http import Session, redirect_target
from llama_operator.errors import HubContentError, InputError

PUBLIC = "https://huggingface.co"


@pytest.mark.parametrize(
    ("home", "location", "expected"),
    [
        pytest.param(
            PUBLIC, "/api/resolve-cache/x", f"{PUBLIC}/api/resolve-cache/x", id="within the hub"
        ),
        pytest.param(
            PUBLIC, "https://cdn.example/x?s=1", "https://cdn.example/x?s=1", id="to storage"
        ),
        pytest.param(
            "http://10.0.0.5",
            "http://10.0.0.6:9000/x",
            "http://10.0.0.6:9000/x",
            id="within a private network",
        ),
        pytest.param(
            "http://localhost:8080",
            "http://127.0.0.1:9/x",
            "http://127.0.0.1:9/x",
            id="on this machine",
        ),
    ],
)
def test_a_redirect_is_followed(home: str, location: str, expected: str) -> None:
    target = redirect_target(httpx2.URL(f"{home}/a/b"), location, httpx2.URL(home), "a file")
    assert str(target) == expected


@pytest.mark.parametrize(
    ("location", "part"),
    [
        pytest.param("http://huggingface.co/x", "from https to http", id="to clear text"),
        pytest.param("file:///etc/passwd", "no plain web address", id="to a file"),
        pytest.param("ftp://example.com/x", "no plain web address", id="to FTP"),
        pytest.param("https://user:word@example.com/x", "no plain web address", id="with a login"),
        pytest.param("https://127.0.0.1:8443/x", "into the local network", id="to this machine"),
        pytest.param("https://localhost/x", "into the local network", id="by its name"),
        pytest.param(
            "https://169.254.169.254/latest", "into the local network", id="to a cloud's metadata"
        ),
        pytest.param("https://[::1]/x", "into the local network", id="in IPv6"),
        pytest.param("https://192.168.1.1/x", "into the local network", id="to a router"),
    ],
)
def test_a_redirect_is_not_followed(location: str, part: str) -> None:
    with pytest.raises(HubContentError, match=f"the index: a redirect .*{part}.* is not followed"):
        redirect_target(httpx2.URL(f"{PUBLIC}/a"), location, httpx2.URL(PUBLIC), "the index")


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "huggingface.co",
        "ftp://huggingface.co",
        "https://",
        "https://me:word@hf.co",
        "https://h/?a",
        "http://h:p",
    ],
)
def test_an_endpoint_must_be_a_plain_address(endpoint: str) -> None:
    with pytest.raises(InputError, match="endpoint must be an address") as raised:
        Session(endpoint, None)
    assert "word" not in str(raised.value)


@pytest.mark.parametrize("token", ["", "two words", "line\nHost: x", "schlüssel", "x" * 4097])
def test_a_token_must_be_one_word(token: str) -> None:
    with pytest.raises(InputError, match="token must be one line") as raised:
        Session(PUBLIC, token)
    assert not token or token not in str(raised.value)


def test_a_token_is_not_sent_in_clear_text_beyond_this_network() -> None:
    with pytest.raises(InputError, match=r"travel to mirror\.example in clear text") as raised:
        Session("http://mirror.example", "hf_secret")
    assert "hf_secret" not in str(raised.value)
    assert Session("http://10.1.2.3", "hf_secret").token_given
