"""Run folders: one per control plane, locked while it runs, removed when it is over.

A folder that nobody locks has no owner any more; the next start ends what is left of it. That way
nothing piles up even when everything was killed.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from controlplane import processes
from controlplane.errors import FolderError

_LOCK = "controlplane.lock"
_ENTRIES = ("pki", "config", "etcd", "logs", "kubeconfigs", "home", "state.json", "control.sock")


class RunFolder:
    """Everything one control plane writes, below one path.

    Attributes:
        path: absolute path of the folder.
        lock: file descriptor that holds the lock of the folder; None where another process does.
    """

    def __init__(self, path: Path, lock: int | None = None) -> None:
        self.path = path
        self.lock = lock

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.path / "pki"

    @property
    def config(self) -> Path:
        """What the components read: kubeconfigs, tokens, audit policy."""
        return self.path / "config"

    @property
    def etcd(self) -> Path:
        """Data of etcd."""
        return self.path / "etcd"

    @property
    def logs(self) -> Path:
        """One log per component, and the audit log."""
        return self.path / "logs"

    @property
    def kubeconfigs(self) -> Path:
        """The admin's kubeconfig and those made for service accounts."""
        return self.path / "kubeconfigs"

    @property
    def home(self) -> Path:
        """Home folder of kubectl and the components: caches, and no settings of the user."""
        return self.path / "home"

    @property
    def state(self) -> Path:
        """What another process needs in order to use this control plane."""
        return self.path / "state.json"

    @property
    def socket(self) -> Path:
        """Where the supervisor takes requests."""
        return self.path / "control.sock"

    def make_folders(self) -> None:
        """Create the empty subfolders."""
        for folder in (
            self.pki,
            self.config,
            self.etcd,
            self.logs,
            self.kubeconfigs,
            self.home,
        ):
            folder.mkdir(mode=0o700)

    def unlock(self) -> None:
        """Give up this process's hold; a supervisor that inherited the lock keeps its own."""
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None


def parent_folder() -> Path:
    """Folder of all run folders that nobody named, one per user.

    Raises:
        FolderError: somebody else made a folder of that name.
    """
    parent = _parent_path()
    parent.mkdir(mode=0o700, exist_ok=True)
    if parent.is_symlink() or parent.stat().st_uid != os.getuid():
        raise FolderError(f"{parent} is not a folder of this user; set TMPDIR to another place")
    return parent


def create_temporary() -> RunFolder:
    """Make a new run folder, after removing those whose owner is gone."""
    parent = parent_folder()
    with _parent_locked(parent):
        for left_over in parent.glob("run-*"):
            _reap(left_over)
        path = Path(tempfile.mkdtemp(prefix="run-", dir=parent))
        lock = _try_lock(path)
    if lock is None:
        raise FolderError(f"{path} was locked by somebody else as soon as it was made")
    return RunFolder(path, lock)


def take_over(directory: Path, patience: float = 5.0) -> RunFolder:
    """Make `directory` a run folder, ending what a dead owner left there.

    Args:
        directory: a new folder, an empty one, or one that a control plane used before.
        patience: seconds to wait for one that is just going away.

    Raises:
        FolderError: a control plane runs there, or the folder holds files that are not ours.
    """
    path = directory.resolve()
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    ours = {_LOCK, *_ENTRIES} if _is_run_folder(path) else set()
    strangers = sorted({entry.name for entry in path.iterdir()} - ours)
    if strangers:
        raise FolderError(f"{path} is no run folder of a control plane: it holds {strangers[0]}")
    deadline = time.monotonic() + patience
    while (lock := _try_lock(path)) is None:
        if time.monotonic() > deadline:
            raise FolderError(f"a control plane runs in {path}; end it with `down` first")
        time.sleep(0.05)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)  # its last owner may remove it
    processes.end(path)
    _remove_entries(path)
    return RunFolder(path, lock)


def is_locked(path: Path) -> bool:
    """Whether the folder has an owner that is alive."""
    if not _is_run_folder(path):
        return False
    lock = _try_lock(path)
    if lock is None:
        return True
    os.close(lock)
    return False


def remove(path: Path) -> None:
    """Remove all that a control plane wrote, and the folder itself when nothing else is in it.

    A folder that is no run folder is left alone.
    """
    if not _is_run_folder(path):
        return
    if path.parent == _parent_path():
        shutil.rmtree(path, ignore_errors=True)
        return
    _remove_entries(path)
    (path / _LOCK).unlink(missing_ok=True)
    if path.exists() and not any(path.iterdir()):
        path.rmdir()


def _parent_path() -> Path:
    return Path(tempfile.gettempdir()).resolve() / f"llama-operator-controlplane-{os.getuid()}"


def _is_run_folder(path: Path) -> bool:
    return (path / _LOCK).exists()


def _reap(path: Path) -> None:
    lock = _try_lock(path)
    if lock is None:
        return
    try:
        processes.end(path)
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(lock)


def _remove_entries(path: Path) -> None:
    for name in _ENTRIES:
        entry = path / name
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def _try_lock(path: Path) -> int | None:
    file = path / _LOCK
    try:
        lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The last owner removes the file while it holds the lock; a lock on a removed file
        # protects nothing.
        if os.fstat(lock).st_nlink == 1:
            return lock
    except BlockingIOError:
        pass
    os.close(lock)
    return None


@contextmanager
def _parent_locked(parent: Path) -> Iterator[None]:
    with (parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
