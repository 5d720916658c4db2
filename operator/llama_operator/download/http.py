"""HTTP that stays within bounds, whatever the server does.

huggingface_hub's own calls read an answer whole, follow every redirect and end when the server
ends, so its addresses and refusals are used but its requests are made here: each answer has a
limit, all of them together have one, and the token goes to one origin only.
"""

import ipaddress
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import httpx2

from llama_operator import __version__
from llama_operator.errors import (
    HubContentError,
    HubTimeoutError,
    HubTooLargeError,
    HubUnreachableError,
    InputError,
)
from llama_operator.units import MIB

CONNECT_SECONDS: Final = 10.0
READ_SECONDS: Final = 15.0
"""Longest silence of a server; the time of everything together is bounded by who calls."""
REDIRECTS_LIMIT: Final = 5
TRAFFIC_LIMIT_BYTES: Final = 512 * MIB
"""Of all answers of one session: the headers of 160 shards take about 20 MB."""
STREAM_CHUNK_BYTES: Final = MIB
CONNECTIONS: Final = 8
REFUSAL_LIMIT_BYTES: Final = 64 * 1024
TOKEN_LIMIT: Final = 4_096

for _name in ("httpx2", "httpcore2"):
    # Their lines hold signed addresses, and headers in which a server may repeat the token.
    logging.getLogger(_name).setLevel(logging.WARNING)

Take = Callable[[bytes], Awaitable[None]]
"""What is given the bytes of a file while they come."""

_OK: Final = 200
_PARTIAL: Final = 206
_REFUSED: Final = 400


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was read.

    Attributes:
        response: status and headers; its body is not kept.
        body: what was read; of a refusal the first 64 KiB.
        total_bytes: of the whole file where a part was asked for; None where not told.
    """

    response: httpx2.Response
    body: bytes
    total_bytes: int | None = None

    @property
    def refused(self) -> bool:
        """Whether the server gave no content."""
        return self.response.status_code >= _REFUSED


class Session:
    """Requests to one hub.

    Args:
        endpoint: the hub, e.g. `https://huggingface.co`; a path before the API is kept.
        token: sent to this origin only; None for none.

    Raises:
        InputError: the endpoint is no address, or would see the token in clear text.
    """

    def __init__(self, endpoint: str, token: str | None) -> None:
        self.endpoint = endpoint.rstrip("/")
        self.token_given = token is not None
        self._url = _endpoint(self.endpoint)
        self._token = token
        if token is not None:
            _check_token(token, self._url)
        self._traffic = 0
        self._client = httpx2.AsyncClient(
            follow_redirects=False,
            timeout=httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS, pool=None),
            limits=httpx2.Limits(max_connections=CONNECTIONS),
        )

    async def __aenter__(self) -> Self:
        """Open the session."""
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all connections."""
        await self._client.__aexit__(kind, error, trace)

    async def get(self, url: str, what: str, limit_bytes: int) -> Answer:
        """The whole answer.

        Args:
            url: at the hub.
            what: names the answer in errors.
            limit_bytes: a longer answer is an error.

        Raises:
            HubUnreachableError: no answer, or it breaks off.
            HubTooLargeError: the answer is longer.
            HubContentError: a redirect that is not followed.
        """
        with _translated(self.endpoint):
            return await self._follow(url, what, limit_bytes, None)

    async def get_part(self, url: str, what: str, start: int, length: int) -> Answer:
        """A part of a file: at most `length` bytes from `start`, less at its end.

        Raises:
            HubUnreachableError: no answer, or it breaks off.
            HubTooLargeError: all answers together are too long.
            HubContentError: another part came, or a redirect that is not followed.
        """
        with _translated(self.endpoint):
            return await self._follow(url, what, length, start)

    async def stream(self, url: str, what: str, start: int, end: int, take: Take) -> Answer | None:
        """Hand a part of a file on while it comes; it does not count as traffic.

        Args:
            url: at the hub.
            what: names the file in errors.
            start: first byte.
            end: the byte behind the last one.
            take: is given the bytes in order, never more than were asked for.

        Returns:
            The refusal; None where the server gave the part, or less of it.

        Raises:
            HubUnreachableError: no answer, or it breaks off.
            HubContentError: another part came, or a redirect that is not followed.
        """
        with _translated(self.endpoint):
            async with self._opened(url, what, f"bytes={start}-{end - 1}") as response:
                if response.status_code >= _REFUSED:
                    return await self._read(response, what, REFUSAL_LIMIT_BYTES, None)
                await _hand_on(response, _skipped(response, start, what), end - start, take)
        return None

    async def _follow(self, url: str, what: str, limit: int, start: int | None) -> Answer:
        span = None if start is None else f"bytes={start}-{start + limit - 1}"
        async with self._opened(url, what, span) as response:
            return await self._read(response, what, limit, start)

    @asynccontextmanager
    async def _opened(
        self, url: str, what: str, span: str | None
    ) -> AsyncIterator[httpx2.Response]:
        """The answer that is no redirect, before its body is read."""
        target = httpx2.URL(url)
        for _ in range(REDIRECTS_LIMIT + 1):
            headers = {"Accept-Encoding": "identity", "User-Agent": f"llama-operator/{__version__}"}
            if self._token is not None and _origin(target) == _origin(self._url):
                headers["Authorization"] = f"Bearer {self._token}"
            if span is not None:
                headers["Range"] = span
            request = self._client.build_request("GET", target, headers=headers)
            response = await self._client.send(request, stream=True)
            self._client.cookies.clear()
            try:
                if not response.has_redirect_location:
                    yield response
                    return
                target = redirect_target(target, response.headers["Location"], self._url, what)
            finally:
                await response.aclose()
        msg = f"{what}: more than {REDIRECTS_LIMIT} redirects"
        raise HubContentError(msg)

    async def _read(
        self, response: httpx2.Response, what: str, limit: int, start: int | None
    ) -> Answer:
        if response.status_code >= _REFUSED:
            body, _ = await self._bytes(response, 0, REFUSAL_LIMIT_BYTES)
            return Answer(response, body)
        _check_plain(response, what)
        if response.status_code == _PARTIAL and start is not None:
            total = _content_range(response, start, what)
            body, _ = await self._bytes(response, 0, limit)
            return Answer(response, body, total)
        if response.status_code != _OK:
            msg = f"{what}: the answer has status {response.status_code}"
            raise HubContentError(msg)
        length = _length(response)
        if start is not None:
            body, _ = await self._bytes(response, start, limit)
            return Answer(response, body, length)
        whole = length is None or length <= limit
        body, more = await self._bytes(response, 0, limit) if whole else (b"", True)
        if more:
            msg = f"{what} has more than the {limit:,} bytes that are read at most"
            raise HubTooLargeError(msg)
        return Answer(response, body)

    async def _bytes(self, response: httpx2.Response, skip: int, limit: int) -> tuple[bytes, bool]:
        """At most `limit` bytes of the body behind `skip`, and whether there are more."""
        body = bytearray()
        async for chunk in response.aiter_raw():
            self._traffic += len(chunk)
            if self._traffic > TRAFFIC_LIMIT_BYTES:
                msg = f"{self.endpoint} sent more than {TRAFFIC_LIMIT_BYTES:,} bytes in all"
                raise HubTooLargeError(msg)
            body += chunk[skip:]
            skip = max(0, skip - len(chunk))
            if len(body) > limit:
                return bytes(body[:limit]), True
        return bytes(body), False


def redirect_target(current: httpx2.URL, location: str, home: httpx2.URL, what: str) -> httpx2.URL:
    """Where a redirect leads.

    Args:
        current: address that was asked.
        location: the header of the answer.
        home: the hub's endpoint.
        what: was asked for.

    Raises:
        HubContentError: to no web address, with a login, from https to http, or from a public hub
            into the local network.
    """
    target = current.join(location)
    if target.scheme not in ("http", "https") or target.userinfo or not target.host:
        why = "to what is no plain web address"
    elif current.scheme == "https" and target.scheme == "http":
        why = "from https to http"
    elif _internal(target.host) and not _internal(home.host):
        why = f"into the local network ({target.host})"
    else:
        return target
    msg = f"{what}: a redirect {why} is not followed"
    raise HubContentError(msg)


def _endpoint(endpoint: str) -> httpx2.URL:
    try:
        url = httpx2.URL(endpoint)
    except (httpx2.InvalidURL, TypeError):
        url = httpx2.URL("")
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query:
        msg = (
            "the hub's endpoint must be an address such as https://huggingface.co, without a login"
        )
        raise InputError(msg)
    return url


def _check_token(token: str, url: httpx2.URL) -> None:
    if not 0 < len(token) <= TOKEN_LIMIT or not all("!" <= sign <= "~" for sign in token):
        msg = "the hub's token must be one line of visible ASCII characters"
        raise InputError(msg)
    if url.scheme == "http" and not _internal(url.host):
        msg = f"the token would travel to {url.host} in clear text: use https, or give no token"
        raise InputError(msg)


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)


def _internal(host: str) -> bool:
    """Whether a host is by its name on this machine or in a private network."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def _length(response: httpx2.Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() and len(text) < 20 else None


def _check_plain(response: httpx2.Response, what: str) -> None:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        msg = f"{what} came compressed although it was asked for as it is"
        raise HubContentError(msg)


def _skipped(response: httpx2.Response, start: int, what: str) -> int:
    """Bytes before the wanted ones: none of a part, `start` where the whole file comes."""
    _check_plain(response, what)
    if response.status_code == _PARTIAL:
        _content_range(response, start, what)
        return 0
    if response.status_code != _OK:
        msg = f"{what}: the answer has status {response.status_code}"
        raise HubContentError(msg)
    return start


async def _hand_on(response: httpx2.Response, skip: int, left: int, take: Take) -> None:
    """Give `left` bytes of a body behind `skip`, a MiB at once, and what came before an end."""
    held: list[bytes] = []
    held_bytes = 0
    try:
        async for chunk in response.aiter_raw():
            wanted = chunk[skip : skip + left]
            skip = max(0, skip - len(chunk))
            left -= len(wanted)
            held.append(wanted)
            held_bytes += len(wanted)
            if held_bytes >= STREAM_CHUNK_BYTES:
                whole, held, held_bytes = b"".join(held), [], 0
                await take(whole)
            if not left:
                break
    finally:
        if held_bytes:
            await take(b"".join(held))


def _content_range(response: httpx2.Response, start: int, what: str) -> int | None:
    """The total of `Content-Range: bytes 0-99/1234`, None for `*`."""
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    span, _, total = rest.partition("/")
    if unit != "bytes" or span.partition("-")[0] != str(start):
        msg = f"{what}: the server sent another part than the one asked for"
        raise HubContentError(msg)
    return int(total) if total.isdecimal() and len(total) < 20 else None


@contextmanager
def _translated(endpoint: str) -> Iterator[None]:
    """Our errors instead of the client's; their texts may hold headers, so few are passed on."""
    try:
        yield
    except httpx2.TimeoutException:
        msg = f"{endpoint} is silent for {READ_SECONDS:.0f} seconds; try again later"
        raise HubTimeoutError(msg) from None
    except (httpx2.ConnectError, httpx2.ProxyError) as error:
        msg = (
            f"{endpoint} cannot be reached ({error!s:.200}): check the network, HTTPS_PROXY and "
            "NO_PROXY, or work offline from the cache"
        )
        raise HubUnreachableError(msg) from None
    except httpx2.TransportError:
        msg = f"{endpoint} breaks off its answer; try again later"
        raise HubUnreachableError(msg) from None
    except (httpx2.InvalidURL, httpx2.HTTPError, ValueError):
        msg = f"{endpoint} redirects to what is no web address"
        raise HubContentError(msg) from None
