"""How far a download is: what its pod answers, whatever that is, and the words for it."""

import json

import pytest

from llama_operator.reconcile.fetch_progress import FetchProgress

GIB = 1 << 30
GOOD = {
    "done_bytes": 3 * GIB,
    "total_bytes": 10 * GIB,
    "fetched_bytes": 2 * GIB,
    "seconds": 100,
    "idle_seconds": 0,
    "file": "model-00001-of-00002.safetensors",
}


def answer(**changes: object) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


def test_an_answer_is_read() -> None:
    assert FetchProgress.read(answer()) == FetchProgress(3 * GIB, 10 * GIB, 2 * GIB, 100, 0)
    assert FetchProgress.read(answer(more={"of": ["a", "later"]}, file=None)) is not None


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xff\xfe\x00", id="no text"),
        pytest.param(b"<html></html>", id="a page"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[1, 2]", id="a list"),
        pytest.param(b"7", id="a number"),
        pytest.param(b"{}", id="an empty object"),
        pytest.param(b"[" * 4000, id="deeply nested"),
        pytest.param(b'{"a":' * 800, id="deeply nested objects"),
        pytest.param(answer()[:-2], id="cut off"),
        pytest.param(answer() + answer(), id="two"),
        pytest.param(answer(done_bytes="3"), id="a text"),
        pytest.param(answer(done_bytes=True), id="a truth"),
        pytest.param(answer(done_bytes=1.5), id="a fraction"),
        pytest.param(answer(done_bytes=None), id="null for bytes"),
        pytest.param(answer(done_bytes=-1), id="fewer than none"),
        pytest.param(answer(done_bytes=11 * GIB), id="more than all"),
        pytest.param(answer(done_bytes=0, total_bytes=0), id="of nothing"),
        pytest.param(answer(total_bytes=1 << 62), id="too many"),
        pytest.param(answer(total_bytes=10**3000), id="a number of 3,000 digits"),
        pytest.param(answer(seconds=-1), id="time that runs backward"),
        pytest.param(answer().replace(b"100", b"NaN"), id="not a number"),
        pytest.param(answer().replace(b"100", b"1e400"), id="infinity"),
    ],
)
def test_anything_else_is_ignored(body: bytes) -> None:
    assert FetchProgress.read(body) is None


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        pytest.param(
            # 7 GiB at 2 GiB in 100 s are 350 s.
            FetchProgress(3 * GIB, 10 * GIB, 2 * GIB, 100, 0),
            "3.00 of 10.00 GiB (30 %), about 6 min left",
            id="minutes",
        ),
        pytest.param(
            # 1 byte at 10 GiB in 100 s.
            FetchProgress(10 * GIB - 1, 10 * GIB, 10 * GIB - 1, 100, 59),
            "10.00 of 10.00 GiB (99 %), about 1 min left",
            id="the last minute, and 99 % until all is there",
        ),
        pytest.param(
            # 999 GiB at 1 GiB in 60 s are 999 min: 16.65 h.
            FetchProgress(GIB, 1000 * GIB, GIB, 60, 0),
            "1.00 of 1,000.00 GiB (0 %), about 17 h left",
            id="hours",
        ),
        pytest.param(
            # 9 GiB at 1 MiB an hour.
            FetchProgress(GIB, 10 * GIB, 1 << 20, 3600, 0),
            "1.00 of 10.00 GiB (10 %)",
            id="no time is told that nobody believes",
        ),
        pytest.param(
            FetchProgress(3 * GIB, 10 * GIB, 0, 5, 5),
            "3.00 of 10.00 GiB (30 %)",
            id="taken up, nothing has come yet",
        ),
        pytest.param(
            FetchProgress(3 * GIB, 10 * GIB, 2 * GIB, 100, 60),
            "3.00 of 10.00 GiB (30 %), nothing comes now",
            id="a minute without a byte",
        ),
        pytest.param(
            FetchProgress(10 * GIB, 10 * GIB, 2 * GIB, 100, 600),
            "10.00 of 10.00 GiB (100 %)",
            id="all is there and is checked",
        ),
    ],
)
def test_how_far_it_is(progress: FetchProgress, text: str) -> None:
    assert str(progress) == text


@pytest.mark.parametrize(
    ("done_bytes", "idle_seconds", "same"),
    [
        pytest.param(3 * GIB + GIB // 20, 0, True, id="30.5 % after 30 %"),
        pytest.param(3 * GIB + GIB // 10 + 1, 0, False, id="31 % after 30 %"),
        pytest.param(3 * GIB, 60, False, id="nothing comes any more"),
    ],
)
def test_only_another_percentage_is_news(done_bytes: int, idle_seconds: int, same: bool) -> None:
    before = FetchProgress(3 * GIB, 10 * GIB, 2 * GIB, 100, 0)
    now = FetchProgress(done_bytes, 10 * GIB, 2 * GIB, 115, idle_seconds)
    assert now.looks_like(before) == same
    assert not now.looks_like(None)
