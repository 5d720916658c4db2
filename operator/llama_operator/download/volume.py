"""Models on a volume, in the layout of Hugging Face's cache, which every engine reads offline.

    DIR/hub/models--ORG--NAME/blobs/DIGEST               content, by its checksum
                             /snapshots/COMMIT/PATH      a relative link to a blob
                             /refs/REVISION              the commit that it means
    DIR/adapters/ORG--NAME                               a link to the snapshot of a LoRA adapter
    DIR/hub/.locks/models--ORG--NAME/prefetch.lock       held by the prefetch that writes

`DIR` is what engines get as HF_HOME. A model is published by its folder in `snapshots`, which is
made under another name and moved when every blob is there, and then by its ref; so a reader sees
none or the whole, by path or by name.
"""

import errno
import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from huggingface_hub.constants import DEFAULT_REVISION
from huggingface_hub.file_download import repo_folder_name

from llama_operator.download.blobs import INCOMPLETE, has_digest, size_and_digest
from llama_operator.download.facts import HubFile
from llama_operator.download.snapshot import is_commit
from llama_operator.engines.containers import adapter_folder
from llama_operator.errors import HubContentError, VolumeError, VolumeTooSmallError

FULL: Final = (errno.ENOSPC, errno.EDQUOT)
NO_LOCKS: Final = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
_log = logging.getLogger(__name__)


class RepositoryFolder:
    """One repository on a volume.

    Args:
        volume: HF_HOME of the engines.
        repository: its name, checked by the caller.
    """

    def __init__(self, volume: Path, repository: str) -> None:
        self.hub = volume / "hub"
        self.adapter = volume / adapter_folder(repository)
        name = repo_folder_name(repo_id=repository, repo_type="model")
        self.folder = self.hub / name
        self.blobs = self.folder / "blobs"
        self.lock = self.hub / ".locks" / name / "prefetch.lock"

    def snapshot(self, commit: str) -> Path:
        """The folder that engines read."""
        return self.folder / "snapshots" / commit

    def missing(self, commit: str, files: Sequence[HubFile]) -> list[HubFile]:
        """Files that are not published, in whole, at a commit."""
        folder = self.snapshot(commit)
        return [file for file in files if _size(folder / file.path) != file.size_bytes]

    def to_fetch(self, files: Sequence[HubFile]) -> dict[str, tuple[HubFile, int]]:
        """Files without a blob, once each, and the bytes that an earlier try left of them."""
        found = {}
        for file in files:
            size, digest = size_and_digest(file)
            if _size(self.blobs / digest) != size:
                partial = _size(self.blobs / f"{digest}{INCOMPLETE}") or 0
                found[digest] = (file, partial if partial <= size else 0)
        return found

    def blob(self, file: HubFile) -> Path:
        """Where the content of a file is."""
        return self.blobs / size_and_digest(file)[1]

    def is_damaged(self, file: HubFile) -> bool:
        """Whether the content of a file is there and not what its name says; reads it whole."""
        size, digest = size_and_digest(file)
        blob = self.blob(file)
        return blob.exists() and not has_digest(blob, size, digest)

    def drop_remains(self, files: Sequence[HubFile]) -> None:
        """Delete what was begun of other commits, and what a kill while publishing left."""
        known = {f"{file.digest}{INCOMPLETE}" for file in files}
        for path in self.blobs.glob(f"*{INCOMPLETE}"):
            if path.name not in known and path.name.count(".") == 1:
                path.unlink(missing_ok=True)
        for path in self.folder.glob(".new-*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def publish(self, commit: str, revision: str, files: Sequence[HubFile]) -> None:
        """Give files to readers, whose blobs are all there.

        Args:
            commit: of the files.
            revision: that was asked for.
            files: in the order in which they appear where the snapshot has others already.
        """
        final = self.snapshot(commit)
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.is_dir():
            _link(final, final, self.blobs, files)
        else:
            new = Path(tempfile.mkdtemp(dir=self.folder, prefix=".new-"))
            try:
                new.chmod(self.blobs.stat().st_mode)
                _link(new, final, self.blobs, files)
                new.replace(final)
            finally:
                shutil.rmtree(new, ignore_errors=True)
        refs = self.folder / "refs"
        if not is_commit(revision):
            self._write_ref(refs / revision, commit)
        if revision == DEFAULT_REVISION or not (refs / DEFAULT_REVISION).exists():
            self._write_ref(refs / DEFAULT_REVISION, commit)

    def link_adapter(self, commit: str) -> None:
        """Have the name of the adapter mean a commit, for engines that take folders alone."""
        self.adapter.parent.mkdir(parents=True, exist_ok=True)
        if self.is_linked(commit):
            return
        new = Path(tempfile.mkdtemp(dir=self.folder, prefix=".new-"))
        try:
            link = new / self.adapter.name
            link.symlink_to(self._adapter_target(commit))
            link.replace(self.adapter)
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def is_linked(self, commit: str) -> bool:
        """Whether the name of the adapter means a commit."""
        link = self.adapter
        return link.is_symlink() and str(link.readlink()) == self._adapter_target(commit)

    def _adapter_target(self, commit: str) -> str:
        return os.path.relpath(self.snapshot(commit), self.adapter.parent)

    def is_published(self, commit: str, revision: str) -> bool:
        """Whether readers that ask for a revision get the commit."""
        if is_commit(revision):
            return (self.folder / "refs" / DEFAULT_REVISION).exists()
        return self.ref(revision) == commit

    def ref(self, revision: str) -> str | None:
        """The commit that a branch or tag means on the volume."""
        try:
            return (self.folder / "refs" / revision).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return None

    def _write_ref(self, path: Path, commit: str) -> None:
        # Not beside it: llama-server takes any file in `refs` for one.
        handle, name = tempfile.mkstemp(dir=self.folder, prefix=".new-")
        new = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(commit)
                file.flush()
                os.fsync(file.fileno())
            new.chmod(self.blobs.stat().st_mode & 0o666)
            path.parent.mkdir(parents=True, exist_ok=True)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Try to be the only prefetch of this repository; tells whether it is so.

        The kernel, or the server of a network file system, frees the lock when its holder dies.
        """
        self.lock.parent.mkdir(parents=True, exist_ok=True)
        with self.lock.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
                _log.warning("%s cannot be locked: %s", self.lock, error.strerror)
            yield True


def check_room(
    volume: Path, needed_bytes: int, free_bytes: Callable[[Path], int] | None = None
) -> None:
    """Check that a volume has room.

    Args:
        volume: a folder on it.
        needed_bytes: still to be written.
        free_bytes: of a folder; None asks the file system.

    Raises:
        VolumeTooSmallError: it has less.
    """
    free = shutil.disk_usage(volume).free if free_bytes is None else free_bytes(volume)
    if needed_bytes > free:
        msg = (
            f"{needed_bytes:,} bytes are still to be fetched and {volume} has {free:,} free, "
            f"{needed_bytes - free:,} too few: take a larger volume, or clear this one"
        )
        raise VolumeTooSmallError(msg)


def safe_paths(files: Sequence[HubFile]) -> None:
    """Check that no path leads out of the snapshot.

    Raises:
        HubContentError: one does.
    """
    for file in files:
        parts = file.path.split("/")
        if any(part in ("", ".", "..") or "\\" in part for part in parts) or len(file.path) > 512:
            msg = f"the hub lists a path that is not taken: {file.path!r:.100}"
            raise HubContentError(msg)


@contextmanager
def usable(volume: Path) -> Iterator[None]:
    """What the file system refuses, as our errors.

    Raises:
        VolumeTooSmallError: it is full.
        VolumeError: anything else.
    """
    try:
        yield
    except OSError as error:
        told = error.strerror or str(error)
        if error.errno in FULL:
            msg = f"{volume} is full ({told}): take a larger volume, or clear this one"
            raise VolumeTooSmallError(msg) from error
        msg = f"{error.filename or volume}: {told}; models need a folder with links and locks"
        raise VolumeError(msg) from error


def _link(where: Path, final: Path, blobs: Path, files: Sequence[HubFile]) -> None:
    for file in files:
        _, digest = size_and_digest(file)
        link = where / file.path
        target = os.path.relpath(blobs / digest, (final / file.path).parent)
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink() or str(link.readlink()) != target:
            new = blobs / ".new-link"
            new.unlink(missing_ok=True)
            new.symlink_to(target)
            new.replace(link)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
