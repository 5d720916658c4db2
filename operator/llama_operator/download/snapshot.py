"""A repository at one commit, and what any hub must tell of it."""

import unicodedata
from dataclasses import dataclass
from typing import Final, Protocol

from llama_operator.download.facts import HubFile, HubName
from llama_operator.download.http import Answer
from llama_operator.errors import HubContentError, HubError, HubUnreachableError
from llama_operator.units import MIB

LISTING_LIMIT_BYTES: Final = 32 * MIB
"""Of the list of all files: 100,000 files take about 20 MB."""
_SERVER_FAILED: Final = 500
_TOO_MANY_REQUESTS: Final = 429


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


def other_refusal(status: int, retry_after: str, what: str, endpoint: str) -> HubError:
    """The error for a refusal that has nothing to do with this repository.

    Args:
        status: of the answer, 400 or more.
        retry_after: the header, empty without one.
        what: was asked for.
        endpoint: of the hub.
    """
    if status == _TOO_MANY_REQUESTS:
        wait = f"in {retry_after} seconds" if retry_after.isdecimal() else "later"
        msg = (
            f"{endpoint} has no more requests for this address now: try again {wait}, or give a "
            "token, which has a larger share"
        )
        return HubUnreachableError(msg)
    if status >= _SERVER_FAILED:
        return HubUnreachableError(f"{endpoint} fails with status {status}; try again later")
    return HubError(f"{endpoint} refuses {what} with status {status}")


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


def hub_file(path: object, size: object, what: str) -> HubFile:
    """A file of a listing.

    Raises:
        HubContentError: it has no path, or one that would move a terminal's cursor.
    """
    if not isinstance(path, str) or not path:
        msg = f"{what} has a file without a path"
        raise HubContentError(msg)
    if any(unicodedata.category(sign) == "Cc" for sign in path):
        msg = f"{what} has a file with control characters in its path: {path!r:.80}"
        raise HubContentError(msg)
    return HubFile(path, size if type(size) is int and size >= 0 else None)
