"""Fetch what an engine reads of a model to a volume, once, checked and whole.

huggingface_hub names the folders and the refusals; the bytes come through our own session: its
downloads begin anew after they were killed, check no checksum, move the ref before the files are
there, and know one hub (huggingface_hub 2.4, `file_download.py`).
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from huggingface_hub import constants

from llama_operator.download.blobs import BlobFetcher, size_and_digest
from llama_operator.download.facts import HubFile, HubName, ModelFacts
from llama_operator.download.http import Session
from llama_operator.download.hub import (
    default_endpoint,
    default_revision,
    fetch_facts,
    model_facts,
    open_hub,
)
from llama_operator.download.patience import Patience
from llama_operator.download.progress import Progress, Report
from llama_operator.download.selection import adapter_files_to_fetch, files_to_fetch
from llama_operator.download.snapshot import is_commit
from llama_operator.download.volume import RepositoryFolder, check_room, safe_paths, usable
from llama_operator.errors import HubError, InputError, NotCachedError, VolumeTooSmallError

FILES_AT_ONCE: Final = 4
FACTS_SECONDS: Final = 300.0
LOCK_SECONDS: Final = 1.0
"""Between two looks whether another prefetch has ended."""
REPORT_SECONDS: Final = 10.0
FACTS_FOLDER: Final = "llama-operator"
"""Beside `hub` on the volume: what the hub listed, for a look without a network."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to fetch, and where to.

    Attributes:
        repository: name on the hub.
        volume: HF_HOME of the engines.
        hub: where the repository is.
        revision: branch, tag or commit; None for the hub's default branch.
        gguf_paths: GGUF files instead of a folder for transformers.
        adapter: whether it is a LoRA adapter, which gets a link of its own.
        max_bytes: of all files; None for no bound.
        token: for gated and private repositories.
        endpoint: a mirror; None for the hub's own.
        offline: only look at what is there.
        verify: read everything that is there again.
        if_missing: ask the hub for nothing where a whole model of the revision is there, though
            the branch may mean another commit by now.
    """

    repository: str
    volume: Path
    hub: HubName = "HuggingFace"
    revision: str | None = None
    gguf_paths: tuple[str, ...] = ()
    adapter: bool = False
    max_bytes: int | None = None
    token: str | None = field(default=None, repr=False)
    endpoint: str | None = None
    offline: bool = False
    verify: bool = False
    if_missing: bool = False


@dataclass(frozen=True, slots=True)
class Boundary:
    """What the outside gives; tests put others in.

    Attributes:
        patience: between tries.
        free_bytes: of the file system of a folder; None asks it.
        clock: seconds.
        tell: is given a report every `report_seconds`.
        begun: is given what counts the bytes of a fetch that begins.
        report_seconds: between two reports.
    """

    patience: Patience = field(default_factory=Patience)
    free_bytes: Callable[[Path], int] | None = None
    clock: Callable[[], float] = time.monotonic
    tell: Callable[[Report], None] = lambda report: None
    begun: Callable[[Progress], None] = lambda progress: None
    report_seconds: float = REPORT_SECONDS


@dataclass(frozen=True, slots=True)
class Prefetched:
    """A model that is whole on the volume.

    Attributes:
        path: the folder for engines; of an adapter its link.
        facts: of the repository at the commit.
        files: that are there, of those that were asked for.
        fetched_bytes: that came over the network.
        seconds: from the question to the end.
    """

    path: Path
    facts: ModelFacts
    files: tuple[HubFile, ...]
    fetched_bytes: int
    seconds: float

    @property
    def total_bytes(self) -> int:
        """Of all files."""
        return _total(self.files)


async def prefetch(wanted: Wanted, boundary: Boundary | None = None) -> Prefetched:
    """Make a model whole on a volume.

    Args:
        wanted: the model and the folder.
        boundary: clock, disk and patience.

    Raises:
        InputError: an argument is wrong.
        HubError: the hub does not give it; its classes tell why.
        NotCachedError: offline, and something is missing; names it.
        VolumeTooSmallError: more bytes than there is room for, or than are allowed.
        VolumeError: the folder cannot be written.
    """
    edge = boundary or Boundary()
    if constants.is_offline_mode():
        wanted = replace(wanted, offline=True)
    if wanted.if_missing and not wanted.offline:
        try:
            return await prefetch(replace(wanted, offline=True), edge)
        except (HubError, InputError):
            # What is kept may also be of a commit that lacks a file that is asked for now.
            _log.info("%s is not whole in %s: the hub is asked", wanted.repository, wanted.volume)
    started = edge.clock()
    with usable(wanted.volume):
        wanted.volume.mkdir(parents=True, exist_ok=True)
        facts = await _facts(wanted, edge)
        files = _files(wanted, facts)
        safe_paths(files)
        _check_bound(wanted, files)
        folder = RepositoryFolder(wanted.volume, wanted.repository)
        revision = wanted.revision or default_revision(wanted.hub)
        fetched = await _make_whole(wanted, edge, facts, files, folder, revision)
        if wanted.adapter:
            _link_adapter(wanted, folder, facts.commit)
    path = folder.adapter if wanted.adapter else folder.snapshot(facts.commit)
    return Prefetched(path, facts, files, fetched, edge.clock() - started)


def _files(wanted: Wanted, facts: ModelFacts) -> tuple[HubFile, ...]:
    if wanted.adapter and not wanted.gguf_paths:
        return adapter_files_to_fetch(facts)
    return files_to_fetch(facts, wanted.gguf_paths)


def _link_adapter(wanted: Wanted, folder: RepositoryFolder, commit: str) -> None:
    if not wanted.offline:
        folder.link_adapter(commit)
    elif not folder.is_linked(commit):
        msg = f"{folder.adapter} does not mean {commit}: run prefetch once without --offline"
        raise NotCachedError(msg)


async def _facts(wanted: Wanted, edge: Boundary) -> ModelFacts:
    """Of the volume where they cannot have changed; else of the hub."""
    endpoint = wanted.endpoint or default_endpoint(wanted.hub)
    gguf = wanted.gguf_paths[0] if wanted.gguf_paths else None
    kept = partial(
        model_facts,
        wanted.repository,
        hub=wanted.hub,
        revision=wanted.revision,
        endpoint=endpoint,
        cache_dir=wanted.volume / FACTS_FOLDER,
        offline=True,
    )
    if wanted.offline:
        return _kept(wanted, kept)
    if wanted.revision is not None and is_commit(wanted.revision):
        try:
            return kept(gguf=gguf)
        except NotCachedError:
            pass
    return await edge.patience.insist(
        partial(
            fetch_facts,
            wanted.repository,
            hub=wanted.hub,
            revision=wanted.revision,
            token=wanted.token,
            endpoint=endpoint,
            cache_dir=wanted.volume / FACTS_FOLDER,
            gguf=gguf,
            timeout_seconds=FACTS_SECONDS,
        )
    )


def _kept(wanted: Wanted, kept: Callable[[], ModelFacts]) -> ModelFacts:
    try:
        return kept()
    except NotCachedError:
        revision = wanted.revision or default_revision(wanted.hub)
        msg = (
            f"{wanted.repository} at {revision} was not prefetched to {wanted.volume}: run "
            "prefetch once without --offline"
        )
        raise NotCachedError(msg) from None


def _check_bound(wanted: Wanted, files: Sequence[HubFile]) -> None:
    total = _total(files)
    if wanted.max_bytes is not None and total > wanted.max_bytes:
        msg = (
            f"{wanted.repository} has {total:,} bytes for engines, more than the "
            f"{wanted.max_bytes:,} that --max-bytes allows"
        )
        raise VolumeTooSmallError(msg)


async def _make_whole(
    wanted: Wanted,
    edge: Boundary,
    facts: ModelFacts,
    files: Sequence[HubFile],
    folder: RepositoryFolder,
    revision: str,
) -> int:
    """Fetch and publish what is missing; returns the bytes that came."""
    damaged = await _damaged(wanted, folder, files)
    if not damaged and _is_whole(folder, facts, files, revision):
        return 0
    if wanted.offline:
        raise _missing(folder, facts, [*damaged, *folder.missing(facts.commit, files)], revision)
    told = False
    while True:
        with folder.held() as alone:
            if alone:
                if not damaged and _is_whole(folder, facts, files, revision):
                    return 0
                fetched = await _fetch(wanted, edge, facts, files, folder)
                folder.publish(facts.commit, revision, files)
                return fetched
        if not told:
            _log.info("another prefetch of %s is at work; waiting for it", wanted.repository)
            told = True
        await edge.patience.pause(LOCK_SECONDS)


def _is_whole(
    folder: RepositoryFolder, facts: ModelFacts, files: Sequence[HubFile], revision: str
) -> bool:
    return folder.is_published(facts.commit, revision) and not folder.missing(facts.commit, files)


async def _damaged(
    wanted: Wanted, folder: RepositoryFolder, files: Sequence[HubFile]
) -> list[HubFile]:
    """Files whose blob is not what its name says; none unless everything is to be verified."""
    if not wanted.verify:
        return []
    return [file for file in files if await asyncio.to_thread(folder.is_damaged, file)]


def _missing(
    folder: RepositoryFolder, facts: ModelFacts, missing: Sequence[HubFile], revision: str
) -> NotCachedError:
    names = ", ".join(file.path for file in missing[:10])
    more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
    what = f"{names}{more} ({_total(missing):,} bytes)" if missing else f"the ref {revision}"
    return NotCachedError(
        f"{folder.snapshot(facts.commit)} lacks {what}: run prefetch once without --offline"
    )


async def _fetch(
    wanted: Wanted,
    edge: Boundary,
    facts: ModelFacts,
    files: Sequence[HubFile],
    folder: RepositoryFolder,
) -> int:
    folder.blobs.mkdir(parents=True, exist_ok=True)
    folder.drop_remains(facts.files)
    for file in await _damaged(wanted, folder, files):
        folder.blob(file).unlink()
    left = folder.to_fetch(files)
    needed = sum(size_and_digest(file)[0] - there for file, there in left.values())
    check_room(folder.blobs, needed, edge.free_bytes)
    unique = sum({str(file.digest): size_and_digest(file)[0] for file in files}.values())
    progress = Progress(unique, unique - needed, edge.clock)
    edge.begun(progress)
    endpoint = wanted.endpoint or default_endpoint(wanted.hub)
    async with Session(endpoint, wanted.token) as session:
        hub = open_hub(wanted.hub, session, wanted.repository)
        fetcher = BlobFetcher(session, hub, facts.commit, folder.blobs, edge.patience, progress.add)
        reports = asyncio.create_task(_report(progress, edge))
        try:
            await _all(fetcher, [file for file, _ in left.values()], progress)
        finally:
            reports.cancel()
    if left:
        edge.tell(progress.report())
    return progress.fetched_bytes


async def _all(fetcher: BlobFetcher, files: Sequence[HubFile], progress: Progress) -> None:
    free = asyncio.Semaphore(FILES_AT_ONCE)

    async def one(file: HubFile) -> None:
        async with free:
            progress.begin(file.path)
            await fetcher.fetch(file)

    try:
        async with asyncio.TaskGroup() as group:
            for file in files:
                group.create_task(one(file))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def _report(progress: Progress, edge: Boundary) -> None:
    while True:
        await asyncio.sleep(edge.report_seconds)
        edge.tell(progress.report())


def _total(files: Sequence[HubFile]) -> int:
    return sum(size_and_digest(file)[0] for file in files)
