"""What a file system refuses, as errors that say what to do."""

import errno
import os
from pathlib import Path

import pytest

from llama_operator.download.volume import check_room, usable
from llama_operator.errors import VolumeError, VolumeTooSmallError

VOLUME = Path("/models")


@pytest.mark.parametrize(
    ("number", "kind", "message"),
    [
        (errno.ENOSPC, VolumeTooSmallError, "/models is full (No space left on device): take a"),
        (errno.EDQUOT, VolumeTooSmallError, "/models is full (Disk quota exceeded): take a"),
        (errno.EACCES, VolumeError, "/models/hub: Permission denied; models need a folder with"),
        (errno.EROFS, VolumeError, "/models/hub: Read-only file system; models need a folder"),
        (errno.EPERM, VolumeError, "/models/hub: Operation not permitted; models need a folder"),
    ],
)
def test_what_the_file_system_says(number: int, kind: type[VolumeError], message: str) -> None:
    with pytest.raises(VolumeError) as raised, usable(VOLUME):
        raise OSError(number, os.strerror(number), "/models/hub")
    assert type(raised.value) is kind
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(("needed", "fits"), [(0, True), (1000, True), (1001, False)])
def test_room(needed: int, fits: bool) -> None:
    if fits:
        check_room(VOLUME, needed, lambda _: 1000)
        return
    with pytest.raises(
        VolumeTooSmallError,
        match="1,001 bytes are still to be fetched and /models has 1,000 free, 1 too few",
    ):
        check_room(VOLUME, needed, lambda _: 1000)
