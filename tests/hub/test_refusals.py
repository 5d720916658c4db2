"""Gated, missing, private, unreachable: told apart, with what to do; the token stays secret."""

import logging
import socket

import pytest

from doubles.hub_server import Handler, HubServer, Repository
from hub.conftest import LLAMA, Ask
from llama_operator.download.hub import default_endpoint, find_token
from llama_operator.errors import (
    FileNotFoundInRepositoryError,
    GatedRepositoryError,
    HubAccessError,
    HubError,
    HubUnreachableError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

TOKEN = "hf_secretSecretSecret"


def test_a_gated_repository_without_a_token(llama: Repository, ask: Ask) -> None:
    llama.gated, llama.token = "manual", TOKEN
    with pytest.raises(
        GatedRepositoryError, match=f"accept its conditions at .*{LLAMA} and give a"
    ):
        ask()


def test_a_gated_repository_with_a_token_that_has_no_grant(llama: Repository, ask: Ask) -> None:
    llama.gated, llama.token = "auto", TOKEN
    with pytest.raises(GatedRepositoryError, match="the token's account has no access yet"):
        ask(token="hf_other")


@pytest.mark.parametrize("hub", ["HuggingFace", "ModelScope"])
def test_a_token_goes_to_the_hub_and_nowhere_else(
    hub: str, server: HubServer, llama: Repository, ask: Ask
) -> None:
    llama.gated, llama.private, llama.token = "manual", True, TOKEN
    ask(hub=hub, token=TOKEN)
    ports = {asked.port for asked in server.asked if "Authorization" in asked.headers}
    assert ports == {server.port}
    assert {asked.port for asked in server.asked} == {server.port, server.storage_port}
    assert not any(TOKEN in asked.path for asked in server.asked)


def test_a_missing_or_private_repository(llama: Repository, ask: Ask) -> None:
    with pytest.raises(RepositoryNotFoundError, match="give a token in HF_TOKEN if it is private"):
        ask("org/none")
    llama.private, llama.token = True, TOKEN
    with pytest.raises(RepositoryNotFoundError, match="the token may not read it"):
        ask(token="hf_other")


def test_a_missing_revision(llama: Repository, ask: Ask) -> None:
    with pytest.raises(RevisionNotFoundError, match=f"{LLAMA} has no revision v9; its branches"):
        ask(revision="v9")


@pytest.mark.parametrize(
    ("repository", "token", "revision", "error", "part"),
    [
        pytest.param(
            "org/none",
            None,
            None,
            RepositoryNotFoundError,
            "it can differ from the one on Hugging Face",
            id="missing",
        ),
        pytest.param(
            LLAMA,
            None,
            None,
            GatedRepositoryError,
            "gated or private: ask for access at",
            id="gated or private",
        ),
        pytest.param(
            LLAMA,
            "ms-other",
            None,
            GatedRepositoryError,
            "the token's account may not read it",
            id="a token without a grant",
        ),
        pytest.param(
            LLAMA,
            TOKEN,
            "main2",
            RevisionNotFoundError,
            "default branch is master, not main",
            id="no such branch",
        ),
        pytest.param(
            LLAMA,
            TOKEN,
            "e" * 40,
            RevisionNotFoundError,
            "has no revision eeee",
            id="no such commit",
        ),
    ],
)
def test_model_scope_refuses(
    repository: str,
    token: str | None,
    revision: str | None,
    error: type[HubError],
    part: str,
    llama: Repository,
    ask: Ask,
) -> None:
    llama.token = TOKEN
    with pytest.raises(error, match=part):
        ask(repository, hub="ModelScope", token=token, revision=revision)


@pytest.mark.parametrize(
    ("status", "headers", "token", "error", "part"),
    [
        pytest.param(401, {}, None, HubAccessError, r"not given without a token \(401\)", id="401"),
        pytest.param(401, {}, TOKEN, HubAccessError, "the token is refused", id="401 with a token"),
        pytest.param(
            403, {}, TOKEN, HubAccessError, r"refused .*\(403\): it may have expired", id="403"
        ),
        pytest.param(
            404,
            {"X_Error_Code": "EntryNotFound"},
            None,
            FileNotFoundInRepositoryError,
            "has no file",
            id="no such file",
        ),
        pytest.param(
            429,
            {"Retry_After": "17"},
            None,
            HubUnreachableError,
            "try again in 17 seconds, or give a token",
            id="429",
        ),
        pytest.param(
            429, {}, None, HubUnreachableError, "try again later", id="429 without a time"
        ),
        pytest.param(
            503, {}, None, HubUnreachableError, "fails with status 503; try again later", id="503"
        ),
        pytest.param(
            403,
            {"X_Error_Message": "Access to this resource is disabled."},
            None,
            HubError,
            "was disabled by its owner",
            id="disabled",
        ),
        pytest.param(
            451, {}, None, HubError, "refuses revision main with status 451", id="another status"
        ),
    ],
)
def test_hugging_face_refuses(
    status: int,
    headers: dict[str, str],
    token: str | None,
    error: type[HubError],
    part: str,
    server: HubServer,
    ask: Ask,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)

    def refuse(handler: Handler) -> None:
        told = handler.headers.get("Authorization", "")
        handler.write(status, told.encode() * 100, **({"X_Error_Message": told} | headers))

    server.plays["/api/models/"] = refuse
    with pytest.raises(error, match=part) as raised:
        ask(token=token)
    assert type(raised.value) is error
    assert TOKEN not in str(raised.value)
    assert TOKEN not in caplog.text
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("status", [401, 403])
def test_model_scope_refuses_a_token(status: int, server: HubServer, ask: Ask) -> None:
    server.plays["/api/v1/"] = lambda handler: handler.write(status, b"<html>")
    with pytest.raises(HubAccessError, match="give a valid one in MODELSCOPE_API_TOKEN"):
        ask(hub="ModelScope", token=TOKEN)


def test_a_refusal_within_an_answer_of_status_200(server: HubServer, ask: Ask) -> None:
    envelope = {"Code": 10010200001, "Success": False, "Message": "no access", "Data": None}
    server.plays["/api/v1/"] = lambda handler: handler.write_json(200, envelope)
    with pytest.raises(GatedRepositoryError):
        ask(hub="ModelScope")


def test_nobody_listens(ask: Ask) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(HubUnreachableError, match="check the network, HTTPS_PROXY and NO_PROXY"):
        ask(endpoint=f"http://127.0.0.1:{port}")


def test_a_proxy_of_the_environment_is_used(
    server: HubServer, llama: Repository, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "")
    server.plays["hub.invalid"] = lambda handler: handler.write(503, b"")
    with pytest.raises(HubUnreachableError, match=r"http://hub\.invalid fails with status 503"):
        ask(endpoint="http://hub.invalid")
    assert server.asked[0].path.startswith("http://hub.invalid/api/models/")


def test_a_broken_off_answer(server: HubServer, ask: Ask) -> None:
    def break_off(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"{")
        handler.close_connection = True

    server.plays["/api/models/"] = break_off
    with pytest.raises(HubUnreachableError, match="breaks off its answer"):
        ask()


def test_the_endpoint_and_the_token_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_endpoint("HuggingFace").startswith("http")
    assert default_endpoint("ModelScope") == "https://www.modelscope.cn"
    assert find_token("ModelScope") is None
    monkeypatch.setenv("MODELSCOPE_DOMAIN", "www.modelscope.ai")
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", " ms-1\n")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert default_endpoint("ModelScope") == "https://www.modelscope.ai"
    assert find_token("ModelScope") == "ms-1"
    assert find_token("HuggingFace") == TOKEN


@pytest.mark.parametrize(
    ("status", "body", "error", "part"),
    [
        pytest.param(
            404, b'{"Code": 10990101004}', RevisionNotFoundError, "has no revision", id="no tree"
        ),
        pytest.param(404, b"[]", FileNotFoundInRepositoryError, "has no revision", id="no code"),
        pytest.param(404, b"[" * 60_000, FileNotFoundInRepositoryError, "has no", id="a bomb"),
        pytest.param(502, b"<html>", HubUnreachableError, "status 502; try again later", id="502"),
        pytest.param(429, b"", HubUnreachableError, "try again later, or give a token", id="429"),
    ],
)
def test_model_scope_refuses_otherwise(
    status: int, body: bytes, error: type[HubError], part: str, server: HubServer, ask: Ask
) -> None:
    server.plays["/api/v1/"] = lambda handler: handler.write(status, body)
    with pytest.raises(error, match=part):
        ask(hub="ModelScope")


def test_a_file_that_is_listed_but_refused(server: HubServer, llama: Repository, ask: Ask) -> None:
    server.plays["/stored/"] = lambda handler: handler.write(403, b"<Error>expired</Error>")
    with pytest.raises(HubAccessError, match="not given without a token"):
        ask()
