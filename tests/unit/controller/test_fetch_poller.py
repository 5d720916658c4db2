"""Downloads are asked how far they are: one pod each, every 15 s, and only while one runs."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from llama_operator.controller.fetch_poller import FetchPoller
from llama_operator.reconcile.fetch_progress import FetchProgress
from llama_operator.reconcile.observed import PodFacts
from support.deployments import pod

KEY = ("ml", "llama")
Answers = list[FetchProgress | None]


def percent(number: int) -> FetchProgress:
    return FetchProgress(number, 100, number, 10, 0)


def running(uid: str = "u1", created: str = "1") -> PodFacts:
    return replace(
        pod("x"), uid=uid, gpus=0, job="j", created=created, progress_address=f"{uid}:8090"
    )


class Turns:
    """Pods that answer from a list; then nobody asks any more. Pauses take no time."""

    def __init__(self, answers: Answers) -> None:
        self.asked: list[str] = []
        self.pauses: list[float] = []
        self.changes = 0
        self.told: list[int | None] = []
        self.pods: tuple[PodFacts, ...] = (running(),)
        self.done = asyncio.Event()
        self._answers = list(answers)
        self.poller = FetchPoller(self._ask, self._changed, self._pause)

    async def _ask(self, address: str) -> FetchProgress | None:
        self.asked.append(address)
        return self._answers.pop(0)

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if not self._answers:
            self.done.set()
            await asyncio.Event().wait()

    def _changed(self, key: tuple[str, str]) -> None:
        assert key == KEY
        self.changes += 1
        shown = self.poller.follow(key, self.pods)
        self.told.append(next((one.percent for one in shown.values()), None))


def played(answers: Answers, then: Callable[[Turns], Awaitable[None]] | None = None) -> Turns:
    async def play() -> Turns:
        turns = Turns(answers)
        assert turns.poller.follow(KEY, (running(),)) == {}
        await turns.done.wait()
        if then is not None:
            await then(turns)
        turns.poller.close()
        await asyncio.sleep(0)
        return turns

    return asyncio.run(play())


def test_news_are_told_and_the_same_is_not() -> None:
    turns = played([percent(1), percent(1), percent(2), None, percent(2), percent(3)])
    assert turns.told == [1, 2, 3]
    assert turns.pauses == [15.0] * 6
    assert set(turns.asked) == {"u1:8090"}


def test_what_answers_no_more_is_told_no_more() -> None:
    turns = played([percent(5), None, None, None, None, None, percent(6)])
    assert turns.told == [5, None, 6]


def test_what_never_answers_changes_nothing() -> None:
    assert played([None] * 9).changes == 0


def test_where_no_download_tells_nobody_is_asked() -> None:
    async def play() -> None:
        turns = Turns([])
        assert turns.poller.follow(KEY, ()) == {}
        assert turns.poller.follow(KEY, (replace(running(), progress_address=""),)) == {}
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(play())


def test_another_pod_is_asked_instead_and_what_the_first_told_is_forgotten() -> None:
    async def then(turns: Turns) -> None:
        turns.done.clear()
        turns._answers.append(percent(9))
        turns.pods = (running(), running("u2", "2"))
        assert turns.poller.follow(KEY, turns.pods) == {}
        await turns.done.wait()
        assert len(asyncio.all_tasks()) == 2

    turns = played([percent(5)], then)
    assert turns.asked == ["u1:8090", "u2:8090"]
    assert turns.told == [5, 9]


def test_a_pod_that_is_gone_is_asked_no_more() -> None:
    async def then(turns: Turns) -> None:
        assert turns.poller.follow(KEY, ()) == {}
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    assert played([percent(5)], then).told == [5]
