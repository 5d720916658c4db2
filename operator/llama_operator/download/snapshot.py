"""A repository at one commit, and what any hub must tell of it."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Protocol

from huggingface_hub.utils import (  # type: ignore[attr-defined]  # public, re-exported without "as"
    parse_ratelimit_headers,
)

from llama_operator.download.facts import HubFile, HubName
from llama_operator.download.http import Answer
from llama_operator.errors import HubContentError, HubError, HubUnreachableError
from llama_operator.units import MIB

LISTING_LIMIT_BYTES: Final = 32 * MIB
"""Of the list of all files: 100,000 files take about 20 MB."""
_DIGEST: Final = re.compile(r"[0-9a-f]{64}|[0-9a-f]{40}")
_SERVER_FAILED: Final = 500
_TOO_MANY_REQUESTS: Final = 429
_TIMED_OUT: Final = 408


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A repository at one commit.

    Attributes:
        commit: 40 hexadecimal digits.
        gated: None where the hub does not tell.
        private: None where the hub does not tell.
        files: by path.
    """

    commit: str
    gated: bool | None
    private: bool | None
    files: tuple[HubFile, ...]


class Hub(Protocol):
    """One repository on a hub."""

    name: HubName
    default_revision: str

    async def snapshot(self, revision: str) -> Snapshot:
        """The repository at the commit that a revision means now."""

    def file_url(self, commit: str, path: str) -> str:
        """Address of a file at a commit."""

    def refusal(self, answer: Answer, what: str) -> HubError:
        """Why the hub did not give something, and what to do."""


def other_refusal(status: int, headers: Mapping[str, str], what: str, endpoint: str) -> HubError:
    """The error for a refusal that has nothing to do with this repository.

    Args:
        status: of the answer, 400 or more.
        headers: of the answer.
        what: was asked for.
        endpoint: of the hub.
    """
    pause = _pause_seconds(headers)
    if status == _TOO_MANY_REQUESTS:
        wait = "later" if pause is None else f"in {pause:.0f} seconds"
        msg = (
            f"{endpoint} has no more requests for this address now: try again {wait}, or give a "
            "token, which has a larger share"
        )
        return HubUnreachableError(msg, pause)
    if status == _TIMED_OUT or status >= _SERVER_FAILED:
        return HubUnreachableError(f"{endpoint} fails with status {status}; try again later", pause)
    return HubError(f"{endpoint} refuses {what} with status {status}")


def _pause_seconds(headers: Mapping[str, str]) -> float | None:
    """How long the hub asks to wait: `Retry-After` in seconds or as a date, or `RateLimit`."""
    asked = headers.get("Retry-After", "").strip()
    if asked.isdecimal() and len(asked) < 10:
        return float(asked)
    try:
        until = parsedate_to_datetime(asked)
        return max(0.0, (until - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        pass
    limit = parse_ratelimit_headers(headers)
    return float(limit.reset_in_seconds) if limit is not None and limit.remaining == 0 else None


def commit_of(value: object, what: str) -> str:
    """A commit as hubs write it.

    Raises:
        HubContentError: it is not one.
    """
    if isinstance(value, str) and is_commit(value):
        return value.lower()
    msg = f"{what} names no commit of 40 hexadecimal digits"
    raise HubContentError(msg)


def is_commit(text: str) -> bool:
    """Whether a revision is a whole commit, which never moves."""
    return len(text) == 40 and all(sign in "0123456789abcdefABCDEF" for sign in text)


def hub_file(path: object, size: object, digest: object, what: str) -> HubFile:
    """A file of a listing.

    Args:
        path: within the repository.
        size: in bytes, None where it is not a number.
        digest: SHA-256 or git's SHA-1, None where it is neither.
        what: names the listing in errors.

    Raises:
        HubContentError: it has no path, or one that would move a terminal's cursor.
    """
    if not isinstance(path, str) or not path:
        msg = f"{what} has a file without a path"
        raise HubContentError(msg)
    if any(unicodedata.category(sign) == "Cc" for sign in path):
        msg = f"{what} has a file with control characters in its path: {path!r:.80}"
        raise HubContentError(msg)
    known = isinstance(digest, str) and _DIGEST.fullmatch(digest.lower()) is not None
    return HubFile(
        path,
        size if type(size) is int and size >= 0 else None,
        str(digest).lower() if known else None,
    )
