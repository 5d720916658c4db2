"""Ask the pod of a download how far it is: whatever it answers, within bounds."""

import logging
from typing import Final

import aiohttp

from llama_operator import __version__
from llama_operator.reconcile.fetch_progress import FetchProgress

TIMEOUT_SECONDS: Final = 2.0
BODY_LIMIT_BYTES: Final = 4096
LINE_LIMIT_BYTES: Final = 1024
HEADERS_LIMIT: Final = 32
_log = logging.getLogger(__name__)


async def ask_progress(address: str) -> FetchProgress | None:
    """What a pod answers to `GET /progress`; None for no answer, or one that is of no use.

    A pod may be anybody's, so it gets no credentials, leads nowhere else and is given little time
    and room.

    Args:
        address: host and port.
    """
    url = f"http://{address}/progress"
    try:
        async with (
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
                headers={"User-Agent": f"llama-operator/{__version__}"},
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                max_line_size=LINE_LIMIT_BYTES,
                max_field_size=LINE_LIMIT_BYTES,
                max_headers=HEADERS_LIMIT,
            ) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            body = b""
            while len(body) <= BODY_LIMIT_BYTES and (chunk := await response.content.readany()):
                body += chunk
            status = response.status
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        _log.debug("%s does not tell how far it is: %s: %s", url, type(error).__name__, error)
        return None
    found = FetchProgress.read(body) if status == 200 and len(body) <= BODY_LIMIT_BYTES else None
    if found is None:
        _log.debug("%s tells nothing: status %d, %r", url, status, body[:200])
    return found
