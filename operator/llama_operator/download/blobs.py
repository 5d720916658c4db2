"""Files by their content: fetched in pieces, taken up where they broke off, checked, then named.

A blob is `<digest>.incomplete` until all its bytes are there and their digest is the one that the
hub lists; then it is moved to `<digest>`. So a name without an ending means checked content.
"""

import asyncio
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, TypeVar

from llama_operator.download.facts import HubFile
from llama_operator.download.http import Session, Take
from llama_operator.download.patience import Patience
from llama_operator.download.snapshot import Hub
from llama_operator.errors import ChecksumError, HubContentError, HubUnreachableError
from llama_operator.units import GIB, MIB

_Value = TypeVar("_Value")

PIECE_BYTES: Final = GIB
"""Asked for at once: storages end long answers, and give no file past 50 GB whole."""
READ_BYTES: Final = 64 * MIB
INCOMPLETE: Final = ".incomplete"
SHA256_DIGITS: Final = 64
TRIES_OF_CONTENT: Final = 2
"""A file whose checksum is wrong is fetched whole once more."""


class Hasher(Protocol):
    """What `hashlib` gives."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""

    def hexdigest(self) -> str:
        """The digest so far."""


def hasher(digest: str, size_bytes: int) -> Hasher:
    """The algorithm of a digest: SHA-256, or SHA-1 of git's header and the content."""
    if len(digest) == SHA256_DIGITS:
        return hashlib.sha256()
    git = hashlib.sha1(usedforsecurity=False)
    git.update(b"blob %d\0" % size_bytes)
    return git


class BlobFetcher:
    """Fetches files of one repository at one commit into a folder of blobs.

    Args:
        session: to the hub.
        hub: the repository.
        commit: of the files.
        folder: of the blobs; nobody else writes the same blobs meanwhile.
        patience: between tries.
        count: is told bytes as they are written; fewer than none where they must come again.
    """

    def __init__(
        self,
        session: Session,
        hub: Hub,
        commit: str,
        folder: Path,
        patience: Patience,
        count: Callable[[int], None],
    ) -> None:
        self._session = session
        self._hub = hub
        self._commit = commit
        self._folder = folder
        self._patience = patience
        self._count = count
        self._checking = asyncio.Lock()

    async def fetch(self, file: HubFile) -> None:
        """Fetch one file to its blob, from where an earlier try broke off.

        Args:
            file: with size and digest.

        Raises:
            HubError: the hub does not give it; HubUnreachableError after all tries.
            ChecksumError: what comes is not what the hub lists, twice.
            OSError: the folder cannot be written.
        """
        size, digest = size_and_digest(file)
        partial = self._folder / f"{digest}{INCOMPLETE}"
        for _ in range(TRIES_OF_CONTENT):
            if await self._fill(file, partial, size, digest):
                partial.replace(self._folder / digest)
                return
            partial.unlink(missing_ok=True)
            self._count(-size)
        msg = (
            f"{file.path} of {self._session.endpoint} is not what the hub lists: its checksum is "
            f"not {digest}, twice; a proxy may change it, or the disk may be damaged"
        )
        raise ChecksumError(msg)

    async def _fill(self, file: HubFile, partial: Path, size: int, digest: str) -> bool:
        """Write what is missing of a file; returns whether its digest is right."""
        partial.touch()
        with partial.open("r+b", buffering=0) as target:
            if partial.stat().st_size > size:
                target.truncate(0)
            at = target.seek(0, os.SEEK_END)
            # What is there is read at the end: frequent kills then never outrun the download.
            content = hasher(digest, size) if at == 0 else None

            def write(chunk: bytes) -> None:
                rest = memoryview(chunk)
                while rest:
                    rest = rest[target.write(rest) :]
                if content is not None:
                    content.update(chunk)

            async def take(chunk: bytes) -> None:
                nonlocal at
                await _in_thread(write, chunk)
                at += len(chunk)
                self._count(len(chunk))

            failures = 0
            while at < size:
                before, end = at, min(at + PIECE_BYTES, size)
                try:
                    await self._piece(file.path, at, end, take)
                    if at < end:
                        msg = f"{self._session.endpoint} ends {file.path} early; try again later"
                        raise HubUnreachableError(msg)
                    failures = 0
                except HubUnreachableError as error:
                    failures = 1 if at - before >= MIB else failures + 1
                    await self._patience.wait(failures, error)
            await _in_thread(os.fsync, target.fileno())
        if content is None:
            # One by one: under frequent kills at least one file is checked and done with.
            async with self._checking:
                return await _in_thread(has_digest, partial, size, digest)
        return content.hexdigest() == digest

    async def _piece(self, path: str, start: int, end: int, take: Take) -> None:
        url = self._hub.file_url(self._commit, path)
        refusal = await self._session.stream(url, path, start, end, take)
        if refusal is not None:
            raise self._hub.refusal(refusal, path)


async def _in_thread(work: Callable[..., _Value], *arguments: object) -> _Value:
    """What a call gives; it ends before a cancellation goes on, which closes its file."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def size_and_digest(file: HubFile) -> tuple[int, str]:
    """Both of a file.

    Raises:
        HubContentError: the hub does not tell them, so that nothing could be checked.
    """
    if file.size_bytes is None or file.digest is None:
        msg = f"the hub lists {file.path} without size or checksum, so it cannot be checked"
        raise HubContentError(msg)
    return file.size_bytes, file.digest


def has_digest(path: Path, size_bytes: int, digest: str) -> bool:
    """Whether the content of a file has a digest; reads it whole."""
    content = hasher(digest, size_bytes)
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(READ_BYTES):
            content.update(chunk)
    return content.hexdigest() == digest
