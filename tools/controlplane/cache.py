"""The cache of programs: a folder outside any checkout, in which each thing is made once."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_UNFINISHED = ".unfinished-"


def cache_folder(part: str) -> Path:
    """Where one part of the tools keeps what it built, such as `controlplane`."""
    own = os.environ.get("LLAMA_OPERATOR_CACHE")
    if own:
        return Path(own).absolute() / part
    shared = os.environ.get("XDG_CACHE_HOME")
    root = Path(shared) if shared else Path.home() / ".cache"
    return root.absolute() / "llama-operator" / part


def make_once(target: Path, make: Callable[[Path], None]) -> None:
    """Make a file of the cache, unless it is there or another run makes it meanwhile.

    Args:
        target: the file, in a folder that holds nothing but files of the cache.
        make: writes the file to the path that it gets; what it leaves beside it is removed.
    """
    with _locked(target.parent):
        if target.exists():
            return
        for left_over in target.parent.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(left_over, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=target.parent) as scratch:
            made = Path(scratch) / target.name
            make(made)
            made.replace(target)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a cache folder, so that two runs do not make the same thing at once."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
